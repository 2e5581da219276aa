/*
 * Round robin, smooth and weighted: earliest deadline first. A member of weight w is due every 1/w
 * of a virtual time; the one that is due first takes the request. Equal members take turns, a
 * member of twice the weight comes up twice as often and evenly spaced, and weights are real.
 *
 *   turns[0 .. n_due)   a heap by deadline
 *   turns[n_due .. n)   parked: found unusable when they were due
 *
 * An unusable member is parked, so that it costs nothing while it is away; every pick looks at one
 * parked member and takes it back if it has recovered, at its next deadline, so that it neither
 * gets a burst nor starves. A member that this request has tried keeps its turn for the next one.
 */
#include <stdlib.h>

#include "balancer/policy/policies.h"

struct turn {
    double deadline, period;
    uint32_t member;
};

struct policy_state {
    double now; /* the deadline of the last turn taken */
    uint32_t n_due, n;
    uint32_t next_parked; /* which parked one is looked at next */
    struct turn turns[];
};

static void swap_turns(struct turn *a, struct turn *b)
{
    struct turn turn = *a;
    *a = *b;
    *b = turn;
}

static void sift_up(struct policy_state *state, uint32_t i)
{
    struct turn *turns = state->turns;
    while (i > 0 && turns[i].deadline < turns[(i - 1) / 2].deadline) {
        swap_turns(&turns[i], &turns[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct policy_state *state, uint32_t i)
{
    struct turn *turns = state->turns;
    for (;;) {
        uint32_t least = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < state->n_due; child++) {
            if (turns[child].deadline < turns[least].deadline)
                least = child;
        }
        if (least == i)
            return;
        swap_turns(&turns[i], &turns[least]);
        i = least;
    }
}

/* The weight as the rings see it. */
static double clamp_weight(double weight)
{
    const double least = 1.0 / 65536;
    const double most = 65536;
    return weight < least ? least : weight > most ? most : weight;
}

static struct policy_state *state_new(const struct snapshot *snapshot, uint64_t random)
{
    struct policy_state *state =
        calloc(1, sizeof(struct policy_state) + snapshot->n * sizeof(struct turn));
    if (state == NULL)
        return NULL;

    for (uint32_t i = 0; i < snapshot->n; i++) {
        if (!(snapshot->members[i].weight > 0))
            continue;
        double period = 1 / clamp_weight(snapshot->members[i].weight);
        double phase = (double)(pick_random(&random) >> 11) * 0x1p-53;
        state->turns[state->n_due] =
            (struct turn){.deadline = period * phase, .period = period, .member = i};
        sift_up(state, state->n_due++);
    }
    state->n = state->n_due;
    return state;
}

static void state_free(struct policy_state *state)
{
    free(state);
}

static void park_first(struct policy_state *state)
{
    state->n_due--;
    swap_turns(&state->turns[0], &state->turns[state->n_due]);
    sift_down(state, 0);
}

/* Takes turns[i], a parked one, back into the heap. */
static void put_back(struct policy_state *state, uint32_t i)
{
    swap_turns(&state->turns[i], &state->turns[state->n_due]);
    sift_up(state, state->n_due++);
}

/* The same for one that has missed turns: it comes up when it would have next. */
static void put_back_later(struct policy_state *state, uint32_t i)
{
    struct turn *turn = &state->turns[i];
    if (turn->deadline < state->now) {
        uint64_t missed = (uint64_t)((state->now - turn->deadline) / turn->period);
        turn->deadline += (double)(missed + 1) * turn->period;
    }
    put_back(state, i);
}

static const struct member *member_of(const struct pick *pick, const struct turn *turn)
{
    return &pick->snapshot->members[turn->member];
}

static bool is_usable(const struct pick *pick, const struct turn *turn)
{
    return endpoint_is_usable(member_of(pick, turn)->endpoint);
}

static void look_at_one_parked(const struct pick *pick, struct policy_state *state)
{
    uint32_t n_parked = state->n - state->n_due;
    if (n_parked == 0)
        return;
    uint32_t i = state->n_due + state->next_parked++ % n_parked;
    if (is_usable(pick, &state->turns[i]))
        put_back_later(state, i);
}

/* Takes back all that have recovered; whether there was one. */
static bool look_at_all_parked(const struct pick *pick, struct policy_state *state)
{
    uint32_t n_due = state->n_due;
    for (uint32_t i = n_due; i < state->n; i++) {
        if (is_usable(pick, &state->turns[i]))
            put_back_later(state, i);
    }
    return state->n_due > n_due;
}

/* The first due member that may take the request; parks the unusable ones due before it. */
static const struct member *take_turn(const struct pick *pick, struct policy_state *state)
{
    uint32_t n_due = state->n_due;
    while (state->n_due > 0 && !pick_allows(pick, member_of(pick, &state->turns[0])))
        park_first(state);

    const struct member *chosen = NULL;
    if (state->n_due > 0) {
        struct turn *turn = &state->turns[0];
        chosen = member_of(pick, turn);
        state->now = turn->deadline;
        turn->deadline += turn->period;
        sift_down(state, 0);
    }
    /* Those that this request has tried but others may use keep their turns. */
    for (uint32_t i = state->n_due; i < n_due; i++) {
        if (is_usable(pick, &state->turns[i]))
            put_back(state, i);
    }
    return chosen;
}

static struct endpoint *round_robin_pick(const struct pick *pick)
{
    struct policy_state *state = pick->state;
    const struct member *chosen;
    if (state == NULL) {
        chosen = pick_scan(pick, pick->random);
    } else {
        look_at_one_parked(pick, state);
        chosen = take_turn(pick, state);
        if (chosen == NULL && look_at_all_parked(pick, state))
            chosen = take_turn(pick, state);
    }
    return chosen != NULL ? chosen->endpoint : NULL;
}

const struct policy_ops policy_round_robin = {
    .name = "round_robin",
    .state_new = state_new,
    .state_free = state_free,
    .pick = round_robin_pick,
};
