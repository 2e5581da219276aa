/*
 * Pools, endpoints and hot keys as JSON: what the admin API and `quoit ring` and `quoit plan` tell.
 *
 * Reads what workers and control share, as of about now, and writes nothing. Functions return a new
 * reference; they need memory as jansson does (discovery/json_memory.h: it does not run out).
 */
#ifndef QUOIT_BALANCER_EXPLAIN_DESCRIBE_H
#define QUOIT_BALANCER_EXPLAIN_DESCRIBE_H

#include <jansson.h>

#include "balancer/pool/pool.h"

/* { id, address, state, usable, since, weight, in_flight, connections }; the last are those in use,
 * counted where the pool has max_connections. */
json_t *describe_endpoint(const struct member *member);

/*
 * A pool: its name, algorithm, affinity, service, how many endpoints are static, snapshot number,
 * requests in flight, ring and endpoints. ring is null for algorithms without one, else { version,
 * digest, slots, points, table_size, min_ring, haproxy_hash, haproxy_avalanche, seed }: all that
 * its layout hangs on beside the endpoints. Each of these has, on top of describe_endpoint(), its
 * limit of requests in flight (null: none), and its share of the ring and its position there.
 */
json_t *describe_pool(struct pool *pool);

/* { pools: [ describe_pool() … ] } */
json_t *describe_pools(struct pool *pools, size_t n_pools);

/* { pool, snapshot, requests, keys: [ { key, hash, share, alternatives, endpoint } … ] }: the hot
 * keys, the hottest first, with their first endpoint and how many share one's load. */
json_t *describe_hot_keys(struct pool *pool);

/* A key: { text, bytes }, bytes in hexadecimal where text is not exactly them; cut: text is only
 * the first part. */
json_t *describe_key(struct span key, bool is_cut);

#endif
