/*
 * Who ramps: the rules by which the endpoints of a pool gain and lose weight gradually.
 *
 *   becomes usable   for the first time, or after an outage as long as a ramp: it is cold, and its
 *                    weight begins small. A shorter outage is a flap: its weight is as before.
 *   another weight   from the one it has come to.
 *   weight 0, or     its weight goes down to 0: it drains, stays usable meanwhile, and is in
 *   maintenance      maintenance only then.
 *   unusable         at once; its weight stays what it has come to, for a flap.
 *   gone             at once.
 *
 * A pool without a warm endpoint has nobody to take the keys meanwhile: there nothing ramps. Warm
 * is who is usable, will stay so, and has its whole weight.
 *
 * Looks at what the sources say (struct tracked), not at the endpoints' atomics, and changes the
 * tracked weights only: publishing is the caller's, and so are the endpoints' states.
 */
#ifndef QUOIT_BALANCER_CONTROL_RAMPING_H
#define QUOIT_BALANCER_CONTROL_RAMPING_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/control/merge.h"

/* Why a ramp ended. X(name, word) */
#define RAMP_ENDINGS(X)                                                                            \
    X(DONE, "done")         /* it has come to its end */                                           \
    X(CHANGED, "changed")   /* another one takes its place */                                      \
    X(UNUSABLE, "unusable") /* the endpoint cannot be used any more */                             \
    X(ALONE, "alone")       /* no warm endpoint is left: the whole weight at once */               \
    X(REMOVED, "removed")

enum ramp_ending {
#define X(name, word) RAMP_##name,
    RAMP_ENDINGS(X)
#undef X
};

const char *ramp_ending_word(enum ramp_ending ending);

/* Hears of each ramp; context is the observer's own. */
struct ramping_observer {
    void *context;
    void (*begun)(void *context, const struct tracked *tracked);
    void (*ended)(void *context, const struct tracked *tracked, enum ramp_ending ending);
};

/*
 * Begins and ends ramps of length_us (0: weights change at once) after sources have spoken. Returns
 * whether a weight has changed. Weights of ramps under way stay as they are.
 */
bool ramping_settle(struct tracked_list *list, uint64_t length_us, uint64_t now_us,
                    const struct ramping_observer *observer);

/* Brings the weights of ramps under way to what they are now, and ends those that are over. */
void ramping_advance(struct tracked_list *list, uint64_t now_us,
                     const struct ramping_observer *observer);

bool ramping_is_under_way(const struct tracked_list *list);

/* The state that the endpoint shall show: its source's, or draining while its weight goes to 0. */
enum endpoint_source ramping_source(const struct tracked *tracked);

/* The endpoint's state has been set: keeps when it became unusable. */
void ramping_note_state(struct tracked *tracked, uint64_t now_us);

#endif
