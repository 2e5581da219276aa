/*
 * HTTP/2 connections to endpoints: one worker without a thread, three clients that have each sent a
 * request of HTTP/1.1, and an endpoint that says SETTINGS and then the input. What must hold: the
 * worker comes to rest in a bounded number of turns, with a deadline for each client; what a client
 * receives reads as strictly valid responses of HTTP/1.1, the final one of them once; and in the
 * end no memory is held, nothing is in flight and every client is counted closed.
 *
 * The first byte says how the input is cut into pieces that arrive one after the other.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "balancer/control/snapshot_build.h"
#include "balancer/log/log.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/listener.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 3, MAX_TURNS = 1000, REST = 3, RECORD = 1 << 20 };

static const struct {
    const char *text;
    enum h1_method method;
} requests[CLIENTS] = {
    {"GET /a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n\r\n", H1_GET},
    {"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", H1_POST},
    {"HEAD /c HTTP/1.1\r\nHost: h\r\n\r\n", H1_HEAD},
};

static struct {
    struct conf conf;
    struct conf_pool pool_conf;
    struct conf_route route_conf;
    struct pool pool;
    struct conf_listener listener_conf;
    struct proxy proxy;
    struct endpoint *endpoint;
    int listener;
    bool is_ready;
} house;

static struct {
    struct worker *worker;
    int endpoint; /* the far end of the first connection to it; -1: none */
    struct {
        int fd;
        uint8_t *bytes;
        size_t n;
    } clients[CLIENTS];
} scene;

/* ---- the house: built once ---- */

static void begin_endpoint(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int n =
        snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "quoit-fuzz-link-%d", (int)getpid());
    socklen_t name_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    house.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert(bind(house.listener, (struct sockaddr *)&name, name_n) == 0);
    assert(listen(house.listener, 64) == 0);
    house.endpoint = endpoint_new("e", "e", (struct sockaddr *)&name, name_n, 1);
    assert(house.endpoint != NULL);
}

static void build_house(void)
{
    log_init(&(struct conf_log){.level = CONF_LOG_ERROR});
    house.pool_conf = (struct conf_pool){.name = (char *)"web",
                                         .algorithm = CONF_ALGORITHM_ROUND_ROBIN,
                                         .http2 = CONF_HTTP2_ONLY,
                                         .http2_max_streams = 10,
                                         .max_idle = 2,
                                         .timeouts = {1000, 2000, 3000, 0, 4000, 5000, 6000}};
    house.route_conf = (struct conf_route){.path = (char *)"/"};
    house.conf = (struct conf){
        .pools = &house.pool_conf,
        .n_pools = 1,
        .listeners = &house.listener_conf,
        .client = {.header_timeout_ms = 1000,
                   .keepalive_timeout_ms = 2000,
                   .body_timeout_ms = 3000,
                   .send_timeout_ms = 4000,
                   .max_head_bytes = 4096},
        .request_id = {CONF_REQUEST_ID_OFF, (char *)"", 0, false},
        .workers = 1,
        .buffer_bytes = 8192,
    };
    begin_endpoint();
    assert(pool_init(&house.pool, &house.pool_conf, 1) == 0);
    const struct member member = {.endpoint = house.endpoint, .weight = 1};
    struct snapshot *snapshot;
    assert(snapshot_build(&house.pool_conf, &member, 1, NULL, &snapshot) == 0);
    pool_publish(&house.pool, snapshot);
    house.proxy =
        (struct proxy){.conf = &house.conf,
                       .routes = route_table_new(&house.route_conf, 1),
                       .h1_limits = {.head_bytes = 4096, .target_bytes = 1024, .fields = 32},
                       .pools = &house.pool};
    assert(admission_init(&house.proxy.admission, &house.conf, CLIENTS) == 0);
    (void)signal(SIGPIPE, SIG_IGN);
    house.is_ready = true;
}

/* ---- turns ---- */

/* The first connection plays; those that come after it are closed. */
static void accept_links(void)
{
    int fd;
    while ((fd = accept4(house.listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (scene.endpoint < 0)
            scene.endpoint = fd;
        else
            (void)close(fd);
    }
}

/* Whether something had come. */
static bool drink(void)
{
    uint8_t bytes[65536];
    bool has_come = scene.endpoint >= 0 && recv(scene.endpoint, bytes, sizeof bytes, 0) > 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        ssize_t n = recv(scene.clients[i].fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            continue;
        has_come = true;
        uint8_t *all = realloc(scene.clients[i].bytes, scene.clients[i].n + (size_t)n);
        assert(all != NULL && scene.clients[i].n < RECORD);
        memcpy(all + scene.clients[i].n, bytes, (size_t)n);
        scene.clients[i].bytes = all;
        scene.clients[i].n += (size_t)n;
    }
    return has_come;
}

static void settle(void)
{
    int quiet = 0;
    for (int turns = 0; quiet < REST; turns++) {
        if (turns >= MAX_TURNS)
            abort(); /* it goes round in circles */
        worker_turn(scene.worker);
        accept_links();
        quiet = drink() ? 0 : quiet + 1;
    }
    const struct client *client;
    LIST_FOREACH(client, &scene.worker->clients, link)
    {
        const struct request *request = client->request;
        bool has_deadline =
            client->conn.deadline_us != 0 || (request != NULL && request->upstream != NULL &&
                                              request->upstream->conn.deadline_us != 0);
        if (!has_deadline)
            abort();
    }
}

/* ---- what clients have received ---- */

static bool skip_body(struct h1_framing *framing, struct span *bytes)
{
    struct h1_body body;
    struct h1_run run;
    enum h1_status status;
    h1_body_init(&body, framing, REASON_UPSTREAM_BAD);
    if (framing->body == H1_BODY_NONE)
        return true;
    while ((status = h1_body_next(&body, bytes->p, bytes->n, &run)) == H1_DATA) {
        *bytes = (struct span){bytes->p + run.skip + run.n, bytes->n - run.skip - run.n};
        h1_body_take(&body, run.n);
    }
    *bytes = (struct span){bytes->p + run.skip, bytes->n - run.skip};
    assert(status != H1_ERROR);
    if (status != H1_TRAILERS)
        return status == H1_DONE;
    struct h1_field fields[H1_MAX_FIELDS];
    struct h1_trailers trailers;
    h1_trailers_init(&trailers, fields);
    status = h1_trailers_parse(&trailers, &house.proxy.h1_limits, REASON_BAD_REQUEST, bytes->p,
                               bytes->n);
    assert(status == H1_DONE || status == H1_MORE);
    if (status == H1_DONE)
        *bytes = (struct span){bytes->p + trailers.total_n, bytes->n - trailers.total_n};
    return status == H1_DONE;
}

static void check_received(size_t i)
{
    const struct h1_limits limits = {.head_bytes = 16384, .target_bytes = 1024, .fields = 64};
    struct span bytes = {scene.clients[i].bytes, scene.clients[i].n};
    struct h1_field fields[H1_MAX_FIELDS];
    struct h1_response response;
    uint16_t status = 0;
    while (bytes.n > 0 && status < 200) {
        h1_response_init(&response, fields);
        enum h1_status parsed =
            h1_response_parse(&response, &limits, requests[i].method, bytes.p, bytes.n);
        assert(parsed == H1_DONE || parsed == H1_MORE);
        if (parsed == H1_MORE)
            return;
        status = response.status;
        bytes = (struct span){bytes.p + response.head_n, bytes.n - response.head_n};
    }
    if (status >= 200 && skip_body(&response.framing, &bytes))
        assert(bytes.n == 0);
}

/* ---- the play ---- */

static void feed(const uint8_t *bytes, size_t n)
{
    while (n > 0 && scene.endpoint >= 0) {
        ssize_t sent = send(scene.endpoint, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        bool is_over = sent < 0 && errno != EAGAIN;
        settle();
        if (is_over)
            return;
        bytes += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
}

static void begin_client(size_t i)
{
    int fds[2];
    const struct listener listener = {.worker = scene.worker, .speaks_h1 = true};
    const struct sockaddr_storage nobody = {.ss_family = AF_INET};
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    scene.clients[i].fd = fds[1];
    scene.clients[i].n = 0;
    assert(send(fds[1], requests[i].text, strlen(requests[i].text), MSG_NOSIGNAL) > 0);
    client_accept(scene.worker, &listener, fds[0], &nobody);
}

static void play(const uint8_t *data, size_t size)
{
    static const uint8_t settings[] = "\0\0\0\4\0\0\0\0\0";
    size_t step = (size_t)data[0] * 8 + 1;
    worker_turn(scene.worker);
    for (size_t i = 0; i < CLIENTS; i++)
        begin_client(i);
    settle();
    feed(settings, sizeof settings - 1);
    for (size_t at = 1; at < size; at += step)
        feed(data + at, size - at < step ? size - at : step);
}

static void end_all(void)
{
    if (scene.endpoint >= 0)
        (void)close(scene.endpoint);
    scene.endpoint = -1;
    settle();
    for (size_t i = 0; i < CLIENTS; i++) {
        check_received(i);
        (void)shutdown(scene.clients[i].fd, SHUT_RDWR);
        (void)close(scene.clients[i].fd);
        free(scene.clients[i].bytes);
        scene.clients[i].bytes = NULL;
    }
    for (int i = 0; i < REST; i++)
        worker_turn(scene.worker);
    while (!LIST_EMPTY(&scene.worker->clients)) /* those that still wait for an answer */
        client_close(LIST_FIRST(&scene.worker->clients), REASON_DRAINED);
    upstream_close_idle(scene.worker, house.endpoint);
    accept_links();
    if (scene.endpoint >= 0)
        (void)close(scene.endpoint);
    for (int i = 0; i < REST; i++)
        worker_turn(scene.worker);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    if (!house.is_ready)
        build_house();
    scene.endpoint = -1;
    assert(worker_new(&house.proxy, 0, NULL, &scene.worker) == 0);
    play(data, size);
    end_all();
    if (scene.worker->buffers.used_bytes != 0 || worker_clients(scene.worker) != 0 ||
        endpoint_in_flight(house.endpoint) != 0)
        abort();
    worker_free(scene.worker);
    return 0;
}
