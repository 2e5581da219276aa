/*
 * One target: its schedule, the probe under way, its verdict. On the health thread, but for
 * target_new() and target_free().
 */
#ifndef QUOIT_HEALTH_TARGET_H
#define QUOIT_HEALTH_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "health/health.h"
#include "health/probe.h"
#include "health/verdict.h"

/* What all targets share; the health thread's. */
struct target_host {
    struct probe_host probes;
    health_observer_fn *observer;
    void *context;
    uint64_t random;
    ev_tstamp window_at; /* when the current window of first probes began */
    unsigned n_window;   /* first probes in it */
};

struct target {
    /* health.c's, under its lock */
    LIST_ENTRY(target) bucket;
    STAILQ_ENTRY(target) order;
    bool is_removed, is_queued;

    uint64_t cookie;
    struct conf_check check; /* a copy of its own */
    struct probe_target asked;
    struct target_host *host; /* NULL until started */
    struct verdict verdict;
    struct ev_timer timer; /* until the next probe */
    struct probe *probe;   /* under way, or NULL */
    uint64_t started_us;   /* when the last probe began; monotonic */
};

/* Copies what it is given. Returns 0 or -ENOMEM. */
int target_new(uint64_t cookie, const struct conf_check *check, const struct sockaddr *address,
               socklen_t address_len, struct target **ret_target);

/* Begins to probe: at once, or within 100 ms (or the interval) when many begin together. */
void target_start(struct target *target, struct target_host *host);

/* Ends the probe under way and the schedule; a target that was not started may be given. */
void target_stop(struct target *target);

/* Of a stopped target; accepts NULL. */
void target_free(struct target *target);

#endif
