/*
 * Random numbers of the simulation. Each matter that chance decides has a stream of its own, so
 * that schemes with the same seed meet the same arrivals for the same objects.
 */
#ifndef QUOIT_TESTS_SIM_DRAW_H
#define QUOIT_TESTS_SIM_DRAW_H

#include <math.h>
#include <stdint.h>

#include "hashring/hash.h"

struct draws {
    uint64_t state;
};

/* The stream of a matter (any number) under a seed. */
static inline struct draws draws_of(uint64_t seed, uint64_t matter)
{
    return (struct draws){mix64_nth(mix64(seed + HASH_STEP), matter)};
}

static inline uint64_t draw_bits(struct draws *draws)
{
    draws->state += HASH_STEP;
    return mix64(draws->state);
}

/* 0 <= x < 1 */
static inline double draw_unit(struct draws *draws)
{
    return (double)(draw_bits(draws) >> 11) * 0x1p-53;
}

static inline uint32_t draw_below(struct draws *draws, uint32_t n)
{
    return (uint32_t)((draw_bits(draws) >> 32) * n >> 32);
}

static inline double draw_between(struct draws *draws, double low, double high)
{
    return low + (high - low) * draw_unit(draws);
}

static inline double draw_exponential(struct draws *draws, double mean)
{
    return -mean * log1p(-draw_unit(draws));
}

#endif
