/*
 * What the public face (ring.c) and the kinds of ring (slots.c, vnodes.c) share. Private to
 * hashring/.
 */
#ifndef QUOIT_HASHRING_LAYOUT_H
#define QUOIT_HASHRING_LAYOUT_H

#include <stdbool.h>

#include "hashring/ring.h"

/* How a node is written in the tables of the data path; fits RING_MAX_NODES. */
#define NO_NODE UINT16_MAX

#define WEIGHT_ONE (1u << 16)

struct ring_entry {
    const char *id;
    size_t id_len;
    uint64_t hash;   /* of the id under the ring's seed */
    uint64_t weight; /* in units of 2^-16; 0: owns nothing */
    uint32_t index;  /* in the array given to ring_new() */
    uint32_t order;  /* by hash, then id: settles every tie, whatever the order of arrival */
    uint32_t position;
};

/* One table a kind; made by its ops, freed as one block. */
struct ring_table;

struct ring {
    const struct ring_ops *ops;
    struct ring_options options;
    uint32_t n;
    uint64_t total_weight;
    struct ring_entry *entries; /* by index */
    struct ring_entry **sorted; /* by order */
    char *ids;                  /* the bytes of all ids */
    size_t ids_size;
    double *shares; /* by index; the ops fill it */
    struct ring_table *table;
    size_t table_size;
    uint8_t digest[16];
};

struct ring_ops {
    bool uses_position; /* of nodes: they must differ, and are part of the digest */
    /* 0 or -EINVAL. */
    int (*check)(const struct ring_options *options);
    uint64_t (*key_hash)(const struct ring_options *options, const void *key, size_t n);
    /* Both fill table, table_size and shares of a ring whose entries are complete; return 0,
     * -ENOMEM or -E2BIG. index_now[i] is the index in ring of old's node i, or RING_NONE. Without
     * derive a ring is always built. */
    int (*build)(struct ring *ring);
    int (*derive)(struct ring *ring, const struct ring *old, const uint32_t *index_now);
    uint32_t (*pick)(const struct ring_table *table, uint64_t hash);
    uint32_t (*walk_next)(const struct ring_table *table, struct ring_walk *walk);
    uint32_t (*slot)(const struct ring_table *table, uint64_t hash, uint32_t *ret_n);
    uint32_t (*option)(const struct ring_options *options); /* the one that shapes the layout */
};

extern const struct ring_ops slots_ops;
extern const struct ring_ops vnodes_ops;
extern const struct ring_ops nginx_ops;
extern const struct ring_ops libmemcached_ops;
extern const struct ring_ops libmemcached_md5_ops;
extern const struct ring_ops libmemcached_weighted_ops;
extern const struct ring_ops libmemcached_spy_ops;
extern const struct ring_ops haproxy_ops;
extern const struct ring_ops envoy_maglev_ops;
extern const struct ring_ops envoy_ring_ops;
extern const struct ring_ops jump_ops;

/* check, option and key_hash of kinds that have none of their own. */
int ring_check_nothing(const struct ring_options *options);
uint32_t ring_option_none(const struct ring_options *options);
uint64_t ring_key_hash_seeded(const struct ring_options *options, const void *key, size_t n);

/* The ring's entries by position; the caller frees the array. NULL when memory is out. */
const struct ring_entry **ring_by_position(const struct ring *ring);

#endif
