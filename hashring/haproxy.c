/*
 * HAProxy: `hash-type consistent` (2.6; the `hash-key id` of later versions).
 *
 * Servers are numbered from 1 in the configured order, so a node's id does not count and its
 * position does: server N has position N - 1. A unit of weight is 16 points, the mixed numbers from
 * 4096 N on; weights end at 256, where the next server's numbers begin. A key's hash, of 32 bits,
 * is SDBM, DJB2, WT6 or CRC-32, mixed once more with `avalanche`. It belongs to the nearer of the
 * points before and after it, the one before when both are as near. A server that is not to be had
 * is as if it had no points: the key goes to the next nearest.
 */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "hashring/circle.h"

enum { POINTS_PER_WEIGHT = 16, NUMBERS_PER_SERVER = 4096 };

/* Jenkins's full avalanche over 32 bits, then a multiplication that spreads over the circle. */
static uint32_t mix32(uint32_t x)
{
    x = (x + 0x7ed55d16u) + (x << 12);
    x = (x ^ 0xc761c23cu) ^ (x >> 19);
    x = (x + 0x165667b1u) + (x << 5);
    x = (x + 0xd3a2646cu) ^ (x << 9);
    x = (x + 0xfd7046c5u) + (x << 3);
    x = (x ^ 0xb55a4f09u) ^ (x >> 16);
    return x * 3221225473u;
}

/* ---- keys */

static uint32_t sdbm(const uint8_t *p, size_t n)
{
    uint32_t hash = 0;
    for (size_t i = 0; i < n; i++)
        hash = p[i] + (hash << 6) + (hash << 16) - hash;
    return hash;
}

static uint32_t djb2(const uint8_t *p, size_t n)
{
    uint32_t hash = 5381;
    for (size_t i = 0; i < n; i++)
        hash = (hash << 5) + hash + p[i];
    return hash;
}

static uint32_t rotate(uint32_t x, uint32_t by)
{
    return x << by | x >> (-by & 31);
}

static uint32_t wt6(const uint8_t *p, size_t n)
{
    uint32_t a = 0xa53c965au;
    uint32_t b = 0x5ca6953au;
    uint32_t turn_a = 6;
    uint32_t turn_b = 18;
    for (size_t i = 0; i < n; i++) {
        uint32_t mixed_a = ~(a ^ p[i]);
        uint32_t mixed_b = ~(b + p[i]);
        a = rotate(mixed_b, turn_a);
        b = rotate(mixed_a, turn_b);
        uint32_t turns = ((a >> 16) ^ b) & 0xffff;
        turn_a = turns & 31;
        turn_b = turns >> 11;
    }
    return a ^ b;
}

static uint32_t hash_bytes(enum ring_haproxy_hash function, const void *key, size_t n)
{
    switch (function) {
    case RING_HAPROXY_SDBM:
        return sdbm(key, n);
    case RING_HAPROXY_DJB2:
        return djb2(key, n);
    case RING_HAPROXY_WT6:
        return wt6(key, n);
    case RING_HAPROXY_CRC32:
        break;
    }
    return (uint32_t)crc32_z(0, key, n);
}

static uint64_t haproxy_key_hash(const struct ring_options *options, const void *key, size_t n)
{
    uint32_t hash = hash_bytes(options->haproxy_hash, key, n);
    return options->haproxy_avalanche ? mix32(hash) : hash;
}

/* ---- points */

static uint32_t points_of(const struct ring_entry *entry)
{
    uint64_t n = points_for(entry, POINTS_PER_WEIGHT);
    return n < NUMBERS_PER_SERVER ? (uint32_t)n : NUMBERS_PER_SERVER;
}

static int list_points(const struct ring *ring, struct point *at)
{
    const struct ring_entry **entries = ring_by_position(ring);
    if (entries == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < ring->n; i++) {
        uint32_t first = (entries[i]->position + 1) * NUMBERS_PER_SERVER;
        for (uint32_t k = 0; k < points_of(entries[i]); k++)
            *at++ = (struct point){circle_hash_32(mix32(first + k)), (uint16_t)entries[i]->index};
    }
    free(entries);
    return 0;
}

/* Of the hashes between two points the first one has half, rounded down. */
static void fill_shares(struct ring *ring)
{
    const struct ring_table *table = ring->table;
    if (table->n_points == 1)
        ring->shares[table->nodes[0]] = 1;
    for (uint32_t i = 0; table->n_points > 1 && i < table->n_points; i++) {
        uint32_t before = i > 0 ? i - 1 : table->n_points - 1;
        uint64_t gap = (table->hashes[i] - table->hashes[before]) >> 32;
        uint64_t half = gap / 2;
        ring->shares[table->nodes[before]] += (double)half * 0x1p-32;
        ring->shares[table->nodes[i]] += (double)(gap - half) * 0x1p-32;
    }
}

static int haproxy_build(struct ring *ring)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < ring->n; i++)
        n += points_of(&ring->entries[i]);
    struct points points;
    int r = points_init(&points, n);
    if (r < 0)
        return r;
    r = list_points(ring, points.items);
    if (r == 0)
        r = points_sort(&points);
    if (r == 0)
        r = circle_from_sorted(ring, &points);
    free(points.items);
    if (r == 0)
        fill_shares(ring);
    return r;
}

/* ---- the walk: to both sides, always to the nearer point */

/* ahead points after the hash and behind points before it have been seen. */
static uint32_t take_nearer(const struct ring_table *table, uint32_t hash, uint32_t *ahead,
                            uint32_t *behind)
{
    uint32_t first = circle_find(table, circle_hash_32(hash));
    uint32_t n = table->n_points;
    uint32_t next = (uint32_t)(((uint64_t)first + *ahead) % n);
    uint32_t previous = (uint32_t)(((uint64_t)first + n - 1 - *behind) % n);
    uint32_t to_next = (uint32_t)(table->hashes[next] >> 32) - hash;
    uint32_t to_previous = hash - (uint32_t)(table->hashes[previous] >> 32);
    if (to_previous <= to_next) {
        ++*behind;
        return table->nodes[previous];
    }
    ++*ahead;
    return table->nodes[next];
}

static uint32_t haproxy_pick(const struct ring_table *table, uint64_t hash)
{
    uint32_t ahead = 0;
    uint32_t behind = 0;
    return table->n_points > 0 ? take_nearer(table, (uint32_t)hash, &ahead, &behind) : RING_NONE;
}

/* walk->at: the hash in the lower half, the points seen ahead in the upper; walk->step: behind. */
static uint32_t haproxy_walk_next(const struct ring_table *table, struct ring_walk *walk)
{
    if (table->n_points == 0)
        return RING_NONE;
    uint32_t hash = (uint32_t)walk->at;
    uint32_t ahead = (uint32_t)(walk->at >> 32);
    if ((uint64_t)ahead + walk->step >= table->n_points) { /* round the circle: once more */
        ahead = 0;
        walk->step = 0;
    }
    uint32_t node = take_nearer(table, hash, &ahead, &walk->step);
    walk->at = (uint64_t)ahead << 32 | hash;
    return node;
}

static int haproxy_check(const struct ring_options *options)
{
    return (unsigned)options->haproxy_hash <= RING_HAPROXY_CRC32 ? 0 : -EINVAL;
}

/* Avalanche changes keys only, but a fleet must agree on it too. */
static uint32_t haproxy_option(const struct ring_options *options)
{
    return (uint32_t)options->haproxy_hash << 1 | options->haproxy_avalanche;
}

const struct ring_ops haproxy_ops = {
    .uses_position = true,
    .check = haproxy_check,
    .key_hash = haproxy_key_hash,
    .build = haproxy_build,
    .pick = haproxy_pick,
    .walk_next = haproxy_walk_next,
    .slot = circle_slot_32,
    .option = haproxy_option,
};
