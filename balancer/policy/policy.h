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

/* One choice to make; lives on the caller's stack. */
struct pick {
    const struct snapshot *snapshot;
    struct policy_state *state; /* of this worker and snapshot; NULL if the policy has none */
    uint64_t hash;              /* ring_key_hash() of the key; meaningless without has_key */
    bool has_key;
    uint64_t random;               /* fresh random bits */
    struct endpoint *const *tried; /* endpoints that failed this request, by pointer */
    uint32_t n_tried;              /* at most PICK_MAX_TRIED */
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

/* Whether member may take this request: weighted, usable and not tried. */
bool pick_allows(const struct pick *pick, const struct member *member);

/* Picks by the snapshot's algorithm; a keyed policy without a key goes round robin. state may be
 * policy_state_new()'s NULL. */
struct policy_state *policy_state_new(const struct snapshot *snapshot, uint64_t random);
void policy_state_free(const struct snapshot *snapshot, struct policy_state *state);
struct endpoint *policy_pick(const struct pick *pick);

/* The key's first choice whatever its state, for counting moves; NULL without a ring or key. */
struct endpoint *policy_home(const struct pick *pick);

#endif
