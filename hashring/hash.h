/*
 * The two hash functions of the rings: XXH3-64 for bytes (ring_hash() in ring.h) and a 64-bit
 * finaliser for numbers.
 */
#ifndef QUOIT_HASHRING_HASH_H
#define QUOIT_HASHRING_HASH_H

#include <stdint.h>

/* 2^64 divided by the golden ratio: a step that spreads consecutive numbers. */
#define HASH_STEP UINT64_C(0x9e3779b97f4a7c15)

/* A bijection in which every input bit reaches every output bit (Stafford's variant 13, the
 * finaliser of SplitMix64). */
static inline uint64_t mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The n-th number of a stream. */
static inline uint64_t mix64_nth(uint64_t stream, uint64_t n)
{
    return mix64(stream + (n + 1) * HASH_STEP);
}

#endif
