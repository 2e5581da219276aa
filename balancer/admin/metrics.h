/*
 * GET /metrics in the Prometheus text format, version 0.0.4 (prometheus.io/docs/instrumenting/
 * exposition_formats). Names begin with quoit_. Sums the workers' counters at the moment of asking.
 *
 * Endpoints are those of each pool's current snapshot: the counters of an endpoint that has left
 * its pool leave the page with it. docs/observability.md describes every metric.
 */
#ifndef QUOIT_BALANCER_ADMIN_METRICS_H
#define QUOIT_BALANCER_ADMIN_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/pool/pool.h"

/* A listener's certificate. */
struct metrics_certificate {
    const char *listener, *file;
    int64_t not_after;  /* Unix time */
    int64_t ocsp_until; /* of the response that is stapled; 0: none is */
    uint64_t ocsp_failures;
};

/* Certificates that quoit gets for itself. */
struct metrics_acme {
    uint64_t orders_ok, orders_failed, renewals_ok, renewals_failed;
};

struct metrics_source {
    struct pool *pools;
    size_t n_pools;
    struct worker_stats *const *workers;
    size_t n_workers;
    uint64_t start_time_s; /* Unix time the process began to serve */
    uint64_t now_us;       /* monotonic, for ages */
    const struct metrics_certificate *certificates;
    size_t n_certificates;
    const struct metrics_acme *acme; /* NULL: there are none */
    uint64_t log_lost;               /* access_log_lost() */
};

/* Writes the page to *ret_text (the caller frees it) and its length. Returns 0 or -ENOMEM. */
int metrics_render(const struct metrics_source *source, char **ret_text, size_t *ret_n);

#endif
