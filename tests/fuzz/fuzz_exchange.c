/*
 * Whole exchanges: one worker without a thread, clients on socket pairs, two endpoints on abstract
 * UNIX sockets. The input is a script: each step is a byte that says what happens (its low four
 * bits) and to whom (its high bits), some steps take a length and bytes. After every step the
 * worker runs until nothing is left to do.
 *
 * What must hold: the worker comes to rest in a bounded number of turns; at rest every connection
 * waits for something that can come, and has a deadline; what endpoints receive reads as whole,
 * strictly valid requests, without the pool's cookie; no POST with the same number arrives twice;
 * in the end nothing is in flight, nobody waits, and every client is counted closed.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "balancer/control/snapshot_build.h"
#include "balancer/http/cookie.h"
#include "balancer/log/log.h"
#include "balancer/pool/sticky.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/listener.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENDPOINTS = 2, CLIENTS = 4, UPSTREAMS = 64, MAX_TURNS = 4000, RECORD = 1 << 20 };

/* The endpoints' side of one connection. */
struct far_end {
    int fd;
    uint8_t *bytes; /* all that came */
    size_t n;
};

static struct {
    struct conf conf;
    struct conf_pool pool_conf;
    struct conf_route route_conf;
    struct pool pool;
    struct conf_listener listener_conf; /* the workers' side of it is not there: n_listeners is 0 */
    struct proxy proxy;
    struct endpoint *endpoints[ENDPOINTS];
    int listeners[ENDPOINTS];
    bool is_ready;
} house;

static struct {
    struct worker *worker;
    int clients[CLIENTS]; /* far ends; -1: none */
    struct far_end upstreams[UPSTREAMS];
    size_t n_upstreams;
    unsigned n_posts;
} scene;

/* ---- the house: built once ---- */

static void begin_endpoint(size_t i)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int n = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "quoit-fuzz-%d-%zu",
                     (int)getpid(), i);
    socklen_t name_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    house.listeners[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert(bind(house.listeners[i], (struct sockaddr *)&name, name_n) == 0);
    assert(listen(house.listeners[i], 64) == 0);
    char id[16];
    (void)snprintf(id, sizeof id, "e%zu", i);
    house.endpoints[i] = endpoint_new(id, id, (struct sockaddr *)&name, name_n, 1);
    assert(house.endpoints[i] != NULL);
    assert(sticky_value(SPAN("0123456789abcdef"), "web", id, house.endpoints[i]->cookie) == 0);
}

static void add_rules(struct conf_header_rules *rules)
{
    static char *removed[] = {(char *)"Cookie", (char *)"A"};
    static struct conf_pair set[] = {{(char *)"Server", (char *)"x"}, {(char *)"B", (char *)""}};
    static struct conf_pair added[] = {{(char *)"A", (char *)"1"}};
    *rules = (struct conf_header_rules){
        .remove = removed, .set = set, .add = added, .n_remove = 2, .n_set = 2, .n_add = 1};
}

static void configure_house(void)
{
    static struct conf_cidr anybody; /* 0.0.0.0/0 */
    static struct conf_key_part body_field = {.source = CONF_KEY_JSON, .name = (char *)"id"};
    house.pool_conf = (struct conf_pool){
        .name = (char *)"web",
        .algorithm = CONF_ALGORITHM_HASH,
        .key = {CONF_KEY_TEMPLATE, .parts = &body_field, .n_parts = 1, .n_body_fields = 1},
        .key_fallback = {.source = CONF_KEY_PATH},
        .key_body_bytes = 1000,
        .slots = 1 << 10,
        .retries = 2,
        .retry = {.conditions = UINT8_MAX,
                  .timeout_ms = 1500,
                  .hedge_ms = 1,
                  .budget = 1,
                  .budget_min = 1},
        .max_idle = 2,
        .max_connection_requests = 3,
        .queue = 2,
        .timeouts = {1000, 2000, 3000, 0, 4000, 5000, 6000},
        .sticky = {.name = (char *)"S", .path = (char *)"/", .strip = true},
    };
    house.route_conf = (struct conf_route){.path = (char *)"/"};
    add_rules(&house.route_conf.request_headers);
    add_rules(&house.listener_conf.response_headers);
    house.conf = (struct conf){
        .pools = &house.pool_conf,
        .n_pools = 1,
        .listeners = &house.listener_conf,
        .client = {.header_timeout_ms = 1000,
                   .keepalive_timeout_ms = 2000,
                   .body_timeout_ms = 3000,
                   .send_timeout_ms = 4000,
                   .max_head_bytes = 4096,
                   .max_body_bytes = 100000,
                   .max_requests = 20,
                   .min_body_rate = 256,
                   .min_send_rate = 256,
                   .trusted_proxies = &anybody,
                   .n_trusted_proxies = 1},
        .forwarded = {CONF_FORWARDED_BOTH, CONF_FORWARDED_APPEND},
        .request_id = {CONF_REQUEST_ID_PASS, (char *)"X-Request-Id", 12, true},
        .traceparent = CONF_TRACEPARENT_START,
        .workers = 1,
        .buffer_bytes = 8192,
    };
}

static void build_house(void)
{
    log_init(&(struct conf_log){.level = CONF_LOG_ERROR});
    configure_house();
    assert(pool_init(&house.pool, &house.pool_conf, 1) == 0);
    struct member members[ENDPOINTS];
    for (size_t i = 0; i < ENDPOINTS; i++) {
        begin_endpoint(i);
        members[i] = (struct member){.endpoint = house.endpoints[i], .weight = 1};
    }
    struct snapshot *snapshot;
    assert(snapshot_build(&house.pool_conf, members, ENDPOINTS, NULL, &snapshot) == 0);
    pool_publish(&house.pool, snapshot);
    house.proxy = (struct proxy){
        .conf = &house.conf,
        .routes = route_table_new(&house.route_conf, 1),
        .h1_limits = {.head_bytes = 4096, .target_bytes = 1024, .fields = 32},
        .pools = &house.pool,
        .memory_bytes = UINT64_C(6) * 8192, /* so few buffers that some have to wait */
    };
    assert(admission_init(&house.proxy.admission, &house.conf, CLIENTS) == 0);
    (void)signal(SIGPIPE, SIG_IGN); /* workers block signals, splice(2) knows no MSG_NOSIGNAL */
    house.is_ready = true;
}

/* ---- the far ends ---- */

static void accept_upstreams(void)
{
    for (size_t i = 0; i < ENDPOINTS; i++) {
        int fd;
        while ((fd = accept4(house.listeners[i], NULL, NULL, SOCK_NONBLOCK)) >= 0) {
            if (scene.n_upstreams == UPSTREAMS) {
                (void)close(fd);
                continue;
            }
            scene.upstreams[scene.n_upstreams++] = (struct far_end){.fd = fd};
        }
    }
}

/* Takes at most max of the bytes that wait and keeps them. */
static void read_upstream(struct far_end *upstream, size_t max)
{
    uint8_t bytes[16384];
    ssize_t n;
    while (upstream->fd >= 0 && max > 0 && upstream->n < RECORD &&
           (n = recv(upstream->fd, bytes, max < sizeof bytes ? max : sizeof bytes, 0)) > 0) {
        upstream->bytes = realloc(upstream->bytes, upstream->n + (size_t)n);
        assert(upstream->bytes != NULL);
        memcpy(upstream->bytes + upstream->n, bytes, (size_t)n);
        upstream->n += (size_t)n;
        max -= (size_t)n;
    }
}

static void read_client(int fd, size_t max)
{
    uint8_t bytes[16384];
    ssize_t n;
    while (fd >= 0 && max > 0 &&
           (n = recv(fd, bytes, max < sizeof bytes ? max : sizeof bytes, 0)) > 0)
        max -= (size_t)n;
}

static void end_far(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* ---- at rest ---- */

static bool is_pending(const struct conn *conn)
{
    if (conn->waits_for_memory && buffer_pool_allows(&scene.worker->buffers, conn->ops->use))
        return true; /* the next turn sees to it */
    if (!conn_is_open(conn) || !ev_is_active(&conn->io))
        return false;
    short events = (short)((conn->io.events & EV_READ ? POLLIN : 0) |
                           (conn->io.events & EV_WRITE ? POLLOUT : 0));
    struct pollfd ask = {.fd = conn->fd, .events = events};
    return poll(&ask, 1, 0) > 0;
}

static void check_conn(const struct conn *conn)
{
    int events = ev_is_active(&conn->io) ? conn->io.events : 0;
    assert(conn->deadline_us == 0 || ev_is_active(&conn->timer));
    assert(!conn->wants_write || (events & EV_WRITE) != 0);
    if (conn->waits_for_memory)
        assert(!buffer_pool_allows(&scene.worker->buffers, conn->ops->use));
    else if (!conn->read_ended && conn->error == 0 && buffer_used(&conn->in) == 0 &&
             !conn->in.held && conn->pipe == NULL)
        assert((events & EV_READ) != 0);
}

/* What is staged waits for room, unless the endpoint takes no more. */
static void check_upstream(const struct upstream *upstream)
{
    check_conn(&upstream->conn);
    bool may_wait =
        upstream->conn.wants_write || (upstream->request != NULL && upstream->request->send_failed);
    assert(may_wait || !conn_has_output(&upstream->conn));
    /* What is in a pipe waits for the other side. */
    const struct request *request = upstream->request;
    assert(upstream->conn.pipe == NULL || request->client->conn.wants_write);
    assert(request == NULL || request->client->conn.pipe == NULL || may_wait);
}

static bool visit_upstreams(const struct upstream_list *list, bool checks)
{
    const struct upstream *upstream;
    LIST_FOREACH(upstream, list, link)
    {
        if (is_pending(&upstream->conn))
            return true;
        if (checks)
            check_upstream(upstream);
        assert(upstream->request != NULL || upstream->conn.deadline_us != 0);
    }
    return false;
}

static void check_client(const struct client *client)
{
    check_conn(&client->conn);
    assert(client->conn.wants_write || !conn_has_output(&client->conn));
    const struct request *request = client->request;
    bool has_deadline =
        client->conn.deadline_us != 0 ||
        (request != NULL && request->upstream != NULL && request->upstream->conn.deadline_us != 0);
    assert(has_deadline);
}

/* Whether something is left to do; with checks, what is at rest is looked at. */
static bool visit_all(bool checks)
{
    const struct client *client;
    LIST_FOREACH(client, &scene.worker->clients, link)
    {
        if (is_pending(&client->conn))
            return true;
        if (checks)
            check_client(client);
    }
    for (size_t i = 0; i < ENDPOINTS; i++) {
        const struct endpoint_local *local = &house.endpoints[i]->locals[0];
        if (visit_upstreams(&local->idle, checks) || visit_upstreams(&local->active, checks))
            return true;
    }
    return false;
}

static void settle(void)
{
    worker_turn(scene.worker);
    int turns = 0;
    for (; turns < MAX_TURNS && visit_all(false); turns++)
        worker_turn(scene.worker);
    assert(turns < MAX_TURNS); /* it spins */
    assert(!visit_all(true));
    accept_upstreams();
}

/* ---- steps ---- */

struct script {
    const uint8_t *at, *end;
};

static uint8_t next_byte(struct script *script)
{
    return script->at < script->end ? *script->at++ : 0;
}

/* A length byte; 255 stands for many. */
static size_t next_length(struct script *script)
{
    uint8_t n = next_byte(script);
    return n == 255 ? 60000 : n;
}

static struct span next_bytes(struct script *script)
{
    size_t left = (size_t)(script->end - script->at), n = next_byte(script);
    if (left == 0)
        return (struct span){script->at, 0};
    n = n < left - 1 ? n : left - 1;
    struct span bytes = {script->at, n};
    script->at += n;
    return bytes;
}

static void put(int fd, const void *bytes, size_t n)
{
    if (fd >= 0)
        (void)send(fd, bytes, n, MSG_NOSIGNAL);
}

/* How the last client begins, whose listener expects the PROXY protocol. */
static void send_proxy_header(int fd, size_t which)
{
    static const char v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x1f\x90\0\x50";
    static const char *const lines[] = {"", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
                                        "PROXY UNKNOWN\r\n"};
    if (which < sizeof lines / sizeof *lines)
        put(fd, lines[which], strlen(lines[which]));
    else
        put(fd, v2, sizeof v2 - 1);
}

static void connect_client(size_t who, size_t beginning)
{
    end_far(&scene.clients[who]);
    int fds[2];
    const int small = 1;
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    scene.clients[who] = fds[1];
    struct sockaddr_storage peer = {.ss_family = AF_INET};
    bool is_proxied = who == CLIENTS - 1;
    if (is_proxied)
        send_proxy_header(fds[1], beginning);
    const struct listener listener = {.port = 80, .expects_proxy = is_proxied};
    client_accept(scene.worker, &listener, fds[0], &peer);
}

/* One that may never come twice. Of JSON there is only the beginning, up to the key's name. */
static void send_post(int fd, uint8_t which)
{
    char text[256];
    unsigned length = which >> 3u & 1u ? 50000u : 5u;
    bool is_json = (which >> 4u & 1u) != 0, is_call = (which >> 6u & 1u) != 0;
    const char *type = is_json   ? "Content-Type: application/json\r\n"
                       : is_call ? "Content-Type: application/grpc\r\ngrpc-timeout: 5S\r\n"
                                 : "";
    int n =
        snprintf(text, sizeof text,
                 "POST /p HTTP/1.1\r\nHost: h\r\nX-Number-5d1e72: %u\r\n%s%s"
                 "Content-Length: %u\r\n\r\n%s",
                 ++scene.n_posts, type, which >> 5u & 1u ? "Expect: 100-continue\r\n" : "", length,
                 which & 1u ? ""
                 : is_json  ? "{\"id\""
                            : "12345");
    put(fd, text, (size_t)n);
}

static void send_request(int fd, uint8_t which)
{
    static const char *const more[] = {
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /b HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HEAD /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "PUT /d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
        "5\r\nhello\r\n",
        "0\r\nA: b\r\n\r\n",
    };
    if ((which & 7u) >= sizeof more / sizeof more[0])
        send_post(fd, which);
    else
        put(fd, more[which & 7u], strlen(more[which & 7u]));
}

static void send_response(int fd, uint8_t which)
{
    static const char *const all[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nuntil close",
        "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n",
        "HTTP/1.1 204 None\r\nConnection: close\r\n\r\n",
    };
    put(fd, all[which & 7u], strlen(all[which & 7u]));
}

static void send_many(int fd)
{
    static const uint8_t bytes[20000];
    put(fd, bytes, sizeof bytes);
}

/* The deadline of the number-th client, or of its upstream, passes. */
static void pass_deadline(unsigned number, bool of_upstream)
{
    struct client *client = LIST_FIRST(&scene.worker->clients);
    while (client != NULL && number-- > 0)
        client = LIST_NEXT(client, link);
    if (client == NULL)
        return;
    struct conn *conn = &client->conn;
    if (of_upstream) {
        if (client->request == NULL || client->request->upstream == NULL)
            return;
        conn = &client->request->upstream->conn;
    }
    if (conn->deadline_us == 0)
        return;
    conn->deadline_us = 0;
    conn->ops->on_deadline(conn, conn->deadline_reason);
}

static void turn_endpoint(unsigned which, uint8_t state)
{
    struct endpoint *endpoint = house.endpoints[which % ENDPOINTS];
    atomic_store(&endpoint->probe, state & 1 ? ENDPOINT_PROBE_DOWN : ENDPOINT_PROBE_UP);
    atomic_store(&endpoint->source, state & 2 ? ENDPOINT_SOURCE_CRITICAL : ENDPOINT_SOURCE_UP);
    worker_wake(scene.worker);
}

static void step_client(unsigned what, size_t who, struct script *script)
{
    int *fd = &scene.clients[who % CLIENTS];
    struct span bytes;
    switch (what) {
    case 0:
        connect_client(who % CLIENTS, who / CLIENTS);
        break;
    case 1:
        bytes = next_bytes(script);
        put(*fd, bytes.p, bytes.n);
        break;
    case 2:
        send_request(*fd, next_byte(script));
        break;
    case 3:
        send_many(*fd);
        break;
    case 4:
        read_client(*fd, next_length(script));
        break;
    case 5:
        if (*fd >= 0)
            (void)shutdown(*fd, SHUT_WR);
        break;
    case 6:
        end_far(fd); /* with unread bytes this is a reset */
        break;
    default:
        pass_deadline((unsigned)who, false);
    }
}

/* who 0 is the newest connection. */
static void step_upstream(unsigned what, size_t who, struct script *script)
{
    if (what == 15) {
        turn_endpoint((unsigned)who, next_byte(script));
        return;
    }
    if (what == 14) {
        pass_deadline((unsigned)who, true);
        return;
    }
    if (who >= scene.n_upstreams)
        return;
    struct far_end *upstream = &scene.upstreams[scene.n_upstreams - 1 - who];
    struct span bytes;
    switch (what) {
    case 8:
        bytes = next_bytes(script);
        put(upstream->fd, bytes.p, bytes.n);
        break;
    case 9:
        send_response(upstream->fd, next_byte(script));
        break;
    case 10:
        send_many(upstream->fd);
        break;
    case 11:
        read_upstream(upstream, next_length(script));
        break;
    case 12:
        if (upstream->fd >= 0)
            (void)shutdown(upstream->fd, SHUT_WR);
        break;
    default:
        read_upstream(upstream, next_byte(script) & 1 ? RECORD : 0);
        end_far(&upstream->fd);
    }
}

/* ---- what endpoints received ---- */

/* Drops a request's body; false when it is not there whole. */
static bool skip_body(struct span *rest, const struct h1_framing *framing)
{
    static const struct h1_limits limits = {4096, 1024, 64};
    struct h1_body body;
    h1_body_init(&body, framing, REASON_BAD_REQUEST);
    for (;;) {
        struct h1_run run;
        enum h1_status status = h1_body_next(&body, rest->p, rest->n, &run);
        assert(status != H1_ERROR);
        *rest = (struct span){rest->p + run.skip + run.n, rest->n - run.skip - run.n};
        h1_body_take(&body, run.n);
        if (status == H1_TRAILERS) {
            struct h1_trailers trailers;
            struct h1_field fields[H1_MAX_FIELDS];
            h1_trailers_init(&trailers, fields);
            status = h1_trailers_parse(&trailers, &limits, REASON_BAD_REQUEST, rest->p, rest->n);
            assert(status != H1_ERROR);
            if (status == H1_DONE)
                *rest = (struct span){rest->p + trailers.total_n, rest->n - trailers.total_n};
        }
        if (status != H1_DATA)
            return status == H1_DONE;
    }
}

static void note_post(const struct h1_request *request, const uint8_t *message, bool *seen)
{
    for (uint32_t i = 0; i < request->lines.n_fields; i++) {
        const struct h1_field *field = &request->lines.fields[i];
        unsigned long number = 0;
        if (request->method == H1_POST &&
            span_equal_nocase(h1_field_name(field, message), SPAN("X-Number-5d1e72")))
            number = strtoul((const char *)message + field->value_at, NULL, 10);
        if (number == 0 || number > scene.n_posts)
            continue;
        assert(!seen[number]);
        seen[number] = true;
    }
}

static void check_cookies(const struct h1_request *request, const uint8_t *message)
{
    for (uint32_t i = 0; i < request->lines.n_fields; i++) {
        struct span rest = h1_field_value(&request->lines.fields[i], message);
        struct cookie_pair pair;
        while (request->lines.fields[i].id == H1_COOKIE && cookie_next(&rest, &pair))
            assert(!span_equal(pair.name, SPAN("S")));
    }
}

static void check_received(const struct far_end *upstream, bool *seen)
{
    static const struct h1_limits limits = {16384, 16384, 128};
    struct span rest = {upstream->bytes, upstream->n};
    struct h1_request request;
    struct h1_field fields[H1_MAX_FIELDS];
    while (rest.n > 0) {
        h1_request_init(&request, fields);
        enum h1_status status = h1_request_parse(&request, &limits, rest.p, rest.n);
        assert(status != H1_ERROR);
        if (status == H1_MORE)
            return;
        note_post(&request, rest.p, seen);
        check_cookies(&request, rest.p);
        if (request.framing.has_upgrade)
            return; /* what follows may be a tunnel's */
        rest = (struct span){rest.p + request.head_n, rest.n - request.head_n};
        if (!skip_body(&rest, &request.framing))
            return;
    }
}

/* ---- one run ---- */

static void begin(void)
{
    assert(worker_new(&house.proxy, 0, NULL, &scene.worker) == 0);
    scene.n_upstreams = 0;
    scene.n_posts = 0;
    for (size_t i = 0; i < CLIENTS; i++)
        scene.clients[i] = -1;
    for (size_t i = 0; i < ENDPOINTS; i++)
        turn_endpoint((unsigned)i, 0);
}

/* All far ends close and all deadlines pass: nothing may be left. */
static void finish(void)
{
    for (size_t i = 0; i < CLIENTS; i++)
        end_far(&scene.clients[i]);
    settle();
    for (size_t i = 0; i < scene.n_upstreams; i++)
        read_upstream(&scene.upstreams[i], RECORD);
    settle();
    for (size_t i = 0; i < scene.n_upstreams; i++) {
        read_upstream(&scene.upstreams[i], RECORD);
        end_far(&scene.upstreams[i].fd);
    }
    settle();
    for (int i = 0; i < 8 * CLIENTS; i++) {
        pass_deadline(0, i % 2 == 0);
        settle();
    }
    assert(LIST_EMPTY(&scene.worker->clients));
    for (size_t i = 0; i < ENDPOINTS; i++)
        upstream_close_idle(scene.worker, house.endpoints[i]);
    assert(scene.worker->buffers.used_bytes == 0);
    assert(worker_clients(scene.worker) == 0);
    assert(admission_clients(&house.proxy.admission) == 0);
    for (size_t i = 0; i < ENDPOINTS; i++)
        assert(endpoint_in_flight(house.endpoints[i]) == 0 &&
               atomic_load(&house.endpoints[i]->connections) == 0 &&
               atomic_load(&house.endpoints[i]->locals[0].waiting) == 0);
    assert(pool_waiting(&house.pool) == 0 && pool_retrying(&house.pool) == 0);
    worker_free(scene.worker);
    for (size_t i = 0; i < ENDPOINTS; i++)
        assert(atomic_load(&house.endpoints[i]->references) == 2);
}

static void check_all_received(void)
{
    bool *seen = calloc(scene.n_posts + 1, sizeof *seen);
    assert(seen != NULL);
    for (size_t i = 0; i < scene.n_upstreams; i++) {
        if (scene.upstreams[i].fd >= 0)
            (void)close(scene.upstreams[i].fd);
        check_received(&scene.upstreams[i], seen);
        free(scene.upstreams[i].bytes);
    }
    free(seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!house.is_ready)
        build_house();
    house.pool_conf.max_connections = size % 3; /* none, or so few that clients wait for them */
    house.route_conf.request_headers.n = house.listener_conf.response_headers.n = size % 2;
    begin();
    struct script script = {data, data + size};
    for (int steps = 0; script.at < script.end && steps < 200; steps++) {
        uint8_t step = next_byte(&script);
        if ((step & 15u) < 8)
            step_client(step & 15u, step >> 4u, &script);
        else
            step_upstream(step & 15u, step >> 4u, &script);
        settle();
    }
    finish();
    check_all_received();
    return 0;
}
