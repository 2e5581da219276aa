#include "hashring/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "hashring/layout.h"

static const struct ring_ops *const kinds[] = {
    [RING_SLOTS] = &slots_ops,
    [RING_VNODES] = &vnodes_ops,
    [RING_NGINX] = &nginx_ops,
    [RING_LIBMEMCACHED] = &libmemcached_ops,
    [RING_LIBMEMCACHED_MD5] = &libmemcached_md5_ops,
    [RING_LIBMEMCACHED_WEIGHTED] = &libmemcached_weighted_ops,
    [RING_LIBMEMCACHED_SPY] = &libmemcached_spy_ops,
    [RING_HAPROXY] = &haproxy_ops,
    [RING_ENVOY_MAGLEV] = &envoy_maglev_ops,
    [RING_ENVOY_RING] = &envoy_ring_ops,
    [RING_JUMP] = &jump_ops,
};

static const struct ring_ops *ops_for(const struct ring_options *options)
{
    size_t kind = (size_t)options->kind;
    return kind < sizeof kinds / sizeof(const struct ring_ops *) ? kinds[kind] : NULL;
}

int ring_check_nothing(const struct ring_options *options)
{
    (void)options;
    return 0;
}

uint32_t ring_option_none(const struct ring_options *options)
{
    (void)options;
    return 0;
}

uint64_t ring_key_hash_seeded(const struct ring_options *options, const void *key, size_t n)
{
    return ring_hash(options->seed, key, n);
}

uint64_t ring_key_hash(const struct ring_options *options, const void *key, size_t n)
{
    const struct ring_ops *ops = ops_for(options);
    assert(ops != NULL);
    return ops->key_hash(options, key, n);
}

static uint64_t weight_in_units(double weight)
{
    if (!(weight > 0)) /* also NaN */
        return 0;
    if (weight >= 65536)
        return (uint64_t)65536 * WEIGHT_ONE;

    uint64_t units = (uint64_t)(weight * WEIGHT_ONE + 0.5); /* exact up to the rounding meant */
    return units > 0 ? units : 1;
}

static int compare_entries(const struct ring_entry *a, const struct ring_entry *b)
{
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;

    size_t common = a->id_len < b->id_len ? a->id_len : b->id_len;
    int order = common > 0 ? memcmp(a->id, b->id, common) : 0;
    if (order != 0)
        return order;
    return (a->id_len > b->id_len) - (a->id_len < b->id_len);
}

static int compare_sorted(const void *a, const void *b)
{
    return compare_entries(*(struct ring_entry *const *)a, *(struct ring_entry *const *)b);
}

static size_t ids_size(const struct ring_node *nodes, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += nodes[i].id_len;
    return size;
}

static void fill_entries(struct ring *ring, const struct ring_node *nodes)
{
    char *ids = ring->ids;
    for (uint32_t i = 0; i < ring->n; i++) {
        struct ring_entry *entry = &ring->entries[i];
        if (nodes[i].id_len > 0)
            memcpy(ids, nodes[i].id, nodes[i].id_len);
        entry->id = ids;
        entry->id_len = nodes[i].id_len;
        entry->hash = ring_hash(ring->options.seed, ids, entry->id_len);
        entry->weight = weight_in_units(nodes[i].weight);
        entry->index = i;
        entry->position = nodes[i].position;
        ring->sorted[i] = entry;
        ring->total_weight += entry->weight;
        ids += entry->id_len;
    }
}

/* Sorts and numbers the entries; -EINVAL when an id comes twice. */
static int sort_entries(struct ring *ring)
{
    qsort(ring->sorted, ring->n, sizeof(struct ring_entry *), compare_sorted);
    for (uint32_t i = 0; i < ring->n; i++) {
        if (i > 0 && compare_entries(ring->sorted[i - 1], ring->sorted[i]) == 0)
            return -EINVAL;
        ring->sorted[i]->order = i;
    }
    return 0;
}

static int compare_positions(const void *a, const void *b)
{
    const struct ring_entry *left = *(const struct ring_entry *const *)a;
    const struct ring_entry *right = *(const struct ring_entry *const *)b;
    return (left->position > right->position) - (left->position < right->position);
}

const struct ring_entry **ring_by_position(const struct ring *ring)
{
    size_t size = sizeof(const struct ring_entry *);
    const struct ring_entry **entries = malloc((ring->n + (size_t)1) * size);
    if (entries == NULL)
        return NULL;
    for (uint32_t i = 0; i < ring->n; i++)
        entries[i] = &ring->entries[i];
    qsort(entries, ring->n, size, compare_positions);
    return entries;
}

/* -EINVAL when positions count and one comes twice; -ENOMEM. */
static int check_positions(const struct ring *ring)
{
    if (!ring->ops->uses_position)
        return 0;
    const struct ring_entry **entries = ring_by_position(ring);
    if (entries == NULL)
        return -ENOMEM;
    int r = 0;
    for (uint32_t i = 1; i < ring->n; i++) {
        if (entries[i - 1]->position == entries[i]->position)
            r = -EINVAL;
    }
    free(entries);
    return r;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(value >> shift);
    return at;
}

static int fill_digest(struct ring *ring)
{
    enum { HEADER_BYTES = 5 * 8, ENTRY_BYTES = 3 * 8 };
    size_t size = HEADER_BYTES + ring->n * (size_t)ENTRY_BYTES + ring->ids_size;
    uint8_t *bytes = malloc(size);
    if (bytes == NULL)
        return -ENOMEM;

    uint8_t *at = put_u64(bytes, RING_VERSION);
    at = put_u64(at, (uint64_t)ring->options.kind);
    at = put_u64(at, ring->ops->option(&ring->options));
    at = put_u64(at, ring->options.seed);
    at = put_u64(at, ring->n);
    for (uint32_t i = 0; i < ring->n; i++) {
        const struct ring_entry *entry = ring->sorted[i];
        at = put_u64(at, entry->weight);
        if (ring->ops->uses_position)
            at = put_u64(at, entry->position);
        at = put_u64(at, entry->id_len);
        if (entry->id_len > 0)
            memcpy(at, entry->id, entry->id_len);
        at += entry->id_len;
    }
    assert(at <= bytes + size);

    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, (size_t)(at - bytes)));
    static_assert(sizeof canonical.digest == sizeof ring->digest, "128 bits");
    memcpy(ring->digest, canonical.digest, sizeof ring->digest);
    free(bytes);
    return 0;
}

/* A ring with all but its table. */
static int ring_prepare(const struct ring_options *options, const struct ring_node *nodes, size_t n,
                        struct ring **ret_ring)
{
    const struct ring_ops *ops = ops_for(options);
    if (ops == NULL || ops->check(options) < 0 || n > RING_MAX_NODES)
        return -EINVAL;

    struct ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL)
        return -ENOMEM;
    ring->ops = ops;
    ring->options = *options;
    ring->n = (uint32_t)n;
    ring->ids_size = ids_size(nodes, n);
    /* One more of each: no allocation of zero bytes. */
    ring->entries = calloc(n + 1, sizeof ring->entries[0]);
    ring->sorted = calloc(n + 1, sizeof(struct ring_entry *));
    ring->shares = calloc(n + 1, sizeof ring->shares[0]);
    ring->ids = malloc(ring->ids_size + 1);

    int r = -ENOMEM;
    if (ring->entries != NULL && ring->sorted != NULL && ring->shares != NULL &&
        ring->ids != NULL) {
        fill_entries(ring, nodes);
        r = sort_entries(ring);
        if (r == 0)
            r = check_positions(ring);
        if (r == 0)
            r = fill_digest(ring);
    }
    if (r < 0) {
        ring_free(ring);
        return r;
    }
    *ret_ring = ring;
    return 0;
}

int ring_new(const struct ring_options *options, const struct ring_node *nodes, size_t n,
             struct ring **ret_ring)
{
    struct ring *ring;
    int r = ring_prepare(options, nodes, n, &ring);
    if (r < 0)
        return r;

    r = ring->ops->build(ring);
    if (r < 0) {
        ring_free(ring);
        return r;
    }
    *ret_ring = ring;
    return 0;
}

/* Matches the nodes of both rings by id; NULL when memory is out. */
static uint32_t *match_nodes(const struct ring *old, const struct ring *now)
{
    uint32_t *index_now = malloc((old->n + (size_t)1) * sizeof index_now[0]);
    if (index_now == NULL)
        return NULL;

    uint32_t i = 0;
    for (uint32_t j = 0; j < old->n; j++) {
        const struct ring_entry *entry = old->sorted[j];
        while (i < now->n && compare_entries(now->sorted[i], entry) < 0)
            i++;
        bool same = i < now->n && compare_entries(now->sorted[i], entry) == 0;
        index_now[entry->index] = same ? now->sorted[i]->index : RING_NONE;
    }
    return index_now;
}

int ring_derive(const struct ring *old, const struct ring_node *nodes, size_t n,
                struct ring **ret_ring)
{
    if (old->ops->derive == NULL)
        return ring_new(&old->options, nodes, n, ret_ring);

    struct ring *ring;
    int r = ring_prepare(&old->options, nodes, n, &ring);
    if (r < 0)
        return r;

    uint32_t *index_now = match_nodes(old, ring);
    r = index_now != NULL ? ring->ops->derive(ring, old, index_now) : -ENOMEM;
    free(index_now);
    if (r < 0) {
        ring_free(ring);
        return r;
    }
    *ret_ring = ring;
    return 0;
}

void ring_free(struct ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->table);
    free(ring->ids);
    free(ring->shares);
    free(ring->sorted);
    free(ring->entries);
    free(ring);
}

uint32_t ring_pick(const struct ring *ring, uint64_t hash)
{
    return ring->ops->pick(ring->table, hash);
}

void ring_walk_start(struct ring_walk *walk, const struct ring *ring, uint64_t hash)
{
    *walk = (struct ring_walk){.ring = ring, .at = hash};
}

uint32_t ring_walk_next(struct ring_walk *walk)
{
    return walk->ring->ops->walk_next(walk->ring->table, walk);
}

double ring_share(const struct ring *ring, uint32_t node)
{
    assert(node < ring->n);
    return ring->shares[node];
}

uint32_t ring_slot(const struct ring *ring, uint64_t hash, uint32_t *ret_n)
{
    return ring->ops->slot(ring->table, hash, ret_n);
}

uint32_t ring_position(const struct ring *ring, uint32_t node)
{
    assert(node < ring->n);
    return ring->entries[node].position;
}

size_t ring_size_bytes(const struct ring *ring)
{
    size_t per_node =
        sizeof ring->entries[0] + sizeof(struct ring_entry *) + sizeof ring->shares[0];
    return sizeof *ring + (ring->n + (size_t)1) * per_node + ring->ids_size + 1 + ring->table_size;
}

const struct ring_options *ring_options_of(const struct ring *ring)
{
    return &ring->options;
}

void ring_digest(const struct ring *ring, uint8_t ret_digest[16])
{
    memcpy(ret_digest, ring->digest, sizeof ring->digest);
}
