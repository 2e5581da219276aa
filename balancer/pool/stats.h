/*
 * Counters and histograms of the data path.
 *
 * Each worker has its own copy and is its only writer; control reads and sums them for /metrics.
 * A write is a relaxed load and store (no lock prefix). One table a kind: a counter is one line.
 */
#ifndef QUOIT_BALANCER_POOL_STATS_H
#define QUOIT_BALANCER_POOL_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/http/grpc.h"
#include "balancer/http/reason.h"

typedef _Atomic uint64_t counter; /* typedefs: atomic types need names */

static inline void counter_add(counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t counter_get(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

typedef _Atomic uint32_t gauge; /* what goes up and down; its worker alone writes it */

static inline void gauge_add(gauge *g, int32_t n)
{
    atomic_store_explicit(g, atomic_load_explicit(g, memory_order_relaxed) + (uint32_t)n,
                          memory_order_relaxed);
}

/* The sum over the workers' n locals, of size bytes each, of whose first one this is a gauge; as of
 * about now. */
static inline uint32_t gauge_sum(const gauge *first, size_t size, uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        const void *at = (const uint8_t *)(const void *)first + i * size;
        sum += atomic_load_explicit((const gauge *)at, memory_order_relaxed);
    }
    return sum;
}

/* Upper bounds of the latency buckets in microseconds; one more bucket takes the rest. */
/* clang-format off */
#define LATENCY_BOUNDS_US(X)                                                                       \
    X(100) X(250) X(500) X(1000) X(2500) X(5000) X(10000) X(25000) X(50000) X(100000) X(250000)    \
    X(500000) X(1000000) X(2500000) X(5000000) X(10000000)
/* clang-format on */
enum {
#define X(us) LATENCY_BUCKET_##us,
    LATENCY_BOUNDS_US(X)
#undef X
        LATENCY_BOUNDS,
    LATENCY_BUCKETS
};

extern const uint32_t latency_bounds_us[LATENCY_BOUNDS];

struct histogram {
    counter buckets[LATENCY_BUCKETS]; /* not cumulative */
    counter sum_us;
};

void histogram_add(struct histogram *histogram, uint64_t us);

/* X(field, metric name, help) of one worker */
#define WORKER_COUNTERS(X)                                                                         \
    X(accepted, "client_connections_total", "Client connections accepted")                         \
    X(closed, "client_connections_closed_total", "Client connections closed")                      \
    X(h2_sessions, "client_http2_connections_total", "Client connections that speak HTTP/2")       \
    X(h2_streams, "client_http2_streams_total", "Streams that clients opened with a request")      \
    X(h2_resets_received, "client_http2_resets_received_total",                                    \
      "Streams that clients reset (RST_STREAM)")                                                   \
    X(h2_resets_sent, "client_http2_resets_sent_total",                                            \
      "Streams of clients that were reset with an error")                                          \
    X(client_bytes_in, "client_received_bytes_total", "Bytes received from clients")               \
    X(client_bytes_out, "client_sent_bytes_total", "Bytes sent to clients")                        \
    X(evicted, "client_connections_evicted_total",                                                 \
      "Idle client connections closed to make room for new ones")                                  \
    X(tls_full, "tls_full_handshakes_total", "TLS handshakes with clients, from the beginning")    \
    X(tls_resumed, "tls_resumed_handshakes_total",                                                 \
      "TLS handshakes with clients that resumed a session")                                        \
    X(memory_waits, "memory_waits_total", "Reads that waited because memory_limit was reached")    \
    X(log_dropped, "access_log_dropped_lines_total",                                               \
      "Access log lines dropped because the log could not be written fast enough")

/* of one worker and pool */
#define POOL_COUNTERS(X)                                                                           \
    X(retries, "pool_retries_total", "Attempts after the first")                                   \
    X(retries_refused, "pool_retries_refused_total",                                               \
      "Retries not made because the budget for them was used up")                                  \
    X(hedges, "pool_hedges_total", "Attempts begun beside one that was silent")                    \
    X(hedges_won, "pool_hedges_won_total", "Of these, those that answered first")                  \
    X(redispatched, "pool_redispatched_total",                                                     \
      "Requests whose key's first endpoint was not the one that served them")                      \
    X(sticky_hits, "pool_sticky_hits_total", "Requests that went where their cookie said")         \
    X(sticky_misses, "pool_sticky_misses_total", "Requests without the pool's cookie")             \
    X(sticky_unknown, "pool_sticky_unknown_total",                                                 \
      "Requests with a cookie that names no endpoint of the pool")                                 \
    X(sticky_moved, "pool_sticky_moved_total",                                                     \
      "Requests whose cookie's endpoint could not take them, so that another did")                 \
    X(overflowed, "pool_overflowed_total", "Picks that passed by an endpoint over its bound")      \
    X(hot_spread, "pool_hot_spread_total",                                                         \
      "Picks that sent a hot key to another than its first endpoint")

/* of one worker and endpoint */
#define ENDPOINT_COUNTERS(X)                                                                       \
    X(attempts, "endpoint_attempts_total", "Requests sent, tries of the same request included")    \
    X(failures, "endpoint_failures_total", "Attempts that ended without a response")               \
    X(connects, "endpoint_connects_total", "Connections opened")                                   \
    X(reuses, "endpoint_connection_reuses_total", "Attempts on a pooled connection")               \
    X(h2_connects, "endpoint_http2_connections_total",                                             \
      "Of the connections opened, those that speak HTTP/2")                                        \
    X(h2_streams, "endpoint_http2_streams_total", "Requests sent over HTTP/2")                     \
    X(h2_refused, "endpoint_http2_refused_streams_total",                                          \
      "Of these, those that the endpoint refused without having done anything about them")         \
    X(h2_goaways, "endpoint_http2_goaways_total",                                                  \
      "Connections that the endpoint asked to send no more requests over (GOAWAY)")                \
    X(bytes_in, "endpoint_received_bytes_total", "Bytes received from the endpoint")               \
    X(bytes_out, "endpoint_sent_bytes_total", "Bytes sent to the endpoint")

struct worker_stats {
#define X(field, name, help) counter field;
    WORKER_COUNTERS(X)
#undef X
    counter unrouted[REASON_COUNT]; /* requests that ended before they had a pool */
    counter refused[REASON_COUNT];  /* connections that were closed at once */
    counter buffer_bytes;           /* in use now */
};

struct pool_stats {
#define X(field, name, help) counter field;
    POOL_COUNTERS(X)
#undef X
    counter statuses[6]; /* by first digit of the status sent; [0]: none was sent */
    counter reasons[REASON_COUNT];
    counter grpc_codes[GRPC_CODE_COUNT]; /* what calls ended with */
    struct histogram latency;            /* request head complete to last byte of the response */
    struct histogram queue_wait;         /* of requests that had to wait for room at an endpoint */
};

struct endpoint_stats {
#define X(field, name, help) counter field;
    ENDPOINT_COUNTERS(X)
#undef X
    counter statuses[6];
    struct histogram latency; /* attempt begun to response complete */
};

#endif
