/*
 * Least requests: the endpoint that would have the fewest requests in flight per unit of weight if
 * it took this one. Counts of all workers, read as they are: a stale one costs evenness, not
 * correctness. Among equals the choice is random, so that workers do not agree on one.
 */
#include "balancer/policy/policies.h"

struct best {
    const struct member *member;
    double load;
    uint64_t n_equal; /* seen so far with this load */
    uint64_t random;
};

static double load_with_one_more(const struct member *member)
{
    return ((double)endpoint_in_flight(member->endpoint) + 1) / member->weight;
}

/* The k-th of equals replaces the one before with probability 1/k: each of them is as likely. */
static void consider(struct best *best, const struct member *member)
{
    double load = load_with_one_more(member);
    if (best->member != NULL && load > best->load)
        return;
    if (best->member == NULL || load < best->load)
        best->n_equal = 0;
    best->n_equal++;
    if (best->n_equal == 1 || pick_random(&best->random) % best->n_equal == 0)
        best->member = member;
    best->load = load;
}

static struct endpoint *least_requests_pick(const struct pick *pick)
{
    struct best best = {.random = pick->random};
    for (uint32_t i = 0; i < pick->snapshot->n; i++) {
        if (pick_allows(pick, &pick->snapshot->members[i]))
            consider(&best, &pick->snapshot->members[i]);
    }
    return best.member != NULL ? best.member->endpoint : NULL;
}

const struct policy_ops policy_least_requests = {
    .name = "least_requests",
    .pick = least_requests_pick,
};
