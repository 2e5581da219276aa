/*
 * A connection to an endpoint: carries one request at a time, rests in the endpoint's pool between
 * them. With HTTP/2 it is a stream of a link (h2_link.h), which is what rests, and ends with its
 * request.
 */
#ifndef QUOIT_BALANCER_PROXY_UPSTREAM_H
#define QUOIT_BALANCER_PROXY_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balancer/pool/endpoint.h"
#include "balancer/proxy/conn.h"

struct request;
struct worker;

/* What its pool allows it; a copy, for it may outlive the request. 0: no limit but for max_idle. */
struct upstream_limits {
    uint32_t max_idle; /* at the endpoint, of this worker */
    uint32_t keepalive_ms, max_age_ms, max_requests;
};

struct upstream {
    struct conn conn;
    LIST_ENTRY(upstream) link; /* the endpoint's idle or active list of this worker */
    struct endpoint *endpoint; /* a reference */
    struct request *request;   /* NULL while pooled */
    struct upstream_limits limits;
    uint64_t opened_us;
    uint32_t n_requests; /* that it carried to their end; beyond 0 it may be stale */
};

/* A pooled connection to endpoint, now request's, or NULL. With `checked` the socket is asked
 * first whether the endpoint has closed it (one system call more). */
enum upstream_check { UPSTREAM_UNCHECKED, UPSTREAM_CHECKED };
struct upstream *upstream_reuse(struct worker *worker, struct endpoint *endpoint,
                                struct request *request, enum upstream_check check);

/* Begins a new connection for request. Returns 0 or -errno. */
int upstream_connect(struct worker *worker, struct endpoint *endpoint, struct request *request,
                     struct upstream **ret_upstream);

/* The same over HTTP/2: a stream of a link that has room, or NULL. */
struct upstream *upstream_share(struct worker *worker, struct endpoint *endpoint,
                                struct request *request);

/* And of a new link, whose connection it gets if the endpoint chooses HTTP/1.1. */
int upstream_connect_shared(struct worker *worker, struct endpoint *endpoint,
                            struct request *request, struct upstream **ret_upstream);

/* Counts the bytes that its request wrote. */
void upstream_count_written(struct upstream *upstream);

/* Puts a connection that is clean (nothing buffered) back into the pool, or closes it when it is
 * not wanted there. */
void upstream_release(struct upstream *upstream);

/* Closes now. The request it had must already have let go of it. */
void upstream_close(struct upstream *upstream);

/* Closes the pooled connections to endpoint. */
void upstream_close_idle(struct worker *worker, struct endpoint *endpoint);

#endif
