#include "discovery/backoff.h"

uint32_t backoff_fail(struct backoff *backoff, uint64_t random)
{
    uint64_t limit = backoff->min_ms;
    if (backoff->n_failures < UINT32_MAX)
        backoff->n_failures++;
    for (uint32_t i = 0; i < backoff->n_failures && i < 32 && limit < backoff->max_ms; i++)
        limit *= 2;
    if (limit > backoff->max_ms)
        limit = backoff->max_ms;
    if (limit <= backoff->min_ms)
        return (uint32_t)limit;
    return (uint32_t)(backoff->min_ms + random % (limit - backoff->min_ms + 1));
}

void pace_init(struct pace *pace, uint64_t now_ms)
{
    *pace = (struct pace){.tokens = PACE_BURST, .interval_ms = PACE_MIN_MS, .refilled_ms = now_ms};
}

static void refill(struct pace *pace, uint64_t now_ms)
{
    /* refilled_ms lies ahead while the token of an earlier wait is still to come. */
    uint64_t elapsed = now_ms > pace->refilled_ms ? now_ms - pace->refilled_ms : 0;
    uint64_t gained = elapsed / pace->interval_ms;
    pace->refilled_ms += gained * pace->interval_ms;
    if (gained < PACE_BURST - pace->tokens) {
        pace->tokens += (uint32_t)gained;
        return;
    }
    if (gained > 0 || pace->tokens == PACE_BURST) {
        pace->tokens = PACE_BURST;
        pace->interval_ms = PACE_MIN_MS;
        pace->refilled_ms = now_ms;
    }
}

uint32_t pace_take(struct pace *pace, uint64_t now_ms)
{
    refill(pace, now_ms);
    if (pace->tokens > 0) {
        pace->tokens--;
        return 0;
    }
    /* Empty: this query is paid with the next refill, and the one after comes later. */
    pace->refilled_ms += pace->interval_ms;
    uint64_t wait_ms = pace->refilled_ms > now_ms ? pace->refilled_ms - now_ms : 0;
    pace->interval_ms = pace->interval_ms < PACE_MAX_MS / 2 ? pace->interval_ms * 2 : PACE_MAX_MS;
    return (uint32_t)wait_ms;
}
