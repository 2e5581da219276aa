/*
 * A probe: one attempt to find out whether a target is usable.
 *
 * A kind of probe is one file with one const struct probe_ops and one line in the table
 * (probe.c). Everything here runs on the health thread; nothing blocks.
 */
#ifndef QUOIT_HEALTH_PROBE_H
#define QUOIT_HEALTH_PROBE_H

#include <ev.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "discovery/curl_loop.h"

enum probe_outcome {
    PROBE_SUCCESS,
    PROBE_FAILURE,
    PROBE_UNKNOWN, /* this machine could not ask (descriptors, memory, ports ran out) */
};

/* What probes run on; the health thread's. */
struct probe_host {
    struct ev_loop *loop;
    struct curl_loop *curl;
};

/* Whom to ask and how. Must outlive the probe. */
struct probe_target {
    const struct conf_check *check;
    struct sockaddr_storage address; /* with check->port applied */
    socklen_t address_len;
};

/* The end of a probe, which is gone then. detail ("status 503") is valid during the call. */
typedef void probe_done_fn(void *context, enum probe_outcome outcome, const char *detail);

struct probe;

struct probe_ops {
    /*
     * Begins a probe that ends within check->timeout_ms. done is called exactly once unless the
     * probe is stopped, and never before start returns. Returns 0, or -errno when this machine
     * could not ask: no probe is under way then.
     */
    int (*start)(const struct probe_host *host, const struct probe_target *target,
                 probe_done_fn *done, void *context, struct probe **ret_probe);
    /* Ends a probe without calling done. */
    void (*stop)(struct probe *probe);
};

extern const struct probe_ops probe_http, probe_tcp, probe_grpc;

/* Of a check that has a kind; never NULL. */
const struct probe_ops *probe_for(enum conf_check_type type);

/* Whether errno says that this machine, not the target, is the cause. */
bool probe_is_our_fault(int error);

#endif
