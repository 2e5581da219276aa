/*
 * Consistent hashing: the endpoint that the ring gives the key, whichever kind of ring it is. One
 * that may not be used is skipped: exactly its keys move, each to its own next choice, and come
 * back when it recovers. Requests without a key take turns, and so do those whose walk ends.
 */
#include "balancer/policy/policies.h"

#include "hashring/hash.h"

/* With one endpoint in fifty left a walk this long misses it once in 180 times. A walk that has an
 * end of its own (nginx's, of 21 steps) comes to it. */
#define MAX_PROBES 256
#define MIN_PROBES 24

static uint32_t probes_for(const struct snapshot *snapshot)
{
    uint32_t n = snapshot->n < MAX_PROBES / 4 ? 4 * snapshot->n : MAX_PROBES;
    return n > MIN_PROBES ? n : MIN_PROBES;
}

static struct endpoint *walk(const struct pick *pick)
{
    const struct snapshot *snapshot = pick->snapshot;
    struct ring_walk walk;
    ring_walk_start(&walk, snapshot->ring, pick->hash);
    for (uint32_t i = probes_for(snapshot); i > 0; i--) {
        uint32_t node = ring_walk_next(&walk);
        if (node == RING_NONE)
            return policy_round_robin.pick(pick);
        if (pick_allows(pick, &snapshot->members[node]))
            return snapshot->members[node].endpoint;
    }
    /* Where the scan begins hangs on the key alone, so the key stays where it lands. */
    const struct member *member = pick_scan(pick, mix64(pick->hash));
    return member != NULL ? member->endpoint : NULL;
}

static struct endpoint *hash_pick(const struct pick *pick)
{
    if (!pick->has_key || pick->snapshot->ring == NULL)
        return policy_round_robin.pick(pick);
    return walk(pick);
}

static struct policy_state *hash_state_new(const struct snapshot *snapshot, uint64_t random)
{
    return policy_round_robin.state_new(snapshot, random);
}

static void hash_state_free(struct policy_state *state)
{
    policy_round_robin.state_free(state);
}

/* One policy for every kind of ring; the snapshot's is the one that its algorithm asks for. */
#define HASHES_AS(word)                                                                            \
    const struct policy_ops policy_##word = {                                                      \
        .name = #word,                                                                             \
        .uses_key = true,                                                                          \
        .uses_ring = true,                                                                         \
        .state_new = hash_state_new,                                                               \
        .state_free = hash_state_free,                                                             \
        .pick = hash_pick,                                                                         \
    }

HASHES_AS(hash);
HASHES_AS(ring);
HASHES_AS(nginx);
HASHES_AS(libmemcached);
HASHES_AS(libmemcached_md5);
HASHES_AS(libmemcached_weighted);
HASHES_AS(libmemcached_spy);
HASHES_AS(haproxy);
HASHES_AS(envoy_maglev);
HASHES_AS(envoy_ring);
HASHES_AS(jump);
