/*
 * A circle of points, sorted by hash and indexed by buckets: the table of every kind of ring that
 * has virtual nodes. Private to hashring/.
 *
 *   key hash ──► its upper bits ──► buckets[b] = first point of that arc ──► a step or two
 *
 * There are as many buckets as points, or up to twice that, so that a lookup costs the same for
 * ten nodes and ten thousand. The same buckets sort the points while building.
 *
 * Hashes are of 64 bits. Kinds of 32-bit hashes put theirs into the upper half (circle_hash_32()).
 */
#ifndef QUOIT_HASHRING_CIRCLE_H
#define QUOIT_HASHRING_CIRCLE_H

#include <stdint.h>

#include "hashring/layout.h"

struct point {
    uint64_t hash;
    uint16_t node;
};

/* The maker frees items. */
struct points {
    struct point *items;
    uint32_t n;
};

/* One block: the arrays follow the struct, the widest first. */
struct ring_table {
    uint64_t *hashes;  /* ascending */
    uint32_t *buckets; /* the index of the first point at or after the bucket's start */
    uint16_t *nodes;
    uint32_t n_points;
    uint32_t shift; /* of a hash, to its bucket */
};

static inline uint64_t circle_hash_32(uint64_t hash)
{
    return hash << 32;
}

/* How many points a node has at so many for a unit of weight: at least one if it has weight. */
uint64_t points_for(const struct ring_entry *entry, uint32_t per_unit);

/* Room for n points, all of them zero. Returns 0, -E2BIG (over RING_MAX_POINTS) or -ENOMEM. */
int points_init(struct points *points, uint64_t n);

/* Sorts by hash; points of equal hash keep their order. Returns 0 or -ENOMEM. */
int points_sort(struct points *points);

/* Makes ring's table for n points, whose hashes and nodes the caller fills, ascending, before
 * circle_finish(). Returns 0 or -ENOMEM. */
int circle_new(struct ring *ring, uint32_t n_points);

/* Indexes the points. */
void circle_finish(struct ring_table *table);

/* The same in one step from points that are in order. Returns 0 or -ENOMEM. */
int circle_from_sorted(struct ring *ring, const struct points *points);

/* Each node's share, where a key belongs to the first point at or after its hash. */
void circle_fill_shares(struct ring *ring);

/* The index of the first point at or after hash, round the circle; there must be a point. */
uint32_t circle_find(const struct ring_table *table, uint64_t hash);

/* The node of that point, and of one point after the other: ring_ops of kinds that do just this.
 * From the second step on walk->at is the point's index. */
uint32_t circle_pick(const struct ring_table *table, uint64_t hash);
uint32_t circle_walk_next(const struct ring_table *table, struct ring_walk *walk);
uint32_t circle_pick_32(const struct ring_table *table, uint64_t hash);
uint32_t circle_walk_next_32(const struct ring_table *table, struct ring_walk *walk);
uint32_t circle_slot(const struct ring_table *table, uint64_t hash, uint32_t *ret_n);
uint32_t circle_slot_32(const struct ring_table *table, uint64_t hash, uint32_t *ret_n);

#endif
