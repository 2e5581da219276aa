/*
 * Policies: which endpoint of a snapshot serves a request.
 *
 * A policy is one file with one const struct policy_ops and one line in the table (policy.c).
 * pick() runs on a worker for every attempt: it may not block, allocate, lock or log. What it must
 * remember between picks (a schedule, a cursor) is its state: one a worker and pool, made anew for
 * each snapshot, outside the request path.
 */
#ifndef QUOIT_BALANCER_POLICY_POLICY_H
#define QUOIT_BALANCER_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/pool/snapshot.h"

#define PICK_MAX_TRIED 16

/* How a pick came to its endpoint. X(name, word) */
#define PICK_WAYS(X)                                                                               \
    X(NOBODY, "nobody")     /* there is none */                                                    \
    X(HOME, "home")         /* the first in the key's order */                                     \
    X(NEXT, "next")         /* those before it could not be used, or had been tried */             \
    X(OVERFLOW, "overflow") /* those before it were over their bound */                            \
    X(HOT, "hot")           /* the least busy of a hot key's */                                    \
    X(SCAN, "scan")         /* few can be used: the key's walk did not meet them */                \
    X(TURN, "turn")         /* without a key: whose turn it was, or who was least busy */

enum pick_way {
#define X(name, word) PICK_##name,
    PICK_WAYS(X)
#undef X
        PICK_N_WAYS
};

/* What a pick found out about one candidate. X(name, word) */
#define PICK_VERDICTS(X)                                                                           \
    X(CHOSEN, "chosen")                                                                            \
    X(UNUSABLE, "unusable")     /* endpoint_state_word() says why */                               \
    X(WEIGHTLESS, "weightless") /* weight 0: draining */                                           \
    X(TRIED, "tried")           /* failed this request */                                          \
    X(FULL, "full")             /* as many connections as it may have are in use */                \
    X(OVER_BOUND, "over_bound") /* in_flight is at the limit */                                    \
    X(BUSIER, "busier")         /* a hot key's, but not the least busy one */

enum pick_verdict {
#define X(name, word) PICK_VERDICT_##name,
    PICK_VERDICTS(X)
#undef X
        PICK_N_VERDICTS
};

struct pick_candidate {
    uint32_t member; /* its index in the snapshot */
    enum pick_verdict verdict;
    uint32_t in_flight;
    double limit; /* of in_flight; infinite where there is none */
};

/* What a pick tells about itself; made by the caller: max candidates have room, 0 for who wants to
 * know the way only. Each candidate is in it once, in the order in which it was looked at. */
struct pick_trace {
    enum pick_way way;
    uint32_t alternatives; /* among which a hot key's least busy endpoint was looked for; else 1 */
    uint32_t n, max;
    struct pick_candidate *candidates;
};

/* One choice to make; lives on the caller's stack. */
struct pick {
    const struct snapshot *snapshot;
    struct policy_state *state; /* of this worker and snapshot; NULL if the policy has none */
    uint64_t hash;              /* ring_key_hash() of the key; meaningless without has_key */
    bool has_key;
    double key_share;              /* pool_key_share() or its like: 0 if the key is not hot */
    uint32_t in_flight;            /* pool_in_flight(), without this request */
    uint64_t random;               /* fresh random bits */
    struct endpoint *const *tried; /* endpoints that failed this request, by pointer */
    uint32_t n_tried;              /* at most PICK_MAX_TRIED */
    uint32_t max_connections;      /* who has as many in use is passed by; 0: nobody is */
    struct pick_trace *trace;      /* NULL: nobody asks */
};

struct policy_state;

struct policy_ops {
    const char *name; /* as in the configuration */
    bool uses_key, uses_ring;
    /* NULL when the policy keeps no state. random makes workers start at different places. */
    struct policy_state *(*state_new)(const struct snapshot *snapshot, uint64_t random);
    void (*state_free)(struct policy_state *state);
    /* An usable, weighted, untried member's endpoint (no reference taken); NULL if there is none.
     */
    struct endpoint *(*pick)(const struct pick *pick);
};

/* Never NULL. */
const struct policy_ops *policy_for(enum conf_algorithm algorithm);

/* Whether member may take this request: weighted, usable, not tried and not full. */
bool pick_allows(const struct pick *pick, const struct member *member);

/* Picks by the snapshot's algorithm; a keyed policy without a key goes round robin. state may be
 * policy_state_new()'s NULL. */
struct policy_state *policy_state_new(const struct snapshot *snapshot, uint64_t random);
void policy_state_free(const struct snapshot *snapshot, struct policy_state *state);
struct endpoint *policy_pick(const struct pick *pick);

/* The words above, as logs and explanations write them. */
const char *pick_way_word(enum pick_way way);
const char *pick_verdict_word(enum pick_verdict verdict);

/* How many requests the member may have in flight when the pool has in_flight without the new one,
 * by the bounded load of its configuration: infinite where that sets no bound. */
double pick_limit(const struct snapshot *snapshot, const struct member *member, uint32_t in_flight);

/* The key's first choice whatever its state, for counting moves; NULL without a ring or key. */
struct endpoint *policy_home(const struct pick *pick);

#endif
