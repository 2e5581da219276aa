/*
 * The merge by identity: a pool's endpoints as they are, and what its sources ask for, become its
 * endpoints as they shall be.
 *
 * An endpoint that stays keeps its object. One whose identity comes back at another address is
 * gone, and a new one has come. Pure: what to do about each is the caller's (struct merge_ops).
 */
#ifndef QUOIT_BALANCER_CONTROL_MERGE_H
#define QUOIT_BALANCER_CONTROL_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/control/ramp.h"
#include "balancer/control/wanted.h"
#include "balancer/pool/endpoint.h"
#include "balancer/pool/snapshot.h"

/* An endpoint as control tracks it. */
struct tracked {
    struct endpoint *endpoint; /* a reference */
    size_t position;           /* as in struct wanted */

    /* What its source and our probes say. */
    double weight;
    enum endpoint_source source;
    enum endpoint_probe probe;

    /* What has come of it (ramping.h). */
    double now_weight; /* that of the ring */
    struct ramp ramp;
    bool was_usable;            /* when its state was last set */
    uint64_t unusable_since_us; /* when it was last usable; of a first set: when it came */
};

/* Sorted by endpoint id. */
struct tracked_list {
    struct tracked *items;
    size_t n;
};

/* Called once for each endpoint, in the order of their identities. */
struct merge_ops {
    /* It is new: fills in *ret_tracked, or returns false and it is left out. */
    bool (*admit)(void *context, const struct wanted *wanted, struct tracked *ret_tracked);
    /* It stays, and takes over what wanted says. */
    void (*keep)(void *context, struct tracked *tracked, const struct wanted *wanted);
    /* It is gone; its reference is given back once this returns. */
    void (*retire)(void *context, struct tracked *tracked);
};

/* Makes list what wanted asks for. Returns 0, or -ENOMEM with nothing changed and nothing called.
 */
int merge(struct tracked_list *list, const struct wanted_list *wanted, const struct merge_ops *ops,
          void *context);

/* In the order that numbers them in rings: static endpoints as configured, then the discovered ones
 * by identity. The caller frees the array, which holds no references; NULL when memory is out. */
struct member *tracked_members(const struct tracked_list *list);

/* Gives all references back. */
void tracked_list_fini(struct tracked_list *list);

#endif
