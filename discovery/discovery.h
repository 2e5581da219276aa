/*
 * Which endpoints exist: watches on Consul services, run by the discovery thread.
 *
 * The module owns one thread with a libev loop and libcurl's multi interface. It follows each
 * watched service with blocking queries and reports whole sets, only when their content (or the
 * number of instances left out) changed.
 * It never logs and never decides what is served: it calls the observer, on the discovery thread.
 * An error keeps the last known good set; an empty answer is held until Consul has affirmed it
 * for conf_consul.hold_ms, and one from which ACLs may have hidden instances takes none away.
 *
 * Follows developer.hashicorp.com/consul/api-docs: health, features/blocking, features/consistency.
 */
#ifndef QUOIT_DISCOVERY_DISCOVERY_H
#define QUOIT_DISCOVERY_DISCOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

/* An instance's state as Consul has it: the worst of its service and node checks. */
enum instance_status {
    INSTANCE_PASSING,
    INSTANCE_WARNING,
    INSTANCE_CRITICAL,      /* a check of the service is critical (or unknown) */
    INSTANCE_NODE_CRITICAL, /* only checks of its node are critical: the agent may be gone */
    INSTANCE_MAINTENANCE,   /* node or service maintenance */
};

/* One instance. Strings belong to the set. */
struct instance {
    char *datacenter, *node, *service_id; /* together its identity in Consul */
    char *host;                           /* Service.Address, else Node.Address; no brackets */
    char *meta; /* Service.Meta's value of the key that the pool's identity asks for; or NULL */
    uint16_t port;
    enum instance_status status;
    double weight; /* Weights.Passing, or Weights.Warning while in warning; clamped to 0…65536 */
};

/* A whole service as of one answer; sorted by identity, without duplicates. */
struct instance_set {
    struct instance *list;
    size_t n;
    uint64_t index;      /* X-Consul-Index of the answer */
    uint32_t n_rejected; /* malformed or duplicate instances left out */
};

void instance_set_free(struct instance_set *set);

enum discovery_event_type {
    DISCOVERY_UPDATED,   /* set is new; so is the first that is applied, even an empty one */
    DISCOVERY_CONTACTED, /* an answer without a change: the watch is alive */
    DISCOVERY_HELD,      /* an answer is not applied (yet); told of each such answer */
    DISCOVERY_FAILED,    /* an attempt failed; the last set stays */
};

struct discovery_event {
    enum discovery_event_type type;
    size_t pool;              /* index into conf.pools */
    struct instance_set *set; /* UPDATED: ownership passes to the observer; else NULL */
    const char *error;        /* FAILED, HELD: a phrase for the log; valid during the call */
    const char *address;      /* the agent asked */
    uint32_t retry_ms;        /* FAILED: until the next attempt */
    uint64_t index;           /* the last X-Consul-Index */
};

/* Runs on the discovery thread; must not block, nor call discovery_stop(). */
typedef void discovery_observer_fn(void *context, const struct discovery_event *event);

struct discovery;

/*
 * Starts the thread, with one watch for each pool that names a service. conf must outlive it.
 * The observer is only called on that thread, perhaps before this returns: what it uses must be
 * there. The first call comes before other threads use jansson or libcurl. Returns 0 or -errno.
 */
int discovery_start(const struct conf *conf, discovery_observer_fn *observer, void *context,
                    struct discovery **ret_discovery);

/* Ends the watches and joins the thread; no observer call after it returns. Accepts NULL. */
void discovery_stop(struct discovery *discovery);

#endif
