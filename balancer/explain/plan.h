/*
 * What would happen to a pool's keys if its endpoints changed. Pure arithmetic over hashring/.
 */
#ifndef QUOIT_BALANCER_EXPLAIN_PLAN_H
#define QUOIT_BALANCER_EXPLAIN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hashring/ring.h"

/* Keys that are tried with rings other than tables of slots. */
#define PLAN_SAMPLES (1u << 20)

/* An endpoint as it is and as it would be. */
struct plan_side {
    bool is_there;
    double weight;
    uint32_t position; /* as in struct ring_node */
    double share;      /* of the keys; plan_make() writes it, and */
    double load;       /* of the traffic */
};

struct plan_endpoint {
    const char *id;
    struct plan_side before, after;
};

/* A key whose traffic is known: its share of the pool's requests, and how many endpoints share it
 * (1, or more where the pool spreads hot keys). */
struct plan_hot_key {
    uint64_t hash;
    double share;
    uint32_t alternatives;
};

struct plan {
    double moved;         /* keys whose first endpoint changes, of all */
    double necessary;     /* the least that has to move from the shares before to those after */
    double moved_traffic; /* requests whose endpoint changes, of all */
    uint64_t n_tried;     /* slots or keys */
    bool is_exact;        /* all slots were compared; else a sample of keys */
};

/*
 * Compares the rings of these options before and after. Every slot of a table of slots is compared,
 * of other rings PLAN_SAMPLES keys; shares are exact in any case. Loads count hot keys where they
 * are and the rest of the traffic by shares; a hot key's is divided among its endpoints by weight.
 * Ids must differ. Endpoints count as if they could be used, whatever their state.
 *
 * Returns 0, or the error of ring_new().
 */
int plan_make(const struct ring_options *options, struct plan_endpoint *endpoints, size_t n,
              const struct plan_hot_key *hot_keys, size_t n_hot_keys, struct plan *ret_plan);

#endif
