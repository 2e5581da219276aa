/*
 * Envoy: lb_policy RING_HASH with XX_HASH.
 *
 * A node's id is "ip:port"; its points are XXH64("ip:port_i"). There are as many points in all as
 * give the node of least weight a whole number, at least min_ring; running sums over the nodes in
 * the configured order give each one its part. A key belongs to the first point at or after its
 * XXH64.
 *
 * When hosts fail, Envoy makes another ring of those that are left, in which other keys may move
 * too; here such a node's keys go to the next points and all others stay.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "hashring/circle.h"

enum { NUMBER_BYTES = 24 };

static uint64_t envoy_key_hash(const struct ring_options *options, const void *key, size_t n)
{
    (void)options;
    return XXH64(key, n, 0);
}

/* The part of the whole that a node's weight is. */
static double part_of(const struct ring *ring, const struct ring_entry *entry)
{
    return (double)entry->weight / (double)ring->total_weight;
}

static double round_up(double x)
{
    double whole = (double)(uint64_t)x;
    return whole < x ? whole + 1 : whole;
}

/* How many points all nodes have together, which need not be a whole number. */
static double scale_of(const struct ring *ring)
{
    double least = 1;
    for (uint32_t i = 0; i < ring->n; i++) {
        const struct ring_entry *entry = &ring->entries[i];
        if (entry->weight > 0 && part_of(ring, entry) < least)
            least = part_of(ring, entry);
    }
    double scale = round_up(least * ring->options.min_ring) / least;
    return scale < RING_MAX_ENVOY_RING ? scale : RING_MAX_ENVOY_RING;
}

/* Adds an entry's points behind the n there are, room at most. bytes: for its id and a number. */
static void add_points(const struct ring_entry *entry, uint32_t n_entry, char *bytes,
                       struct points *points, uint64_t room)
{
    assert(points->n + (uint64_t)n_entry <= room);
    size_t n = entry->id_len;
    if (n > 0)
        memcpy(bytes, entry->id, n);
    for (uint32_t i = 0; i < n_entry; i++) {
        int digits = snprintf(bytes + n, NUMBER_BYTES, "_%" PRIu32, i);
        uint64_t hash = XXH64(bytes, n + (size_t)digits, 0);
        points->items[points->n++] = (struct point){hash, (uint16_t)entry->index};
    }
}

/* The points that bring the sum of all up to target. */
static uint32_t missing(uint32_t sum, double target)
{
    uint32_t n = 0;
    while ((double)(sum + n) < target)
        n++;
    return n;
}

static void list_points(const struct ring *ring, const struct ring_entry **entries, char *bytes,
                        struct points *points, uint64_t room)
{
    double scale = scale_of(ring);
    double target = 0;
    for (uint32_t i = 0; i < ring->n; i++) {
        double part = scale * part_of(ring, entries[i]);
        target += part;
        uint32_t n = missing(points->n, target);
        add_points(entries[i], n, bytes, points, room);
    }
}

static size_t longest_id(const struct ring *ring)
{
    size_t longest = 0;
    for (uint32_t i = 0; i < ring->n; i++) {
        if (ring->entries[i].id_len > longest)
            longest = ring->entries[i].id_len;
    }
    return longest;
}

static int fill_points(const struct ring *ring, struct points *points)
{
    const struct ring_entry **entries = ring_by_position(ring);
    char *bytes = malloc(longest_id(ring) + NUMBER_BYTES);
    int r = entries != NULL && bytes != NULL ? 0 : -ENOMEM;
    uint64_t room = points->n;
    points->n = 0;
    if (r == 0)
        list_points(ring, entries, bytes, points, room);
    free(entries);
    free(bytes);
    return r;
}

static int envoy_build(struct ring *ring)
{
    struct points points;
    /* Rounding may bring the last sum a little above the scale. */
    uint64_t room = ring->total_weight > 0 ? (uint64_t)scale_of(ring) + 2 : 0;
    int r = points_init(&points, room);
    if (r < 0)
        return r;
    if (ring->total_weight > 0)
        r = fill_points(ring, &points);
    if (r == 0)
        r = points_sort(&points);
    if (r == 0)
        r = circle_from_sorted(ring, &points);
    free(points.items);
    if (r == 0)
        circle_fill_shares(ring);
    return r;
}

static int envoy_check(const struct ring_options *options)
{
    return options->min_ring >= 1 && options->min_ring <= RING_MAX_ENVOY_RING ? 0 : -EINVAL;
}

static uint32_t envoy_option(const struct ring_options *options)
{
    return options->min_ring;
}

const struct ring_ops envoy_ring_ops = {
    .uses_position = true,
    .check = envoy_check,
    .key_hash = envoy_key_hash,
    .build = envoy_build,
    .pick = circle_pick,
    .walk_next = circle_walk_next,
    .slot = circle_slot,
    .option = envoy_option,
};
