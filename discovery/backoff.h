/*
 * How long to wait before asking again. Pure: time and randomness are parameters.
 */
#ifndef QUOIT_DISCOVERY_BACKOFF_H
#define QUOIT_DISCOVERY_BACKOFF_H

#include <stdint.h>

/* After failures: exponential with full jitter, between min and max. Zero the counter to reset. */
struct backoff {
    uint32_t min_ms, max_ms;
    uint32_t n_failures; /* in a row */
};

/*
 * Counts a failure and returns the wait: uniform from min_ms to min_ms * 2^failures, at most
 * max_ms. random is any 64 uniform bits.
 */
uint32_t backoff_fail(struct backoff *backoff, uint64_t random);

/*
 * After good answers: a token bucket of burst 2. A single change in a quiet service is followed at
 * once, and so is the next one; in a service that never stops changing the refill slows down,
 * doubling from 100 ms to 500 ms, until both tokens have come back unused.
 *
 * Consul's own advice is one refill in 15 s (api-docs/features/blocking), which would leave a
 * balancer that far behind a rolling deployment; two queries a second bound the load as well.
 */
struct pace {
    uint32_t tokens;      /* 0 to 2 */
    uint32_t interval_ms; /* of one refill */
    uint64_t refilled_ms; /* when the last token came in */
};

enum { PACE_BURST = 2, PACE_MIN_MS = 100, PACE_MAX_MS = 500 };

void pace_init(struct pace *pace, uint64_t now_ms);

/* Takes a token and returns how long to wait until it is there: 0 when one is in the bucket.
 * now_ms is monotonic. */
uint32_t pace_take(struct pace *pace, uint64_t now_ms);

#endif
