/*
 * The way back from describe_pool(): a pool's ring from its JSON.
 */
#ifndef QUOIT_BALANCER_EXPLAIN_RECALL_H
#define QUOIT_BALANCER_EXPLAIN_RECALL_H

#include <jansson.h>

#include "balancer/explain/plan.h"

/* The digest of a ring, in hexadecimal, and a NUL. */
#define RECALL_DIGEST_SIZE 33

/*
 * Reads the options of the pool's ring. Returns 0, -ENOENT when its algorithm has none, -EPROTO
 * when the layout has another version here or the JSON is not describe_pool()'s.
 */
int recall_options(const json_t *pool, struct ring_options *ret_options);

/*
 * Reads the pool's endpoints as both sides of a plan; room has as many as the JSON's endpoints.
 * Texts live as long as pool. Returns 0, or -EPROTO.
 */
int recall_endpoints(const json_t *pool, struct plan_endpoint *room);

/* The digest of the ring over the endpoints as they are before. Returns 0 or the error of
 * ring_new(). */
int recall_digest(const struct ring_options *options, const struct plan_endpoint *endpoints,
                  size_t n, char ret_digest[RECALL_DIGEST_SIZE]);

/* Reads describe_hot_keys()'s keys; room has as many. Returns 0, or -EPROTO. */
int recall_hot_keys(const json_t *hot_keys, struct plan_hot_key *room);

#endif
