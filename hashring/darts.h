/*
 * Darts: how the nodes of a slot ring compete for its slots.
 *
 * Every node throws one dart at every slot, in an order of its own; a slot belongs to the dart that
 * lands first. The order is a permutation of the M slots keyed by the node's hash. The dart of rank
 * k lands at -log2(1 - x) / weight, where x = (k + a fraction hashed from node and k) / M. Seen
 * from one slot, x is uniform and the time exponential with the weight as its rate, so this is
 * weighted rendezvous by the logarithm method: shares in exact proportion to the weights, and a
 * node's time at a slot hangs on no other node. Two things come on top of the textbook:
 *
 * - A node's darts can be thrown in the order of their times, which fills a table in O(M log n)
 *   instead of O(M n); and since the permutation has an inverse, any single dart can be computed
 *   too. How far the darts are thrown is a matter of speed only.
 * - The x of one node are spread evenly instead of at random, which makes the shares of many equal
 *   nodes about 1.4 times more even than independent hashes would.
 *
 * All of it is integer arithmetic.
 */
#ifndef QUOIT_HASHRING_DARTS_H
#define QUOIT_HASHRING_DARTS_H

#include <stdint.h>

#include "hashring/hash.h"
#include "hashring/logarithm.h"

#define DART_ROUNDS 3
#define DART_NEVER UINT64_MAX /* later than every dart */

/* One node's part: a cache line. */
struct thrower {
    uint32_t multiply[DART_ROUNDS], divide[DART_ROUNDS], add[DART_ROUNDS];
    uint32_t order;         /* settles equal times */
    uint64_t shift, stride; /* of the sequence that spreads the times within their ranks */
    uint64_t pace;          /* 2^64 / weight; 0: throws nothing */
};

/* The slots, 2^bits of them. */
struct board {
    uint32_t bits, half, mask;
};

static inline struct board board_of(uint32_t bits)
{
    return (struct board){
        .bits = bits, .half = (bits + 1) / 2, .mask = (uint32_t)((UINT64_C(1) << bits) - 1)};
}

/* hash is the node's, weight in units of 2^-16, at most 2^32. */
void thrower_init(struct thrower *thrower, uint64_t hash, uint64_t weight, uint32_t order);

/* The slot that the k-th dart hits. */
static inline uint32_t dart_slot(const struct thrower *thrower, struct board board, uint32_t k)
{
    uint32_t x = k;
    for (int i = 0; i < DART_ROUNDS; i++) {
        x = (x * thrower->multiply[i] + thrower->add[i]) & board.mask;
        x ^= x >> board.half;
    }
    return x;
}

/* Which dart hits the slot: the inverse of dart_slot(). */
static inline uint32_t dart_rank(const struct thrower *thrower, struct board board, uint32_t slot)
{
    uint32_t x = slot;
    for (int i = DART_ROUNDS - 1; i >= 0; i--) {
        x ^= x >> board.half; /* its own inverse: two shifts leave nothing */
        x = ((x - thrower->add[i]) * thrower->divide[i]) & board.mask;
    }
    return x;
}

/* When the k-th dart lands: never decreases with k, below DART_NEVER. */
static inline uint64_t dart_time(const struct thrower *thrower, struct board board, uint32_t k)
{
    uint64_t within = thrower->shift + k * thrower->stride;
    uint64_t x = ((uint64_t)k << (64 - board.bits)) | (within >> board.bits);
    return mulhi64(logarithm_of_rest(x), thrower->pace);
}

#endif
