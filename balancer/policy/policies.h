/*
 * The policies themselves, for the table (policy.c) and for each other; and what they share.
 * Private to balancer/policy/.
 */
#ifndef QUOIT_BALANCER_POLICY_POLICIES_H
#define QUOIT_BALANCER_POLICY_POLICIES_H

#include "balancer/policy/policy.h"

extern const struct policy_ops policy_hash;
extern const struct policy_ops policy_ring;
extern const struct policy_ops policy_nginx;
extern const struct policy_ops policy_libmemcached;
extern const struct policy_ops policy_libmemcached_md5;
extern const struct policy_ops policy_libmemcached_weighted;
extern const struct policy_ops policy_libmemcached_spy;
extern const struct policy_ops policy_haproxy;
extern const struct policy_ops policy_envoy_maglev;
extern const struct policy_ops policy_envoy_ring;
extern const struct policy_ops policy_jump;
extern const struct policy_ops policy_round_robin;
extern const struct policy_ops policy_least_requests;
extern const struct policy_ops policy_random_two;

/* The next number of a pick's stream of random bits. */
uint64_t pick_random(uint64_t *stream);

/* For the trace, where there is one: how the choice is made, and what became of a candidate. */
void pick_way(const struct pick *pick, enum pick_way way, uint32_t alternatives);
void pick_note(const struct pick *pick, const struct member *member, enum pick_verdict verdict);

/* The first member at or after start, wherever it lies, that may take the request; NULL when there
 * is none. The last resort of the policies that probe. */
const struct member *pick_scan(const struct pick *pick, uint64_t start);

#endif
