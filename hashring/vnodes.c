/*
 * The virtual-node ring: every node has `points` points per unit of weight on a circle of 64-bit
 * hashes; a key belongs to the first point at or after its hash.
 *
 *   key hash ──► its upper bits ──► buckets[b] = first point of that arc ──► a step or two
 *
 * There are as many buckets as points, or up to twice that, so that a lookup costs the same for
 * ten nodes and ten thousand. The same buckets sort the points while building.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hashring/hash.h"
#include "hashring/layout.h"

struct point {
    uint64_t hash;
    uint16_t node;
};

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

static uint64_t points_of(const struct ring_entry *entry, const struct ring_options *options)
{
    if (entry->weight == 0)
        return 0;
    uint64_t n = (entry->weight * options->points + WEIGHT_ONE / 2) / WEIGHT_ONE;
    return n > 0 ? n : 1;
}

/* Equal hashes of two nodes: the lower order comes first. */
static bool comes_before(const struct ring *ring, const struct point *a, const struct point *b)
{
    if (a->hash != b->hash)
        return a->hash < b->hash;
    return ring->entries[a->node].order < ring->entries[b->node].order;
}

/* The points of the chosen nodes, node by node. */
static void list_points(const struct ring *ring, const bool *is_chosen, struct point *items)
{
    for (uint32_t i = 0; i < ring->n; i++) {
        const struct ring_entry *entry = &ring->entries[i];
        uint64_t n = is_chosen[i] ? points_of(entry, &ring->options) : 0;
        for (uint64_t k = 0; k < n; k++)
            *items++ = (struct point){mix64_nth(entry->hash, k), (uint16_t)i};
    }
}

/* Copies the points in the order of their buckets. ends: a zero for each bucket, and one more. */
static void scatter_points(const struct point *from, struct points *to, uint32_t *ends)
{
    uint32_t shift = bucket_shift(to->n);
    for (uint32_t i = 0; i < to->n; i++)
        ends[(from[i].hash >> shift) + 1]++;
    for (uint32_t b = 0; b < n_buckets(shift); b++)
        ends[b + 1] += ends[b];
    for (uint32_t i = 0; i < to->n; i++)
        to->items[ends[from[i].hash >> shift]++] = from[i];
}

/* By insertion: the points of different buckets are in order, and a bucket has about one. */
static void sort_points(const struct ring *ring, struct points *points)
{
    for (uint32_t i = 1; i < points->n; i++) {
        struct point point = points->items[i];
        uint32_t j = i;
        for (; j > 0 && comes_before(ring, &point, &points->items[j - 1]); j--)
            points->items[j] = points->items[j - 1];
        points->items[j] = point;
    }
}

/* The chosen nodes' points in order; the caller frees items. -E2BIG, -ENOMEM. */
static int make_points(const struct ring *ring, const bool *is_chosen, struct points *ret_points)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < ring->n; i++)
        n += is_chosen[i] ? points_of(&ring->entries[i], &ring->options) : 0;
    if (n > RING_MAX_POINTS)
        return -E2BIG;

    struct points points = {.n = (uint32_t)n, .items = calloc(n + 1, sizeof(struct point))};
    struct point *listed = calloc(n + 1, sizeof listed[0]);
    uint32_t *ends = calloc(n_buckets(bucket_shift(points.n)) + (size_t)1, sizeof ends[0]);
    int r = -ENOMEM;
    if (points.items != NULL && listed != NULL && ends != NULL) {
        list_points(ring, is_chosen, listed);
        scatter_points(listed, &points, ends);
        sort_points(ring, &points);
        *ret_points = points;
        r = 0;
    } else {
        free(points.items);
    }
    free(listed);
    free(ends);
    return r;
}

static int table_new(struct ring *ring, uint32_t n_points)
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

static void index_points(struct ring_table *table)
{
    uint32_t i = 0;
    for (uint32_t b = 0; b < n_buckets(table->shift); b++) {
        while (i < table->n_points && table->hashes[i] >> table->shift < b)
            i++;
        table->buckets[b] = i;
    }
    table->buckets[n_buckets(table->shift)] = table->n_points;
}

static void fill_shares(struct ring *ring)
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

/* Writes the union of the fresh points and those kept of an old table (NULL: none). node_now[i] is
 * the new index of old node i, or NO_NODE when its points are dropped. */
static void merge_points(struct ring *ring, const struct points *fresh,
                         const struct ring_table *old, const uint16_t *node_now)
{
    struct ring_table *table = ring->table;
    uint32_t n_old = old != NULL ? old->n_points : 0;
    uint32_t f = 0;
    uint32_t o = 0;
    for (uint32_t i = 0; i < table->n_points; i++) {
        while (o < n_old && node_now[old->nodes[o]] == NO_NODE)
            o++;
        struct point kept = {0, NO_NODE};
        if (o < n_old)
            kept = (struct point){old->hashes[o], node_now[old->nodes[o]]};
        bool take_fresh =
            o == n_old || (f < fresh->n && comes_before(ring, &fresh->items[f], &kept));
        struct point point = take_fresh ? fresh->items[f++] : kept;
        o += !take_fresh;
        table->hashes[i] = point.hash;
        table->nodes[i] = point.node;
    }
}

/* Makes the table of the chosen nodes' points and n_kept old ones. */
static int assemble(struct ring *ring, const bool *is_chosen, uint64_t n_kept,
                    const struct ring_table *old, const uint16_t *node_now)
{
    struct points fresh;
    int r = make_points(ring, is_chosen, &fresh);
    if (r < 0)
        return r;

    r = fresh.n + n_kept <= RING_MAX_POINTS ? 0 : -E2BIG;
    if (r == 0)
        r = table_new(ring, fresh.n + (uint32_t)n_kept);
    if (r == 0) {
        merge_points(ring, &fresh, old, node_now);
        index_points(ring->table);
        fill_shares(ring);
    }
    free(fresh.items);
    return r;
}

static int vnodes_build(struct ring *ring)
{
    bool *is_chosen = malloc(ring->n + (size_t)1);
    if (is_chosen == NULL)
        return -ENOMEM;

    memset(is_chosen, true, ring->n);
    int r = assemble(ring, is_chosen, 0, NULL, NULL);
    free(is_chosen);
    return r;
}

/* Keeps the points of nodes that have as many as before; the others' are made anew. */
static int vnodes_derive(struct ring *ring, const struct ring *old, const uint32_t *index_now)
{
    bool *is_chosen = malloc(ring->n + (size_t)1);
    uint16_t *node_now = malloc((old->n + (size_t)1) * sizeof node_now[0]);
    if (is_chosen == NULL || node_now == NULL) {
        free(is_chosen);
        free(node_now);
        return -ENOMEM;
    }

    memset(is_chosen, true, ring->n);
    uint64_t n_kept = 0;
    for (uint32_t i = 0; i < old->n; i++) {
        uint64_t n = points_of(&old->entries[i], &old->options);
        uint32_t now = index_now[i];
        bool is_kept = now != RING_NONE && points_of(&ring->entries[now], &ring->options) == n;
        node_now[i] = is_kept ? (uint16_t)now : NO_NODE;
        if (is_kept) {
            is_chosen[now] = false;
            n_kept += n;
        }
    }
    int r = assemble(ring, is_chosen, n_kept, old->table, node_now);
    free(is_chosen);
    free(node_now);
    return r;
}

static int vnodes_check(const struct ring_options *options)
{
    return options->points >= 1 && options->points <= 65536 ? 0 : -EINVAL;
}

static uint32_t vnodes_option(const struct ring_options *options)
{
    return options->points;
}

/* The index of the first point at or after hash, round the circle; there is one. */
static uint32_t find_point(const struct ring_table *table, uint64_t hash)
{
    uint64_t bucket = hash >> table->shift;
    uint32_t i = table->buckets[bucket];
    uint32_t end = table->buckets[bucket + 1];
    while (i < end && table->hashes[i] < hash)
        i++;
    return i < table->n_points ? i : 0;
}

static uint32_t vnodes_pick(const struct ring_table *table, uint64_t hash)
{
    return table->n_points > 0 ? table->nodes[find_point(table, hash)] : RING_NONE;
}

/* The owner, then point after point; from the second step on walk->at is the point's index. */
static uint32_t vnodes_walk_next(const struct ring_table *table, struct ring_walk *walk)
{
    if (table->n_points == 0)
        return RING_NONE;
    if (walk->step == 0) {
        walk->step = 1;
        walk->at = find_point(table, walk->at);
    } else {
        walk->at = walk->at + 1 < table->n_points ? walk->at + 1 : 0;
    }
    return table->nodes[walk->at];
}

const struct ring_ops vnodes_ops = {
    .check = vnodes_check,
    .build = vnodes_build,
    .derive = vnodes_derive,
    .pick = vnodes_pick,
    .walk_next = vnodes_walk_next,
    .option = vnodes_option,
};
