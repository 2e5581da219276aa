/*
 * What the sources of a pool ask for: its endpoints as configuration and Consul name them, each
 * under its identity. Pure: no clock, no log, no lookup.
 */
#ifndef QUOIT_BALANCER_CONTROL_WANTED_H
#define QUOIT_BALANCER_CONTROL_WANTED_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/pool/endpoint.h"
#include "conf/conf.h"
#include "discovery/discovery.h"

/* The position of discovered endpoints: behind every static one. */
#define WANTED_BEHIND_STATICS SIZE_MAX

/* One endpoint as its source has it. */
struct wanted {
    char *id;         /* its identity, the list's own */
    const char *host; /* belongs to the source, as all text below */
    uint16_t port;
    double weight;
    size_t position; /* among static endpoints, else WANTED_BEHIND_STATICS */
    enum endpoint_source source;
};

/* Sorted by id, without duplicates. */
struct wanted_list {
    struct wanted *items;
    size_t n;
};

/*
 * The pool's static endpoints and the instances of set (NULL: none), which both must outlive the
 * list. Where they name the same endpoint the static one stays. Returns 0 or -ENOMEM.
 */
int wanted_list_build(const struct conf_pool *conf, const struct instance_set *set,
                      struct wanted_list *ret_list);
void wanted_list_free(struct wanted_list *list);

#endif
