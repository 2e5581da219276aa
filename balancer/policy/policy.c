#include "balancer/policy/policy.h"

#include <assert.h>
#include <stddef.h>

#include "balancer/policy/policies.h"
#include "hashring/hash.h"

static const struct policy_ops *const policies[] = {
    [CONF_ALGORITHM_HASH] = &policy_hash,
    [CONF_ALGORITHM_RING] = &policy_ring,
    [CONF_ALGORITHM_ROUND_ROBIN] = &policy_round_robin,
    [CONF_ALGORITHM_LEAST_REQUESTS] = &policy_least_requests,
    [CONF_ALGORITHM_RANDOM_TWO] = &policy_random_two,
    [CONF_ALGORITHM_NGINX] = &policy_nginx,
    [CONF_ALGORITHM_LIBMEMCACHED] = &policy_libmemcached,
    [CONF_ALGORITHM_LIBMEMCACHED_MD5] = &policy_libmemcached_md5,
    [CONF_ALGORITHM_LIBMEMCACHED_WEIGHTED] = &policy_libmemcached_weighted,
    [CONF_ALGORITHM_LIBMEMCACHED_SPY] = &policy_libmemcached_spy,
    [CONF_ALGORITHM_HAPROXY] = &policy_haproxy,
    [CONF_ALGORITHM_ENVOY_MAGLEV] = &policy_envoy_maglev,
    [CONF_ALGORITHM_ENVOY_RING] = &policy_envoy_ring,
    [CONF_ALGORITHM_JUMP] = &policy_jump,
};

const struct policy_ops *policy_for(enum conf_algorithm algorithm)
{
    size_t i = (size_t)algorithm;
    assert(i < sizeof policies / sizeof(const struct policy_ops *));
    return policies[i];
}

static bool was_tried(const struct pick *pick, const struct endpoint *endpoint)
{
    for (uint32_t i = 0; i < pick->n_tried; i++) {
        if (pick->tried[i] == endpoint)
            return true;
    }
    return false;
}

bool pick_allows(const struct pick *pick, const struct member *member)
{
    return member->weight > 0 && endpoint_is_usable(member->endpoint) &&
           !was_tried(pick, member->endpoint);
}

uint64_t pick_random(uint64_t *stream)
{
    *stream += HASH_STEP;
    return mix64(*stream);
}

const struct member *pick_scan(const struct pick *pick, uint64_t start)
{
    const struct snapshot *snapshot = pick->snapshot;
    uint32_t at = snapshot->n > 0 ? (uint32_t)(start % snapshot->n) : 0;
    for (uint32_t i = 0; i < snapshot->n; i++) {
        const struct member *member = &snapshot->members[at];
        if (pick_allows(pick, member))
            return member;
        at = at + 1 < snapshot->n ? at + 1 : 0;
    }
    return NULL;
}

struct policy_state *policy_state_new(const struct snapshot *snapshot, uint64_t random)
{
    const struct policy_ops *ops = policy_for(snapshot->conf->algorithm);
    return ops->state_new != NULL ? ops->state_new(snapshot, random) : NULL;
}

void policy_state_free(const struct snapshot *snapshot, struct policy_state *state)
{
    if (state != NULL)
        policy_for(snapshot->conf->algorithm)->state_free(state);
}

struct endpoint *policy_pick(const struct pick *pick)
{
    return policy_for(pick->snapshot->conf->algorithm)->pick(pick);
}

struct endpoint *policy_home(const struct pick *pick)
{
    const struct snapshot *snapshot = pick->snapshot;
    if (!pick->has_key || snapshot->ring == NULL)
        return NULL;
    uint32_t node = ring_pick(snapshot->ring, pick->hash);
    return node != RING_NONE ? snapshot->members[node].endpoint : NULL;
}
