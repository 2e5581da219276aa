#include "hashring/circle.h"

#include <errno.h>
#include <stdlib.h>

uint64_t points_for(const struct ring_entry *entry, uint32_t per_unit)
{
    if (entry->weight == 0)
        return 0;
    uint64_t n = (entry->weight * per_unit + WEIGHT_ONE / 2) / WEIGHT_ONE;
    return n > 0 ? n : 1;
}

int points_init(struct points *points, uint64_t n)
{
    if (n > RING_MAX_POINTS)
        return -E2BIG;
    struct point *items = calloc(n + 1, sizeof items[0]);
    if (items == NULL)
        return -ENOMEM;
    *points = (struct points){.items = items, .n = (uint32_t)n};
    return 0;
}

/* The shift to at least as many buckets as points, and at least two. */
static uint32_t bucket_shift(uint32_t n_points)
{
    uint32_t bits = 1;
    while ((UINT32_C(1) << bits) < n_points)
        bits++;
    return 64 - bits;
}

static uint32_t n_buckets(uint32_t shift)
{
    return UINT32_C(1) << (64 - shift);
}

/* Copies the points in the order of their buckets. ends: a zero for each bucket, and one more. */
static void scatter_points(const struct points *from, struct point *to, uint32_t *ends)
{
    uint32_t shift = bucket_shift(from->n);
    for (uint32_t i = 0; i < from->n; i++)
        ends[(from->items[i].hash >> shift) + 1]++;
    for (uint32_t b = 0; b < n_buckets(shift); b++)
        ends[b + 1] += ends[b];
    for (uint32_t i = 0; i < from->n; i++)
        to[ends[from->items[i].hash >> shift]++] = from->items[i];
}

/* By insertion: the points of different buckets are in order, and a bucket has about one. */
static void sort_scattered(struct point *items, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct point point = items[i];
        uint32_t j = i;
        for (; j > 0 && point.hash < items[j - 1].hash; j--)
            items[j] = items[j - 1];
        items[j] = point;
    }
}

int points_sort(struct points *points)
{
    struct point *sorted = calloc(points->n + (size_t)1, sizeof sorted[0]);
    uint32_t *ends = calloc(n_buckets(bucket_shift(points->n)) + (size_t)1, sizeof ends[0]);
    if (sorted == NULL || ends == NULL) {
        free(sorted);
        free(ends);
        return -ENOMEM;
    }
    scatter_points(points, sorted, ends);
    sort_scattered(sorted, points->n);
    free(ends);
    free(points->items);
    points->items = sorted;
    return 0;
}

int circle_new(struct ring *ring, uint32_t n_points)
{
    uint32_t shift = bucket_shift(n_points);
    size_t hashes = n_points * sizeof(uint64_t);
    size_t buckets = (n_buckets(shift) + (size_t)1) * sizeof(uint32_t);
    size_t size = sizeof(struct ring_table) + hashes + buckets + n_points * sizeof(uint16_t);
    struct ring_table *table = malloc(size);
    if (table == NULL)
        return -ENOMEM;

    table->hashes = (uint64_t *)(table + 1);
    table->buckets = (uint32_t *)(table->hashes + n_points);
    table->nodes = (uint16_t *)(table->buckets + n_buckets(shift) + 1);
    table->n_points = n_points;
    table->shift = shift;
    ring->table = table;
    ring->table_size = size;
    return 0;
}

void circle_finish(struct ring_table *table)
{
    uint32_t i = 0;
    for (uint32_t b = 0; b < n_buckets(table->shift); b++) {
        while (i < table->n_points && table->hashes[i] >> table->shift < b)
            i++;
        table->buckets[b] = i;
    }
    table->buckets[n_buckets(table->shift)] = table->n_points;
}

int circle_from_sorted(struct ring *ring, const struct points *points)
{
    int r = circle_new(ring, points->n);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < points->n; i++) {
        ring->table->hashes[i] = points->items[i].hash;
        ring->table->nodes[i] = points->items[i].node;
    }
    circle_finish(ring->table);
    return 0;
}

void circle_fill_shares(struct ring *ring)
{
    const struct ring_table *table = ring->table;
    if (table->n_points == 1) { /* the whole circle: 2^64 does not fit */
        ring->shares[table->nodes[0]] = 1;
        return;
    }
    for (uint32_t i = 0; i < table->n_points; i++) {
        uint64_t before = table->hashes[i > 0 ? i - 1 : table->n_points - 1];
        ring->shares[table->nodes[i]] += (double)(table->hashes[i] - before) * 0x1p-64;
    }
}

uint32_t circle_find(const struct ring_table *table, uint64_t hash)
{
    uint64_t bucket = hash >> table->shift;
    uint32_t i = table->buckets[bucket];
    uint32_t end = table->buckets[bucket + 1];
    while (i < end && table->hashes[i] < hash)
        i++;
    return i < table->n_points ? i : 0;
}

uint32_t circle_pick(const struct ring_table *table, uint64_t hash)
{
    return table->n_points > 0 ? table->nodes[circle_find(table, hash)] : RING_NONE;
}

uint32_t circle_walk_next(const struct ring_table *table, struct ring_walk *walk)
{
    if (table->n_points == 0)
        return RING_NONE;
    if (walk->step == 0) {
        walk->step = 1;
        walk->at = circle_find(table, walk->at);
    } else {
        walk->at = walk->at + 1 < table->n_points ? walk->at + 1 : 0;
    }
    return table->nodes[walk->at];
}

uint32_t circle_pick_32(const struct ring_table *table, uint64_t hash)
{
    return circle_pick(table, circle_hash_32(hash));
}

uint32_t circle_walk_next_32(const struct ring_table *table, struct ring_walk *walk)
{
    if (walk->step == 0)
        walk->at = circle_hash_32(walk->at);
    return circle_walk_next(table, walk);
}

uint32_t circle_slot(const struct ring_table *table, uint64_t hash, uint32_t *ret_n)
{
    *ret_n = table->n_points;
    return table->n_points > 0 ? circle_find(table, hash) : RING_NONE;
}

uint32_t circle_slot_32(const struct ring_table *table, uint64_t hash, uint32_t *ret_n)
{
    return circle_slot(table, circle_hash_32(hash), ret_n);
}
