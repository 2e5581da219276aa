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
#include "balancer/pool/sticky.h"

struct h2_link;
struct upstream;

/* What the sources say (discovery, configuration); control writes it. */
enum endpoint_source {
    ENDPOINT_SOURCE_UP,
    ENDPOINT_SOURCE_WARNING,
    ENDPOINT_SOURCE_NODE_CRITICAL, /* only its node's checks fail: our own probe may overrule */
    ENDPOINT_SOURCE_CRITICAL,
    ENDPOINT_SOURCE_MAINTENANCE,
    ENDPOINT_SOURCE_DRAINING, /* on its way to weight 0 or maintenance: gives its keys up */
    ENDPOINT_SOURCE_REMOVED,  /* no longer listed: drains */
};

/* What our own probes say; the health observer writes it. */
enum endpoint_probe { ENDPOINT_PROBE_NONE, ENDPOINT_PROBE_UP, ENDPOINT_PROBE_DOWN };

LIST_HEAD(upstream_list, upstream);
LIST_HEAD(h2_link_list, h2_link);

/* What it chose when it last had a choice. */
enum endpoint_protocol { ENDPOINT_PROTOCOL_UNKNOWN, ENDPOINT_HTTP_1, ENDPOINT_HTTP_2 };

/* One worker's part of an endpoint; that worker alone touches it (stats are read by control). */
struct endpoint_local {
    _Alignas(64) gauge in_flight; /* requests; all may read it */
    _Atomic uint32_t waiting;     /* requests, for room there alone; all may read it */
    struct endpoint_stats stats;
    struct upstream_list idle;   /* pooled connections, the last used first */
    struct upstream_list active; /* connections that carry a request */
    struct h2_link_list links;   /* connections of HTTP/2 that may take more requests */
    uint32_t n_idle;
    enum endpoint_protocol protocol;
    uint32_t h2_streams;  /* that it last said it takes over one connection; 0: not known */
    void *tls_session;    /* to resume, or NULL */
    bool has_long_bodies; /* the last response's was worth a pipe */
};

struct endpoint {
    void (*free_tls_session)(void *session); /* of the locals'; NULL: there are none */
    char *id;      /* identity within the pool: the ring's and the merge's */
    char *address; /* "10.0.0.1:80", "[::1]:80": for logs, metrics and the Host of probes */
    struct sockaddr_storage sockaddr;
    socklen_t sockaddr_len;
    uint64_t serial;                /* unique in the process: the health module's cookie */
    char cookie[STICKY_VALUE_SIZE]; /* its value in cookies (sticky.h); "": none */
    uint32_t n_locals;
    _Atomic uint32_t references;
    _Atomic uint64_t changed_ms;    /* Unix time; see endpoint_note_change() */
    _Atomic uint32_t connections;   /* in use; counted where the pool has max_connections */
    _Atomic uint8_t source;         /* enum endpoint_source */
    _Atomic uint8_t probe;          /* enum endpoint_probe */
    struct endpoint_local locals[]; /* one a worker */
};

/* Copies the strings; one reference, the caller's. NULL when memory is out. */
struct endpoint *endpoint_new(const char *id, const char *address, const struct sockaddr *sockaddr,
                              socklen_t sockaddr_len, uint32_t n_workers);

struct endpoint *endpoint_ref(struct endpoint *endpoint);
void endpoint_unref(struct endpoint *endpoint); /* accepts NULL */

/* A worker's request goes there, and is over (n is 1 or -1). */
static inline void endpoint_add_in_flight(struct endpoint *endpoint, uint32_t worker, int32_t n)
{
    gauge_add(&endpoint->locals[worker].in_flight, n);
}

/* Requests in flight of all workers, as of about now. */
static inline uint32_t endpoint_in_flight(const struct endpoint *endpoint)
{
    const struct endpoint_local *first = endpoint->locals;
    return gauge_sum(&first->in_flight, sizeof *first, endpoint->n_locals);
}

/* Room for one more connection in use, of max in all workers together: exact, and sequentially
 * consistent, so that who finds none can rely on being seen by who gives some back. */
bool endpoint_take_room(struct endpoint *endpoint, uint32_t max);
void endpoint_give_room(struct endpoint *endpoint);

static inline bool endpoint_has_room(const struct endpoint *endpoint, uint32_t max)
{
    return atomic_load(&endpoint->connections) < max;
}

/*
 * Whether new requests may go there: the written rule that combines the two views.
 *
 *   source          probe none   probe up   probe down
 *   up, warning     yes          yes        no
 *   draining        yes          yes        no
 *   node critical   no           yes        no      (the agent died, the service did not)
 *   critical        no           no         no      (the service's own word)
 *   maintenance     no           no         no
 *   removed         no           no         no
 */
bool endpoint_is_usable(const struct endpoint *endpoint);

/* The rule itself. */
bool endpoint_state_is_usable(enum endpoint_source source, enum endpoint_probe probe);

/* Its state has become another now: who changes it says so, for explanations. A new endpoint has
 * been in its state since it was made. */
void endpoint_note_change(struct endpoint *endpoint);

/* The same as one word for logs, metrics and explanations: "up", "probe_down", "maintenance", … */
const char *endpoint_state_word(const struct endpoint *endpoint);

#endif
