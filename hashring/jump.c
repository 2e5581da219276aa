/*
 * Jump consistent hash (Lamping and Veach, 2014) over the XXH64 of keys.
 *
 * The nodes are buckets, numbered by position from 0 on without gaps. Weights do not count, apart
 * from 0. Only the last bucket can come or go cheaply: taking out another renumbers all behind it,
 * so give a node that leaves weight 0 instead, and let a new one be the last.
 *
 * When a bucket's node has no weight or is not to be had, the key jumps again with the next hash of
 * a chain; so just the keys of that bucket move, each to its own next choice.
 */
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "hashring/hash.h"
#include "hashring/layout.h"

enum { MAX_JUMPS = 64 };

struct ring_table {
    uint32_t n;          /* buckets */
    uint32_t n_weighted; /* nodes with weight */
    uint16_t nodes[];    /* by bucket, NO_NODE: without weight; then once more those with weight */
};

static uint64_t jump_key_hash(const struct ring_options *options, const void *key, size_t n)
{
    (void)options;
    return XXH64(key, n, 0);
}

/* The bucket of key among n, at least one. */
static uint32_t jump(uint64_t key, uint32_t n)
{
    int64_t bucket = -1;
    int64_t next = 0;
    while (next < n) {
        bucket = next;
        key = key * UINT64_C(2862933555777941757) + 1;
        next = (int64_t)((double)(bucket + 1) *
                         ((double)(INT64_C(1) << 31) / (double)((key >> 33) + 1)));
    }
    return (uint32_t)bucket;
}

static int jump_build(struct ring *ring)
{
    const struct ring_entry **entries = ring_by_position(ring);
    size_t size = sizeof(struct ring_table) + (size_t)2 * ring->n * sizeof(uint16_t);
    struct ring_table *table = malloc(size);
    if (entries == NULL || table == NULL) {
        free(entries);
        free(table);
        return -ENOMEM;
    }
    table->n = ring->n;
    table->n_weighted = 0;
    for (uint32_t i = 0; i < ring->n; i++) {
        bool has_weight = entries[i]->weight > 0;
        table->nodes[i] = has_weight ? (uint16_t)entries[i]->index : NO_NODE;
        if (has_weight)
            table->nodes[table->n + table->n_weighted++] = (uint16_t)entries[i]->index;
    }
    /* Each bucket is as likely as any other, at the first jump and at all others. */
    for (uint32_t i = 0; i < ring->n; i++)
        ring->shares[i] = ring->entries[i].weight > 0 ? 1.0 / table->n_weighted : 0;
    ring->table = table;
    ring->table_size = size;
    free(entries);
    return 0;
}

/* Goes on from *at to a bucket whose node has weight, and leaves the next hash of the chain. With
 * few of them among many it ends by a jump among those alone. */
static uint32_t jump_on(const struct ring_table *table, uint64_t *at)
{
    if (table->n_weighted == 0)
        return RING_NONE;
    for (int i = 0; i < MAX_JUMPS; i++) {
        uint16_t node = table->nodes[jump(*at, table->n)];
        *at = mix64(*at + HASH_STEP);
        if (node != NO_NODE)
            return node;
    }
    return table->nodes[table->n + jump(*at, table->n_weighted)];
}

static uint32_t jump_pick(const struct ring_table *table, uint64_t hash)
{
    return jump_on(table, &hash);
}

static uint32_t jump_walk_next(const struct ring_table *table, struct ring_walk *walk)
{
    return jump_on(table, &walk->at);
}

static uint32_t jump_slot(const struct ring_table *table, uint64_t hash, uint32_t *ret_n)
{
    *ret_n = table->n_weighted > 0 ? table->n : 0;
    return table->n_weighted > 0 ? jump(hash, table->n) : RING_NONE;
}

const struct ring_ops jump_ops = {
    .uses_position = true,
    .check = ring_check_nothing,
    .key_hash = jump_key_hash,
    .build = jump_build,
    .pick = jump_pick,
    .walk_next = jump_walk_next,
    .slot = jump_slot,
    .option = ring_option_none,
};
