#include "discovery/guard.h"

#include <stddef.h>

enum { INTERVAL_MIN_MS = 50, INTERVAL_MAX_MS = 5000, ASKS_PER_HOLD = 8 };

static enum guard_verdict hold(struct guard *guard, const char *why)
{
    guard->why_held = why;
    return GUARD_HOLD;
}

enum guard_verdict guard_judge(struct guard *guard, const struct guard_answer *answer,
                               uint64_t now_ms, uint32_t hold_ms)
{
    bool was_affirming = guard->affirming;
    guard->affirming = false;
    if (answer->may_hide && (answer->is_empty || answer->removes))
        return hold(guard, "instances are missing that the token may not be allowed to see");
    if (!answer->empties) {
        guard->why_held = NULL;
        return GUARD_APPLY;
    }
    if (!answer->known_leader)
        return hold(guard, "the service is empty, but Consul knows no leader");

    guard->affirming = true;
    if (!was_affirming)
        guard->since_ms = now_ms;
    if (now_ms - guard->since_ms < hold_ms)
        return hold(guard, "the service is empty; waiting for Consul to affirm it");
    *guard = (struct guard){.affirming = false};
    return GUARD_APPLY;
}

void guard_fail(struct guard *guard)
{
    guard->affirming = false;
}

uint32_t guard_interval_ms(uint32_t hold_ms)
{
    uint32_t interval_ms = hold_ms / ASKS_PER_HOLD;
    if (interval_ms < INTERVAL_MIN_MS)
        return INTERVAL_MIN_MS;
    return interval_ms < INTERVAL_MAX_MS ? interval_ms : INTERVAL_MAX_MS;
}
