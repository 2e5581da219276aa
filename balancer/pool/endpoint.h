/*
 * An endpoint: one instance behind the balancer, alive across every change that does not concern
 * it.
 *
 * Made and merged by control; held by reference by the snapshots that list it, by requests in
 * flight and by pooled connections; whoever gives back the last reference frees it (any thread).
 * Identity, address and pool are fixed for its life: an instance that comes back under the same
 * identity at another address is another endpoint.
 */
#ifndef QUOIT_BALANCER_POOL_ENDPOINT_H
#define QUOIT_BALANCER_POOL_ENDPOINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "balancer/pool/stats.h"

struct upstream;

/* What the sources say (discovery, configuration); control writes it. */
enum endpoint_source {
    ENDPOINT_SOURCE_UP,
    ENDPOINT_SOURCE_WARNING,
    ENDPOINT_SOURCE_NODE_CRITICAL, /* only its node's checks fail: our own probe may overrule */
    ENDPOINT_SOURCE_CRITICAL,
    ENDPOINT_SOURCE_MAINTENANCE,
    ENDPOINT_SOURCE_REMOVED, /* no longer listed: drains */
};

/* What our own probes say; the health observer writes it. */
enum endpoint_probe { ENDPOINT_PROBE_NONE, ENDPOINT_PROBE_UP, ENDPOINT_PROBE_DOWN };

LIST_HEAD(upstream_list, upstream);

/* One worker's part of an endpoint; that worker alone touches it (stats are read by control). */
struct endpoint_local {
    _Alignas(64) struct endpoint_stats stats;
    struct upstream_list idle;   /* pooled connections, the last used first */
    struct upstream_list active; /* connections that carry a request */
    uint32_t n_idle;
};

struct endpoint {
    char *id;      /* identity within the pool: the ring's and the merge's */
    char *address; /* "10.0.0.1:80", "[::1]:80": for logs, metrics and the Host of probes */
    struct sockaddr_storage sockaddr;
    socklen_t sockaddr_len;
    uint64_t serial; /* unique in the process: the health module's cookie */
    uint32_t n_locals;
    _Atomic uint32_t references;
    _Atomic uint32_t in_flight;     /* requests, all workers */
    _Atomic uint8_t source;         /* enum endpoint_source */
    _Atomic uint8_t probe;          /* enum endpoint_probe */
    struct endpoint_local locals[]; /* one a worker */
};

/* Copies the strings; one reference, the caller's. NULL when memory is out. */
struct endpoint *endpoint_new(const char *id, const char *address, const struct sockaddr *sockaddr,
                              socklen_t sockaddr_len, uint32_t n_workers);

struct endpoint *endpoint_ref(struct endpoint *endpoint);
void endpoint_unref(struct endpoint *endpoint); /* accepts NULL */

/*
 * Whether new requests may go there: the written rule that combines the two views.
 *
 *   source          probe none   probe up   probe down
 *   up, warning     yes          yes        no
 *   node critical   no           yes        no      (the agent died, the service did not)
 *   critical        no           no         no      (the service's own word)
 *   maintenance     no           no         no
 *   removed         no           no         no
 */
bool endpoint_is_usable(const struct endpoint *endpoint);

/* The same as one word for logs, metrics and explanations: "up", "probe_down", "maintenance", … */
const char *endpoint_state_word(const struct endpoint *endpoint);

#endif
