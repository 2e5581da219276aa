/*
 * One watch: follows one pool's service with query after query, and tells the observer.
 *
 *   STOPPED ──► WAITING ──► ASKING ──► WAITING …      WAITING: for a timer
 *                  └─► QUEUED ─┘                      QUEUED: for a slot among the connections
 *
 * It owns its index, its agent address, its last set and its back-off. Runs on the discovery
 * thread.
 */
#ifndef QUOIT_DISCOVERY_WATCH_H
#define QUOIT_DISCOVERY_WATCH_H

#include <sys/queue.h>

#include "discovery/curl_loop.h"
#include "discovery/discovery.h"

struct watch;
TAILQ_HEAD(watch_queue, watch);

/* What all watches of a thread share. Outlives them. */
struct watch_host {
    struct ev_loop *loop;
    struct curl_loop *curl;
    const struct conf_consul *consul;
    discovery_observer_fn *observer;
    void *context;
    uint32_t wait_ms;         /* of a blocking query */
    uint64_t random;          /* state of the generator; any seed */
    size_t n_slots;           /* queries that may be added to those that run */
    struct watch_queue queue; /* of watches that wait for a slot; initialised by the owner */
};

/* conf names a service and must outlive the watch. Returns 0 or -ENOMEM. */
int watch_new(struct watch_host *host, const struct conf_pool *conf, size_t pool,
              struct watch **ret_watch);

/* First query after delay_ms. The observer never runs before this returns. */
void watch_start(struct watch *watch, uint32_t delay_ms);

/* Ends what runs, without a word to the observer. Not from the observer. Accepts NULL. */
void watch_free(struct watch *watch);

#endif
