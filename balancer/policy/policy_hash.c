/*
 * Consistent hashing: the endpoint that the ring gives the key, whichever kind of ring it is. One
 * that may not be used is skipped: exactly its keys move, each to its own next choice, and come
 * back when it recovers. Requests without a key take turns.
 */
#include "balancer/policy/policies.h"

#include "hashring/hash.h"

/* With one endpoint in fifty left a walk this long misses it once in 180 times. */
#define MAX_PROBES 256

static uint32_t probes_for(const struct snapshot *snapshot)
{
    return snapshot->n < MAX_PROBES / 4 ? 4 * snapshot->n : MAX_PROBES;
}

static const struct member *walk(const struct pick *pick)
{
    const struct snapshot *snapshot = pick->snapshot;
    struct ring_walk walk;
    ring_walk_start(&walk, snapshot->ring, pick->hash);
    for (uint32_t i = probes_for(snapshot); i > 0; i--) {
        uint32_t node = ring_walk_next(&walk);
        if (node == RING_NONE)
            return NULL;
        if (pick_allows(pick, &snapshot->members[node]))
            return &snapshot->members[node];
    }
    /* Where the scan begins hangs on the key alone, so the key stays where it lands. */
    return pick_scan(pick, mix64(pick->hash));
}

static struct endpoint *hash_pick(const struct pick *pick)
{
    if (!pick->has_key || pick->snapshot->ring == NULL)
        return policy_round_robin.pick(pick);
    const struct member *member = walk(pick);
    return member != NULL ? member->endpoint : NULL;
}

static struct policy_state *hash_state_new(const struct snapshot *snapshot, uint64_t random)
{
    return policy_round_robin.state_new(snapshot, random);
}

static void hash_state_free(struct policy_state *state)
{
    policy_round_robin.state_free(state);
}

const struct policy_ops policy_hash = {
    .name = "hash",
    .uses_key = true,
    .uses_ring = true,
    .state_new = hash_state_new,
    .state_free = hash_state_free,
    .pick = hash_pick,
};

const struct policy_ops policy_ring = {
    .name = "ring",
    .uses_key = true,
    .uses_ring = true,
    .state_new = hash_state_new,
    .state_free = hash_state_free,
    .pick = hash_pick,
};
