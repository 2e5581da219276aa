/*
 * HTTP/2 connections: one worker without a thread, one client that sends the input behind a preface
 * and takes what comes, no endpoint: every request is answered by the balancer itself. What must
 * hold: the worker comes to rest in a bounded number of turns, with a deadline for the connection
 * unless it is closed; and in the end no memory is held and everything is counted closed.
 *
 * The first byte says how the input is cut into pieces that arrive one after the other.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/control/snapshot_build.h"
#include "balancer/log/log.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/h2_session.h"
#include "balancer/proxy/listener.h"
#include "balancer/proxy/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TURNS = 1000, REST = 3 };

static struct {
    struct conf conf;
    struct conf_pool pool_conf;
    struct conf_route route_conf;
    struct pool pool;
    struct conf_listener listener_conf;
    struct proxy proxy;
    bool is_ready;
} house;

static void build_house(void)
{
    log_init(&(struct conf_log){.level = CONF_LOG_ERROR});
    house.pool_conf = (struct conf_pool){.name = (char *)"web",
                                         .algorithm = CONF_ALGORITHM_ROUND_ROBIN,
                                         .timeouts = {1000, 2000, 3000, 0, 4000, 5000, 6000}};
    house.route_conf = (struct conf_route){.path = (char *)"/"};
    house.listener_conf = (struct conf_listener){.http2 = CONF_HTTP2_ONLY};
    house.conf = (struct conf){
        .pools = &house.pool_conf,
        .n_pools = 1,
        .listeners = &house.listener_conf,
        .client = {.header_timeout_ms = 1000,
                   .keepalive_timeout_ms = 2000,
                   .body_timeout_ms = 3000,
                   .send_timeout_ms = 4000,
                   .max_head_bytes = 4096,
                   .http2_max_streams = 16,
                   .http2_window_bytes = 65536},
        .request_id = {CONF_REQUEST_ID_OFF, (char *)"", 0, false},
        .workers = 1,
        .buffer_bytes = 8192,
    };
    assert(pool_init(&house.pool, &house.pool_conf, 1) == 0);
    struct snapshot *snapshot;
    assert(snapshot_build(&house.pool_conf, NULL, 0, NULL, &snapshot) == 0);
    pool_publish(&house.pool, snapshot);
    house.proxy =
        (struct proxy){.conf = &house.conf,
                       .routes = route_table_new(&house.route_conf, 1),
                       .h1_limits = {.head_bytes = 4096, .target_bytes = 1024, .fields = 32},
                       .pools = &house.pool};
    assert(admission_init(&house.proxy.admission, &house.conf, 1) == 0);
    (void)signal(SIGPIPE, SIG_IGN);
    house.is_ready = true;
}

/* Takes what has come; whether something had. */
static bool drink(int fd)
{
    uint8_t bytes[65536];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    return n > 0;
}

static void run(struct worker *worker, int fd)
{
    int quiet = 0;
    for (int turns = 0; quiet < REST; turns++) {
        if (turns >= MAX_TURNS)
            abort(); /* it goes round in circles */
        worker_turn(worker);
        quiet = drink(fd) ? 0 : quiet + 1;
    }
    const struct client *client = LIST_FIRST(&worker->clients);
    if (client != NULL && client->conn.deadline_us == 0)
        abort();
}

static void feed(struct worker *worker, int fd, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        run(worker, fd);
        if (sent < 0 && errno != EAGAIN)
            return;
        bytes += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
}

static void play(struct worker *worker, int fd, const uint8_t *data, size_t size)
{
    static const char preface[] = NGHTTP2_CLIENT_MAGIC "\0\0\0\4\0\0\0\0\0";
    size_t step = (size_t)data[0] * 8 + 1;
    feed(worker, fd, (const uint8_t *)preface, sizeof preface - 1);
    for (size_t at = 1; at < size; at += step)
        feed(worker, fd, data + at, size - at < step ? size - at : step);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    if (!house.is_ready)
        build_house();
    int fds[2];
    struct worker *worker;
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    assert(worker_new(&house.proxy, 0, NULL, &worker) == 0);
    const struct listener listener = {.worker = worker, .speaks_h2 = true};
    const struct sockaddr_storage nobody = {.ss_family = AF_INET};
    worker_turn(worker);
    client_accept(worker, &listener, fds[0], &nobody);
    play(worker, fds[1], data, size);
    (void)close(fds[1]);
    for (int i = 0; i < REST; i++)
        worker_turn(worker);
    if (!LIST_EMPTY(&worker->clients) || worker->buffers.used_bytes != 0 ||
        worker_clients(worker) != 0)
        abort();
    worker_free(worker);
    return 0;
}
