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

const char *pick_way_word(enum pick_way way)
{
    static const char *const words[] = {
#define X(name, word) [PICK_##name] = (word),
        PICK_WAYS(X)
#undef X
    };
    return words[way];
}

const char *pick_verdict_word(enum pick_verdict verdict)
{
    static const char *const words[] = {
#define X(name, word) [PICK_VERDICT_##name] = (word),
        PICK_VERDICTS(X)
#undef X
    };
    return words[verdict];
}

void pick_way(const struct pick *pick, enum pick_way way, uint32_t alternatives)
{
    if (pick->trace == NULL)
        return;
    pick->trace->way = way;
    pick->trace->alternatives = alternatives;
}

static struct pick_candidate *candidate_of(struct pick_trace *trace, uint32_t member)
{
    for (uint32_t i = 0; i < trace->n; i++) {
        if (trace->candidates[i].member == member)
            return &trace->candidates[i];
    }
    return trace->n < trace->max ? &trace->candidates[trace->n++] : NULL;
}

void pick_note(const struct pick *pick, const struct member *member, enum pick_verdict verdict)
{
    if (pick->trace == NULL)
        return;
    uint32_t index = (uint32_t)(member - pick->snapshot->members);
    struct pick_candidate *candidate = candidate_of(pick->trace, index);
    if (candidate == NULL)
        return;
    *candidate = (struct pick_candidate){
        .member = index,
        .verdict = verdict,
        .in_flight = endpoint_in_flight(member->endpoint),
        .limit = pick_limit(pick->snapshot, member, pick->in_flight),
    };
}

bool pick_allows(const struct pick *pick, const struct member *member)
{
    enum pick_verdict verdict;
    if (!(member->weight > 0))
        verdict = PICK_VERDICT_WEIGHTLESS;
    else if (!endpoint_is_usable(member->endpoint))
        verdict = PICK_VERDICT_UNUSABLE;
    else if (was_tried(pick, member->endpoint))
        verdict = PICK_VERDICT_TRIED;
    else if (pick->max_connections != 0 &&
             !endpoint_has_room(member->endpoint, pick->max_connections))
        verdict = PICK_VERDICT_FULL;
    else
        return true;
    pick_note(pick, member, verdict);
    return false;
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

static void note_choice(const struct pick *pick, const struct endpoint *endpoint)
{
    const struct snapshot *snapshot = pick->snapshot;
    if (endpoint == NULL)
        pick_way(pick, PICK_NOBODY, 1);
    for (uint32_t i = 0; endpoint != NULL && pick->trace->max > 0 && i < snapshot->n; i++) {
        if (snapshot->members[i].endpoint == endpoint)
            pick_note(pick, &snapshot->members[i], PICK_VERDICT_CHOSEN);
    }
}

struct endpoint *policy_pick(const struct pick *pick)
{
    if (pick->trace != NULL)
        *pick->trace = (struct pick_trace){
            .way = PICK_TURN,
            .alternatives = 1,
            .max = pick->trace->max,
            .candidates = pick->trace->candidates,
        };
    struct endpoint *endpoint = policy_for(pick->snapshot->conf->algorithm)->pick(pick);
    if (pick->trace != NULL)
        note_choice(pick, endpoint);
    return endpoint;
}

struct endpoint *policy_home(const struct pick *pick)
{
    const struct snapshot *snapshot = pick->snapshot;
    if (!pick->has_key || snapshot->ring == NULL)
        return NULL;
    uint32_t node = ring_pick(snapshot->ring, pick->hash);
    return node != RING_NONE ? snapshot->members[node].endpoint : NULL;
}
