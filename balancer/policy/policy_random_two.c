/*
 * Two random choices: of two different endpoints drawn by weight, the one with fewer requests in
 * flight for its weight (Mitzenmacher, "The power of two choices in randomized load balancing").
 *
 * Draws come from an alias table (Vose's method): a column for each member, split in two at a
 * threshold, so that one draw is one random number and one load whatever the weights.
 */
#include <stdlib.h>

#include "balancer/policy/policies.h"

/* Half of the endpoints away: the second choice is missed once in 10^9 times. */
#define MAX_DRAWS 32

struct column {
    uint32_t threshold; /* of 2^32; below it the column's own member, else the alias */
    uint32_t alias;
};

struct policy_state {
    uint32_t n;
    struct column columns[];
};

/* Members whose columns are not yet full, or too full. */
struct stacks {
    double *fill; /* by member; 1 is a full column */
    uint32_t *small, *large;
    uint32_t n_small, n_large;
};

static double weight_of(const struct member *member)
{
    return member->weight > 0 ? member->weight : 0;
}

static void stacks_free(struct stacks *stacks)
{
    free(stacks->fill);
    free(stacks->small);
    free(stacks->large);
}

static bool stacks_init(struct stacks *stacks, uint32_t n)
{
    *stacks = (struct stacks){
        .fill = calloc(n + (size_t)1, sizeof(double)),
        .small = calloc(n + (size_t)1, sizeof(uint32_t)),
        .large = calloc(n + (size_t)1, sizeof(uint32_t)),
    };
    if (stacks->fill != NULL && stacks->small != NULL && stacks->large != NULL)
        return true;
    stacks_free(stacks);
    return false;
}

static void push(struct stacks *stacks, uint32_t member)
{
    if (stacks->fill[member] < 1)
        stacks->small[stacks->n_small++] = member;
    else
        stacks->large[stacks->n_large++] = member;
}

static void fill_stacks(struct stacks *stacks, const struct snapshot *snapshot)
{
    double total = 0;
    for (uint32_t i = 0; i < snapshot->n; i++)
        total += weight_of(&snapshot->members[i]);
    for (uint32_t i = 0; i < snapshot->n; i++) {
        double weight = weight_of(&snapshot->members[i]);
        stacks->fill[i] = total > 0 ? weight * snapshot->n / total : 0;
        push(stacks, i);
    }
}

/* Fills up each small column with a piece of a large one. */
static void fill_columns(struct policy_state *state, struct stacks *stacks)
{
    while (stacks->n_small > 0 && stacks->n_large > 0) {
        uint32_t small = stacks->small[--stacks->n_small];
        uint32_t large = stacks->large[--stacks->n_large];
        state->columns[small] =
            (struct column){.threshold = (uint32_t)(stacks->fill[small] * 0x1p32), .alias = large};
        stacks->fill[large] -= 1 - stacks->fill[small];
        push(stacks, large);
    }
    /* What is left is full but for rounding. */
    while (stacks->n_large > 0) {
        uint32_t member = stacks->large[--stacks->n_large];
        state->columns[member] = (struct column){UINT32_MAX, member};
    }
    while (stacks->n_small > 0) {
        uint32_t member = stacks->small[--stacks->n_small];
        state->columns[member] = (struct column){UINT32_MAX, member};
    }
}

static struct policy_state *state_new(const struct snapshot *snapshot, uint64_t random)
{
    (void)random; /* every pick brings its own */
    struct policy_state *state =
        calloc(1, sizeof(struct policy_state) + snapshot->n * sizeof(struct column));
    struct stacks stacks;
    if (state == NULL || !stacks_init(&stacks, snapshot->n)) {
        free(state);
        return NULL;
    }
    state->n = snapshot->n;
    fill_stacks(&stacks, snapshot);
    fill_columns(state, &stacks);
    stacks_free(&stacks);
    return state;
}

static void state_free(struct policy_state *state)
{
    free(state);
}

/* The upper half of the random bits chooses the column, the lower half the side. */
static uint32_t draw(const struct policy_state *state, uint64_t random)
{
    uint32_t i = (uint32_t)(((random >> 32) * state->n) >> 32);
    const struct column *column = &state->columns[i];
    return (uint32_t)random < column->threshold ? i : column->alias;
}

/* An allowed member other than first (NULL: any), or NULL when the draws are used up. */
static const struct member *draw_allowed(const struct pick *pick, const struct member *first,
                                         uint64_t *random)
{
    for (int i = 0; i < MAX_DRAWS && pick->snapshot->n > 0; i++) {
        const struct member *member =
            &pick->snapshot->members[draw(pick->state, pick_random(random))];
        if (member != first && pick_allows(pick, member))
            return member;
    }
    return NULL;
}

static double load_of(const struct member *member)
{
    return (double)endpoint_in_flight(member->endpoint) / member->weight;
}

static struct endpoint *random_two_pick(const struct pick *pick)
{
    uint64_t random = pick->random;
    const struct member *first = NULL;
    const struct member *second = NULL;
    if (pick->state != NULL)
        first = draw_allowed(pick, NULL, &random);
    if (first == NULL)
        first = pick_scan(pick, random);
    else
        second = draw_allowed(pick, first, &random);

    if (first == NULL)
        return NULL;
    if (second != NULL && load_of(second) < load_of(first))
        return second->endpoint;
    return first->endpoint;
}

const struct policy_ops policy_random_two = {
    .name = "random_two",
    .state_new = state_new,
    .state_free = state_free,
    .pick = random_two_pick,
};
