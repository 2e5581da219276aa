/*
 * A snapshot: the frozen view of one pool that workers pick from.
 *
 * Control builds it off every lock and publishes it (pool.h); it never changes afterwards. Indexes
 * of endpoints are those of the ring's nodes and mean nothing in another snapshot.
 */
#ifndef QUOIT_BALANCER_POOL_SNAPSHOT_H
#define QUOIT_BALANCER_POOL_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/pool/endpoint.h"
#include "conf/conf.h"
#include "hashring/ring.h"

struct member {
    struct endpoint *endpoint; /* a reference */
    double weight;             /* 0: takes no new requests */
};

struct snapshot {
    const struct conf_pool *conf;
    uint64_t number;             /* of its pool, from 1 on */
    struct ring *ring;           /* NULL for algorithms without one */
    struct sticky_index *sticky; /* by cookie; NULL: the pool has no cookie affinity */
    _Atomic uint32_t references;
    _Atomic double live_weight; /* of the usable members, all together: snapshot_count_live() */
    uint32_t n;
    struct member members[]; /* sorted by endpoint id */
};

/* One reference, no ring, number 0 and n members of zeroes for the maker to fill (endpoint may stay
 * NULL until it is given away); NULL when memory is out. */
struct snapshot *snapshot_new(const struct conf_pool *conf, uint32_t n);

struct snapshot *snapshot_ref(struct snapshot *snapshot);

/* Sums up live_weight. Control calls it before it publishes the snapshot, and again when a member's
 * state has changed. */
void snapshot_count_live(struct snapshot *snapshot);

/* With the last reference frees ring and index and gives back the endpoints; accepts NULL. */
void snapshot_unref(struct snapshot *snapshot);

#endif
