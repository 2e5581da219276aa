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

/* Why an instance goes by its address although the pool asks for service metadata. */
enum wanted_fallback {
    WANTED_NO_FALLBACK,
    WANTED_META_MISSING, /* it has none */
    WANTED_META_SHARED,  /* another endpoint goes by the same text */
};

/* One endpoint as its source has it. */
struct wanted {
    char *id;               /* its identity, the list's own */
    const char *host;       /* belongs to the source, as all text below */
    const char *service_id; /* NULL: it is static */
    enum wanted_fallback fallback;
    uint16_t port;
    double weight;
    size_t position; /* among static endpoints, else WANTED_BEHIND_STATICS */
    enum endpoint_source source;
};

/* Sorted by id, without duplicates. Who goes by its address is the same whatever the order of the
 * sources, so that all balancers agree. */
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
