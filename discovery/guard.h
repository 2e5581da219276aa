/*
 * Whether an answer may be applied. An empty answer is also what a restarted agent, a lost leader
 * or a revoked token look like, and it would take every endpoint away: it must be affirmed first.
 * Pure: time is a parameter.
 */
#ifndef QUOIT_DISCOVERY_GUARD_H
#define QUOIT_DISCOVERY_GUARD_H

#include <stdbool.h>
#include <stdint.h>

/* State of one watch; all zero at the start. */
struct guard {
    bool affirming;       /* a good empty answer came in; since_ms is when */
    uint64_t since_ms;    /* monotonic */
    const char *why_held; /* a static phrase while an answer is held, else NULL */
};

/* What the guard has to know of an answer. */
struct guard_answer {
    bool empties;      /* it has no instance, and the applied set has */
    bool removes;      /* it lacks an instance of the applied set */
    bool is_empty;     /* it has no instance */
    bool known_leader; /* the answer says that its server knows the leader */
    bool may_hide;     /* instances may be filtered out by Consul's ACLs */
};

enum guard_verdict {
    GUARD_APPLY,
    GUARD_HOLD, /* keep the last set, ask again soon; why_held says why */
};

/*
 * - May hide instances, and is empty or removes some: held, for as long as it lasts.
 * - Empties the set: held until good empty answers (with a known leader) have affirmed it for
 *   hold_ms; the first starts the clock, any other outcome in between stops it. With hold_ms 0
 *   the first good one applies.
 * - All else applies.
 */
enum guard_verdict guard_judge(struct guard *guard, const struct guard_answer *answer,
                               uint64_t now_ms, uint32_t hold_ms);

/* A query failed: what was affirmed so far is void. */
void guard_fail(struct guard *guard);

/* How long to wait between two queries while an answer is held: an eighth of hold_ms, within
 * 50 ms and 5 s. */
uint32_t guard_interval_ms(uint32_t hold_ms);

#endif
