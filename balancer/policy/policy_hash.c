/*
 * Consistent hashing: a key's endpoints in the order of its walk over the ring, whichever kind of
 * ring it is.
 *
 * - One that may not be used is skipped: exactly its keys move, each to its own next choice, and
 *   come back when it recovers.
 * - One over its bound (bound.c) is passed by: the key overflows to its next choice.
 * - A hot key brings more than a part (hot_key_share) of one endpoint's fair load. While its first
 *   endpoint has BUSY requests or more in flight it is served by the first of its walk, as many as
 * it has such parts: each time by the least busy. Balancers that share nothing come to the same
 * ones.
 *
 * Requests without a key take turns, and so do those whose walk ends.
 */
#include <math.h>

#include "balancer/policy/policies.h"
#include "hashring/hash.h"

/* With one endpoint in fifty left a walk this long misses it once in 180 times. A walk that has an
 * end of its own (nginx's, of 21 steps) comes to it. */
#define MAX_PROBES 256
#define MIN_PROBES 24

/* With fewer in flight an endpoint has no load to be relieved of. The simulation (tests/sim) does
 * as well with 4 as with 0, and light traffic stays at home. */
#define BUSY 4

/* A hot key's endpoints; what is too much for so many overflows from there. */
#define MAX_ALTERNATIVES 32

/* A walk over the members that may take the request. */
struct search {
    const struct pick *pick;
    struct ring_walk walk;
    uint32_t probes; /* left */
    bool has_ended;  /* the ring's own walk did */
};

static uint32_t probes_for(const struct snapshot *snapshot)
{
    uint32_t n = snapshot->n < MAX_PROBES / 4 ? 4 * snapshot->n : MAX_PROBES;
    return n > MIN_PROBES ? n : MIN_PROBES;
}

/* The next one, which may have come before; NULL at the end. */
static const struct member *search_next(struct search *search)
{
    const struct snapshot *snapshot = search->pick->snapshot;
    while (search->probes > 0) {
        search->probes--;
        uint32_t node = ring_walk_next(&search->walk);
        if (node == RING_NONE) {
            search->has_ended = true;
            return NULL;
        }
        if (pick_allows(search->pick, &snapshot->members[node]))
            return &snapshot->members[node];
    }
    return NULL;
}

static bool is_under_bound(const struct pick *pick, const struct member *member)
{
    double limit = pick_limit(pick->snapshot, member, pick->in_flight);
    if (!isfinite(limit) || endpoint_in_flight(member->endpoint) < limit)
        return true;
    pick_note(pick, member, PICK_VERDICT_OVER_BOUND);
    return false;
}

/* The first one under its bound from member on; NULL when all that the walk meets are over. */
static const struct member *pass_by_full(struct search *search, const struct member *member)
{
    while (member != NULL && !is_under_bound(search->pick, member))
        member = search_next(search);
    return member;
}

/* How many endpoints the key needs so that it brings none more than its part. */
static uint32_t alternatives_for(const struct pick *pick, const struct member *home)
{
    const struct conf_pool *conf = pick->snapshot->conf;
    if (!(pick->key_share > 0) || !(conf->hot_key_share > 0))
        return 1;
    if (endpoint_in_flight(home->endpoint) < BUSY)
        return 1;
    double live = atomic_load_explicit(&pick->snapshot->live_weight, memory_order_relaxed);
    double parts = pick->key_share * live / (home->weight * conf->hot_key_share);
    uint32_t most = pick->snapshot->n < MAX_ALTERNATIVES ? pick->snapshot->n : MAX_ALTERNATIVES;
    return parts >= most ? most : parts > 1 ? (uint32_t)ceil(parts) : 1;
}

static double load_of(const struct member *member)
{
    return (double)endpoint_in_flight(member->endpoint) / member->weight;
}

static bool is_among(const struct member *const *members, uint32_t n, const struct member *member)
{
    for (uint32_t i = 0; i < n; i++) {
        if (members[i] == member)
            return true;
    }
    return false;
}

/* The least busy of the first n that the walk meets; home, the first of them, among equals. */
static const struct member *least_busy(struct search *search, const struct member *home, uint32_t n)
{
    const struct member *seen[MAX_ALTERNATIVES] = {home};
    const struct member *best = home, *member;
    double least = load_of(home);
    for (uint32_t n_seen = 1; n_seen < n && (member = search_next(search)) != NULL;) {
        if (is_among(seen, n_seen, member))
            continue;
        seen[n_seen++] = member;
        double load = load_of(member);
        pick_note(search->pick, load < least ? best : member, PICK_VERDICT_BUSIER);
        if (load < least) {
            best = member;
            least = load;
        }
    }
    return best;
}

/* Affinity `cache`: home is the first of the walk. */
static const struct member *pick_by_load(struct search *search, const struct member *home)
{
    const struct pick *pick = search->pick;
    const struct member *best = home;
    uint32_t n = alternatives_for(pick, home);
    if (n > 1) {
        best = least_busy(search, home, n);
        pick_way(pick, best != home ? PICK_HOT : PICK_HOME, n);
    }
    const struct member *member = pass_by_full(search, best);
    if (member != NULL && member != best)
        pick_way(pick, PICK_OVERFLOW, n);
    return member != NULL ? member : best;
}

static struct endpoint *hash_pick(const struct pick *pick)
{
    const struct snapshot *snapshot = pick->snapshot;
    if (!pick->has_key || snapshot->ring == NULL)
        return policy_round_robin.pick(pick);

    struct search search = {.pick = pick, .probes = probes_for(snapshot)};
    ring_walk_start(&search.walk, snapshot->ring, pick->hash);
    uint32_t probes = search.probes;
    const struct member *member = search_next(&search);
    if (member != NULL) {
        pick_way(pick, search.probes + 1 == probes ? PICK_HOME : PICK_NEXT, 1);
        if (snapshot->conf->affinity == CONF_AFFINITY_CACHE)
            member = pick_by_load(&search, member);
    } else if (search.has_ended) {
        return policy_round_robin.pick(pick);
    } else {
        pick_way(pick, PICK_SCAN, 1);
        /* Where the scan begins hangs on the key alone, so the key stays where it lands. */
        member = pick_scan(pick, mix64(pick->hash));
    }
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
