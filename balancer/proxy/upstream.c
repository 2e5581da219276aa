#include "balancer/proxy/upstream.h"

#include <assert.h>
#include <errno.h>

#include "balancer/proxy/client.h"
#include "balancer/proxy/dial.h"
#include "balancer/proxy/h2_link.h"
#include "balancer/proxy/hedge.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/worker.h"

/* Reads of one event: a long body goes on without asking the poll in between. */
#define READS_PER_EVENT 4

static struct endpoint_local *local_of(const struct upstream *upstream)
{
    return &upstream->endpoint->locals[upstream->conn.worker->index];
}

/* What comes and goes over a link is counted there. */
static bool is_stream(const struct upstream *upstream)
{
    return h2_link_of(&upstream->conn) != NULL;
}

static void count_read(struct upstream *upstream, ssize_t n)
{
    if (n > 0 && !is_stream(upstream))
        counter_add(&local_of(upstream)->stats.bytes_in, (uint64_t)n);
}

void upstream_count_written(struct upstream *upstream)
{
    if (!is_stream(upstream))
        counter_add(&local_of(upstream)->stats.bytes_out, upstream->conn.written);
}

static void read_and_run(struct upstream *upstream)
{
    struct conn *conn = &upstream->conn;
    for (int i = 0; i < READS_PER_EVENT && upstream->request != NULL; i++) {
        count_read(upstream, conn_read(conn));
        bool was_full = conn->read_filled;
        client_run(upstream->request->client);
        if (!was_full)
            return;
    }
}

static void read_aside(struct upstream *upstream)
{
    struct request *request = upstream->request;
    struct client *client = request->client;
    count_read(upstream, conn_read(&upstream->conn));
    request_on_aside(request);
    client_run(client);
}

/* A pooled connection has nothing to say but its end; TLS may, about itself. */
static void look_at_idle(struct upstream *upstream)
{
    if (!conn_is_quiet(&upstream->conn))
        upstream_close(upstream);
}

static void on_io(struct conn *conn, int revents)
{
    struct upstream *upstream = (struct upstream *)conn;
    if (upstream->request == NULL)
        look_at_idle(upstream);
    else if (upstream->request->aside == upstream)
        read_aside(upstream);
    else if (revents & EV_READ)
        read_and_run(upstream);
    else
        client_run(upstream->request->client);
}

static void on_deadline(struct conn *conn, enum reason reason)
{
    struct upstream *upstream = (struct upstream *)conn;
    if (upstream->request == NULL) {
        upstream_close(upstream);
        return;
    }
    if (upstream->request->aside == upstream) {
        hedge_on_deadline(upstream->request, reason);
        return;
    }
    struct client *client = upstream->request->client;
    request_fail(upstream->request, reason);
    client_run(client);
}

static const struct conn_ops upstream_ops = {
    .on_io = on_io, .on_deadline = on_deadline, .use = BUFFER_FOR_RESPONSE};

static void assign(struct upstream *upstream, struct request *request)
{
    upstream->request = request;
    LIST_INSERT_HEAD(&local_of(upstream)->active, upstream, link);
}

static void leave_list(struct upstream *upstream)
{
    LIST_REMOVE(upstream, link);
    if (upstream->request == NULL)
        local_of(upstream)->n_idle--;
}

struct upstream *upstream_reuse(struct worker *worker, struct endpoint *endpoint,
                                struct request *request, enum upstream_check check)
{
    struct endpoint_local *local = &endpoint->locals[worker->index];
    struct upstream *upstream;
    while ((upstream = LIST_FIRST(&local->idle)) != NULL) {
        if (check == UPSTREAM_CHECKED && !conn_is_quiet(&upstream->conn)) {
            upstream_close(upstream);
            continue;
        }
        leave_list(upstream);
        assign(upstream, request);
        counter_add(&local->stats.reuses, 1);
        return upstream;
    }
    return NULL;
}

static struct upstream *open_stream(struct h2_link *link, struct endpoint *endpoint,
                                    struct request *request)
{
    struct worker *worker = link->conn.worker;
    struct upstream *upstream = slab_get(&worker->upstream_slab);
    *upstream = (struct upstream){.endpoint = endpoint_ref(endpoint),
                                  .opened_us = worker_now_us(worker),
                                  .n_requests = link->n_requests};
    if (link->phase == H2_LINK_UP)
        counter_add(&endpoint->locals[worker->index].stats.reuses, 1);
    h2_link_add(link, &upstream->conn, &upstream_ops);
    assign(upstream, request);
    return upstream;
}

int upstream_connect(struct worker *worker, struct endpoint *endpoint, struct request *request,
                     struct upstream **ret_upstream)
{
    int fd = -1;
    int rc = dial_socket(endpoint, &fd);
    if (rc != 0)
        return rc;
    struct upstream *upstream = slab_get(&worker->upstream_slab);
    *upstream =
        (struct upstream){.endpoint = endpoint_ref(endpoint), .opened_us = worker_now_us(worker)};
    conn_init(&upstream->conn, worker, fd, &upstream_ops);
    assign(upstream, request);
    rc = dial_tls(&upstream->conn, request->pool, endpoint, OUTBOUND_HTTP_1);
    if (rc != 0) {
        upstream_close(upstream);
        return rc;
    }
    counter_add(&local_of(upstream)->stats.connects, 1);
    *ret_upstream = upstream;
    return 0;
}

struct upstream *upstream_share(struct worker *worker, struct endpoint *endpoint,
                                struct request *request)
{
    uint64_t since_us = request->wants_fresh ? request->attempt_us : 0;
    struct h2_link *link = h2_link_find(worker, endpoint, since_us);
    return link != NULL ? open_stream(link, endpoint, request) : NULL;
}

int upstream_connect_shared(struct worker *worker, struct endpoint *endpoint,
                            struct request *request, struct upstream **ret_upstream)
{
    struct h2_link *link;
    int rc = h2_link_open(worker, endpoint, request->pool, &link);
    if (rc == 0)
        *ret_upstream = open_stream(link, endpoint, request);
    return rc;
}

static bool is_wanted(const struct upstream *upstream)
{
    const struct upstream_limits *limits = &upstream->limits;
    uint64_t age_us = worker_now_us(upstream->conn.worker) - upstream->opened_us;
    if (limits->max_requests != 0 && upstream->n_requests >= limits->max_requests)
        return false;
    if (limits->max_age_ms != 0 && age_us >= (uint64_t)limits->max_age_ms * 1000)
        return false;
    return local_of(upstream)->n_idle < limits->max_idle && endpoint_is_usable(upstream->endpoint);
}

void upstream_release(struct upstream *upstream)
{
    struct endpoint_local *local = local_of(upstream);
    const struct upstream_limits *limits = &upstream->limits;
    assert(buffer_used(&upstream->conn.in) == 0 && !conn_has_output(&upstream->conn));
    upstream->n_requests++;
    if (is_stream(upstream) || !is_wanted(upstream)) {
        upstream_close(upstream);
        return;
    }
    leave_list(upstream);
    upstream->request = NULL;
    LIST_INSERT_HEAD(&local->idle, upstream, link);
    local->n_idle++;
    conn_set_deadline(&upstream->conn, limits->keepalive_ms, REASON_OK);
    if (limits->max_age_ms != 0)
        conn_limit_deadline(&upstream->conn,
                            upstream->opened_us + (uint64_t)limits->max_age_ms * 1000, REASON_OK);
    conn_update(&upstream->conn);
}

void upstream_close(struct upstream *upstream)
{
    if (!conn_is_open(&upstream->conn))
        return;
    leave_list(upstream);
    upstream->request = NULL;
    conn_close(&upstream->conn);
    endpoint_unref(upstream->endpoint);
    upstream->endpoint = NULL;
    worker_bury(upstream->conn.worker, &upstream->conn.worker->upstream_slab, upstream);
}

void upstream_close_idle(struct worker *worker, struct endpoint *endpoint)
{
    struct upstream *upstream;
    while ((upstream = LIST_FIRST(&endpoint->locals[worker->index].idle)) != NULL)
        upstream_close(upstream);
    h2_link_close_idle(worker, endpoint);
}
