/*
 * The arithmetic of a ramp: a weight on its way from one value to another, in steps. Pure; time is
 * a parameter, in microseconds on any clock that only goes forward.
 */
#ifndef QUOIT_BALANCER_CONTROL_RAMP_H
#define QUOIT_BALANCER_CONTROL_RAMP_H

#include <stdbool.h>
#include <stdint.h>

/* How many steps a ramp has, unless they would be shorter than the shortest. */
#define RAMP_STEPS 64
#define RAMP_SHORTEST_STEP_US UINT64_C(100000)

/* All zero: none runs. */
struct ramp {
    double from, to;
    uint64_t begin_us, length_us; /* length 0: none runs */
};

/* The weight that a cold endpoint begins with: what one step adds. */
double ramp_first_weight(double weight);

bool ramp_is_running(const struct ramp *ramp);

/* Whether a running ramp has come to its end. */
bool ramp_is_over(const struct ramp *ramp, uint64_t now_us);

/* The weight that a running ramp has come to: evenly from one to the other, and exactly `to` once
 * it is over. Never outside of the two. */
double ramp_weight(const struct ramp *ramp, uint64_t now_us);

/* How long a step of a ramp of this length lasts. */
uint64_t ramp_step_us(uint64_t length_us);

#endif
