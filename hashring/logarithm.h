/*
 * A logarithm without floating point: the same bits on every machine and with every compiler.
 *
 * Table and linear interpolation; exact at the table's points, within 3e-6 of the truth between
 * them, never decreasing, and proportional to the argument near zero, where small times are
 * compared.
 */
#ifndef QUOIT_HASHRING_LOGARITHM_H
#define QUOIT_HASHRING_LOGARITHM_H

#include <stdint.h>

#define LOGARITHM_ONE_BITS 58
#define LOGARITHM_INTERVAL_BITS 55
#define LOGARITHM_INTERVALS 256

/* round(2^58 * -log2(1 - i / 512)): from 0 to 1. */
extern const uint64_t logarithm_table[LOGARITHM_INTERVALS + 1];

__extension__ typedef unsigned __int128 uint128; /* needs a name to be free of -Wpedantic */

/* The upper half of the product. */
static inline uint64_t mulhi64(uint64_t a, uint64_t b)
{
    return (uint64_t)(((uint128)a * b) >> 64);
}

/* -log2(1 - x / 2^64) in units of 2^-58: 0 for x = 0, just below 64 for the largest x. */
static inline uint64_t logarithm_of_rest(uint64_t x)
{
    uint64_t rest = ~x | 1;
    uint32_t halvings = (uint32_t)__builtin_clzll(rest);
    uint64_t z = ~(rest << halvings); /* rest = 2^-halvings * (1 - z), 0 <= z < 1/2 */
    const uint64_t *point = &logarithm_table[z >> LOGARITHM_INTERVAL_BITS];
    uint64_t part = z << (64 - LOGARITHM_INTERVAL_BITS); /* of the interval, in 2^-64 */
    uint64_t between = mulhi64(point[1] - point[0], part);

    return ((uint64_t)halvings << LOGARITHM_ONE_BITS) + point[0] + between;
}

#endif
