/*
 * How long a slow peer is waited for: a measure of time that waiting uses up and bytes refill.
 *
 *     spent ──────────────►            full
 *       ├──── waiting adds ───┤         │   over, when spent reaches full
 *       ◄─ n bytes take off n / rate ─┤
 *
 * A peer that keeps to the rate on average over `full` is never given up, however unevenly its
 * bytes come; one that stands still is after `full`. Only time between patience_wait() and
 * patience_rest() is spent: what others hold up is not the peer's fault. Pure; times are
 * microseconds on one clock, and never 0.
 */
#ifndef QUOIT_BALANCER_PROXY_PATIENCE_H
#define QUOIT_BALANCER_PROXY_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* What is asked of a peer. */
struct pace {
    uint64_t full_us;
    uint64_t rate; /* bytes a second; 0: one byte refills it all */
};

/* All zero: nothing spent, not waiting. */
struct patience {
    uint64_t spent_us, since_us; /* since_us 0: not waiting */
    uint64_t seen_bytes;
};

/* From now on the peer is waited for; no change if it was already. */
void patience_wait(struct patience *patience, uint64_t now_us);

/* It is not waited for any more. */
void patience_rest(struct patience *patience, uint64_t now_us);

/* Takes into account what it has done until now: bytes counts all it ever moved. A lower number
 * than before begins the count anew. */
void patience_look(struct patience *patience, const struct pace *pace, uint64_t now_us,
                   uint64_t bytes);

/* When it is over, if nothing more moves; it must be waiting. */
uint64_t patience_end_us(const struct patience *patience, const struct pace *pace);

static inline bool patience_is_over(const struct patience *patience, const struct pace *pace)
{
    return patience->spent_us >= pace->full_us;
}

#endif
