#include "balancer/proxy/upstream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/proxy/client.h"
#include "balancer/proxy/hedge.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/worker.h"
#include "balancer/tls/outbound.h"

/* Reads of one event: a long body goes on without asking the poll in between. */
#define READS_PER_EVENT 4

static struct endpoint_local *local_of(const struct upstream *upstream)
{
    return &upstream->endpoint->locals[upstream->conn.worker->index];
}

static void read_and_run(struct upstream *upstream)
{
    struct conn *conn = &upstream->conn;
    for (int i = 0; i < READS_PER_EVENT && upstream->request != NULL; i++) {
        ssize_t n = conn_read(conn);
        if (n > 0)
            counter_add(&local_of(upstream)->stats.bytes_in, (uint64_t)n);
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
    ssize_t n = conn_read(&upstream->conn);
    if (n > 0)
        counter_add(&local_of(upstream)->stats.bytes_in, (uint64_t)n);
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

static int open_socket(const struct endpoint *endpoint, int *ret_fd)
{
    int fd = socket(endpoint->sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&endpoint->sockaddr, endpoint->sockaddr_len) != 0 &&
        errno != EINPROGRESS) {
        int error = errno;
        (void)close(fd);
        return -error;
    }
    *ret_fd = fd;
    return 0;
}

/* Nothing is sent yet: the handshake begins with the first write. */
static int begin_tls(struct upstream *upstream, const struct request *request)
{
    const struct proxy *proxy = upstream->conn.worker->proxy;
    if (!request->pool->tls.is_on)
        return 0;
    SSL *session = outbound_open(proxy->outbound[request->pool - proxy->conf->pools],
                                 upstream->endpoint->address, &local_of(upstream)->tls_session);
    if (session == NULL)
        return -ENOMEM;
    transport_start_tls(&upstream->conn, session, NULL);
    return 0;
}

int upstream_connect(struct worker *worker, struct endpoint *endpoint, struct request *request,
                     struct upstream **ret_upstream)
{
    int fd = -1;
    int rc = open_socket(endpoint, &fd);
    if (rc != 0)
        return rc;
    struct upstream *upstream = slab_get(&worker->upstream_slab);
    *upstream =
        (struct upstream){.endpoint = endpoint_ref(endpoint), .opened_us = worker_now_us(worker)};
    conn_init(&upstream->conn, worker, fd, &upstream_ops);
    assign(upstream, request);
    rc = begin_tls(upstream, request);
    if (rc != 0) {
        upstream_close(upstream);
        return rc;
    }
    counter_add(&local_of(upstream)->stats.connects, 1);
    *ret_upstream = upstream;
    return 0;
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
    if (!is_wanted(upstream)) {
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
}
