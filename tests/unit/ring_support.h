/*
 * Random fleets and comparisons for the tests of hashring/. Include after <cmocka.h>.
 */
#ifndef QUOIT_TESTS_RING_SUPPORT_H
#define QUOIT_TESTS_RING_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hashring/hash.h"
#include "hashring/ring.h"

enum { FLEET_ID_BYTES = 32, FLEET_MAX = 2100 };

struct fleet {
    struct ring_node nodes[FLEET_MAX];
    char ids[FLEET_MAX][FLEET_ID_BYTES];
    size_t n;
    uint64_t random; /* the state of the fleet's own generator */
};

static inline uint64_t fleet_random(struct fleet *fleet)
{
    fleet->random += HASH_STEP;
    return mix64(fleet->random);
}

static inline size_t fleet_below(struct fleet *fleet, size_t limit)
{
    return (size_t)(fleet_random(fleet) % limit);
}

/* A weight of one of the kinds that pools have: equal, small integers, fractions, extremes, 0. */
static inline double fleet_weight(struct fleet *fleet)
{
    static const double extremes[] = {0, -1, 1e-9, 1e9, 65536, 1.0 / 65536};
    switch (fleet_below(fleet, 8)) {
    case 0:
        return extremes[fleet_below(fleet, sizeof extremes / sizeof extremes[0])];
    case 1:
    case 2:
        return (double)fleet_below(fleet, 10) + 1;
    case 3:
        return (double)fleet_below(fleet, 1000) / 100;
    default:
        return 1;
    }
}

static inline void fleet_add(struct fleet *fleet, uint64_t name, double weight)
{
    assert_true(fleet->n < FLEET_MAX);
    char *id = fleet->ids[fleet->n];
    int len = snprintf(id, FLEET_ID_BYTES, "10.0.%llu:8080", (unsigned long long)name);
    fleet->nodes[fleet->n] = (struct ring_node){
        .id = id,
        .id_len = (size_t)len,
        .weight = weight,
        .position = (uint32_t)fleet->n,
    };
    fleet->n++;
}

/* n nodes of weight 1 named 0 to n-1. */
static inline struct fleet *fleet_equal(size_t n, uint64_t random)
{
    struct fleet *fleet = calloc(1, sizeof *fleet);
    assert_non_null(fleet);
    fleet->random = random;
    for (size_t i = 0; i < n; i++)
        fleet_add(fleet, i, 1);
    return fleet;
}

static inline struct fleet *fleet_weighted(size_t n, uint64_t random)
{
    struct fleet *fleet = fleet_equal(n, random);
    for (size_t i = 0; i < n; i++)
        fleet->nodes[i].weight = fleet_weight(fleet);
    return fleet;
}

static inline struct fleet *fleet_copy(const struct fleet *from)
{
    struct fleet *fleet = malloc(sizeof *fleet);
    assert_non_null(fleet);
    *fleet = *from;
    for (size_t i = 0; i < fleet->n; i++)
        fleet->nodes[i].id = fleet->ids[i];
    return fleet;
}

static inline void fleet_swap(struct fleet *fleet, size_t i, size_t j)
{
    struct ring_node node = fleet->nodes[i];
    char id[FLEET_ID_BYTES];
    memcpy(id, fleet->ids[i], sizeof id);
    memcpy(fleet->ids[i], fleet->ids[j], sizeof id);
    memcpy(fleet->ids[j], id, sizeof id);
    fleet->nodes[i] = fleet->nodes[j];
    fleet->nodes[j] = node;
    fleet->nodes[i].id = fleet->ids[i];
    fleet->nodes[j].id = fleet->ids[j];
}

static inline void fleet_shuffle(struct fleet *fleet)
{
    for (size_t i = fleet->n; i > 1; i--)
        fleet_swap(fleet, i - 1, fleet_below(fleet, i));
}

static inline void fleet_remove(struct fleet *fleet, size_t i)
{
    fleet_swap(fleet, i, fleet->n - 1);
    fleet->n--;
}

static inline struct ring *ring_of(const struct ring_options *options, const struct fleet *fleet)
{
    struct ring *ring = NULL;
    assert_int_equal(ring_new(options, fleet->nodes, fleet->n, &ring), 0);
    assert_non_null(ring);
    return ring;
}

static inline struct ring *ring_derived(const struct ring *old, const struct fleet *fleet)
{
    struct ring *ring = NULL;
    assert_int_equal(ring_derive(old, fleet->nodes, fleet->n, &ring), 0);
    assert_non_null(ring);
    return ring;
}

/* The name that an index stands for: rings over differently ordered fleets compare by it. */
static inline const char *fleet_name(const struct fleet *fleet, uint32_t index)
{
    if (index == RING_NONE)
        return "none";
    assert_true(index < fleet->n);
    return fleet->ids[index];
}

/* A hash in the i-th of n equal parts of the key space: with as many parts as slots, every slot. */
static inline uint64_t hash_at(uint64_t i, uint64_t n)
{
    return (UINT64_MAX / n + 1) * i + mix64(i) / n;
}

/* Asserts that both rings give the same candidates everywhere. */
static inline void assert_same_ring(const struct ring *a, const struct fleet *fleet_a,
                                    const struct ring *b, const struct fleet *fleet_b,
                                    uint64_t n_hashes)
{
    enum { STEPS = 4 };
    for (uint64_t i = 0; i < n_hashes; i++) {
        struct ring_walk walk_a;
        struct ring_walk walk_b;
        ring_walk_start(&walk_a, a, hash_at(i, n_hashes));
        ring_walk_start(&walk_b, b, hash_at(i, n_hashes));
        for (int step = 0; step < STEPS; step++) {
            const char *name_a = fleet_name(fleet_a, ring_walk_next(&walk_a));
            const char *name_b = fleet_name(fleet_b, ring_walk_next(&walk_b));
            if (strcmp(name_a, name_b) != 0)
                fail_msg("part %llu, step %d: %s, not %s", (unsigned long long)i, step, name_a,
                         name_b);
        }
    }
    uint8_t digest_a[16];
    uint8_t digest_b[16];
    ring_digest(a, digest_a);
    ring_digest(b, digest_b);
    assert_memory_equal(digest_a, digest_b, sizeof digest_a);
    assert_int_equal(ring_size_bytes(a), ring_size_bytes(b));
}

#endif
