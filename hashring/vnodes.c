/*
 * The virtual-node ring: every node has `points` points per unit of weight on a circle of 64-bit
 * hashes (circle.h); a key belongs to the first point at or after its hash.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hashring/circle.h"
#include "hashring/hash.h"

static uint64_t points_of(const struct ring_entry *entry, const struct ring_options *options)
{
    return points_for(entry, options->points);
}

/* Equal hashes of two nodes: the lower order comes first. */
static bool comes_before(const struct ring *ring, const struct point *a, const struct point *b)
{
    if (a->hash != b->hash)
        return a->hash < b->hash;
    return ring->entries[a->node].order < ring->entries[b->node].order;
}

/* The points of the chosen nodes, node by node: those of equal hash by the nodes' order. */
static void list_points(const struct ring *ring, const bool *is_chosen, struct point *items)
{
    for (uint32_t i = 0; i < ring->n; i++) {
        const struct ring_entry *entry = ring->sorted[i];
        uint64_t n = is_chosen[entry->index] ? points_of(entry, &ring->options) : 0;
        for (uint64_t k = 0; k < n; k++)
            *items++ = (struct point){mix64_nth(entry->hash, k), (uint16_t)entry->index};
    }
}

/* The chosen nodes' points in order; the caller frees items. -E2BIG, -ENOMEM. */
static int make_points(const struct ring *ring, const bool *is_chosen, struct points *ret_points)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < ring->n; i++)
        n += is_chosen[i] ? points_of(&ring->entries[i], &ring->options) : 0;
    struct points points;
    int r = points_init(&points, n);
    if (r < 0)
        return r;

    list_points(ring, is_chosen, points.items);
    r = points_sort(&points);
    if (r < 0) {
        free(points.items);
        return r;
    }
    *ret_points = points;
    return 0;
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
        r = circle_new(ring, fresh.n + (uint32_t)n_kept);
    if (r == 0) {
        merge_points(ring, &fresh, old, node_now);
        circle_finish(ring->table);
        circle_fill_shares(ring);
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

const struct ring_ops vnodes_ops = {
    .check = vnodes_check,
    .key_hash = ring_key_hash_seeded,
    .build = vnodes_build,
    .derive = vnodes_derive,
    .pick = circle_pick,
    .walk_next = circle_walk_next,
    .slot = circle_slot,
    .option = vnodes_option,
};
