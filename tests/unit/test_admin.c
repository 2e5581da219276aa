#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/admin/admin.h"

enum { POOLS = 200, WAIT_MS = 20000 };

/* An admin listener on a loop in a thread of its own; many pools, to make its page large. */
struct world {
    struct conf_pool confs[POOLS];
    char names[POOLS][64];
    struct pool pools[POOLS];
    struct ev_loop *loop;
    struct ev_async stop;
    struct admin *admin;
    pthread_t thread;
    _Atomic bool is_stopping;        /* orders memory for ThreadSanitizer, which libev is not
                                        built for */
    _Atomic(const char *) not_ready; /* NULL: ready */
};

static void give_metrics(void *context, struct metrics_source *ret_source)
{
    struct world *world = context;
    *ret_source = (struct metrics_source){.pools = world->pools, .n_pools = POOLS};
}

static bool is_ready(void *context, const char **ret_why)
{
    struct world *world = context;
    const char *why = atomic_load(&world->not_ready);
    if (why != NULL)
        *ret_why = why;
    return why == NULL;
}

static void on_stop(struct ev_loop *loop, struct ev_async *stop, int events)
{
    struct world *world = stop->data;
    (void)events;
    if (atomic_load(&world->is_stopping))
        admin_stop(world->admin);
    ev_async_stop(loop, stop);
    ev_break(loop, EVBREAK_ALL);
}

static void *run_loop(void *arg)
{
    struct world *world = arg;
    ev_run(world->loop, 0);
    return NULL;
}

static const struct conf_listener any_port = {.host = (char *)"127.0.0.1"};

static struct world *world_new(double patience_s)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    for (size_t i = 0; i < POOLS; i++) {
        snprintf(world->names[i], sizeof world->names[i], "a-pool-with-a-rather-long-name-%zu", i);
        world->confs[i].name = world->names[i];
        assert_int_equal(pool_init(&world->pools[i], &world->confs[i], 1), 0);
    }
    const struct admin_source source = {
        .context = world, .metrics = give_metrics, .ready = is_ready, .patience_s = patience_s};
    world->loop = ev_loop_new(0);
    ev_async_init(&world->stop, on_stop);
    world->stop.data = world;
    ev_async_start(world->loop, &world->stop);
    assert_int_equal(admin_start(world->loop, &any_port, &source, &world->admin), 0);
    return world;
}

static void world_run(struct world *world)
{
    assert_int_equal(pthread_create(&world->thread, NULL, run_loop, world), 0);
}

static int make_world(void **state)
{
    struct world *world = world_new(0);
    world_run(world);
    *state = world;
    return 0;
}

static int make_impatient_world(void **state)
{
    struct world *world = world_new(0.2);
    world_run(world);
    *state = world;
    return 0;
}

static int free_world(void **state)
{
    struct world *world = *state;
    atomic_store(&world->is_stopping, true);
    ev_async_send(world->loop, &world->stop);
    pthread_join(world->thread, NULL);
    ev_loop_destroy(world->loop);
    for (size_t i = 0; i < POOLS; i++)
        pool_fini(&world->pools[i]);
    free(world);
    return 0;
}

enum dial_kind { DIAL, DIAL_SMALL_WINDOW };

static int dial_with(const struct world *world, enum dial_kind kind)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(admin_port(world->admin)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {.tv_sec = WAIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int small = 4096;
    if (kind == DIAL_SMALL_WINDOW)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int dial(const struct world *world)
{
    return dial_with(world, DIAL);
}

static void say(int fd, const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
}

struct answer {
    int status;
    char head[1024];
    char *body;
    size_t body_n;
};

enum body_kind { WITH_BODY, WITHOUT_BODY };

static void recv_exactly(int fd, char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = recv(fd, p, n, 0);
        assert_true(k > 0);
        p += k;
        n -= (size_t)k;
    }
}

/* Reads one answer; what follows it stays in the socket. */
static struct answer hear(int fd, enum body_kind kind)
{
    struct answer answer = {0};
    size_t n = 0;
    while (n < 4 || memcmp(answer.head + n - 4, "\r\n\r\n", 4) != 0) {
        assert_true(n < sizeof answer.head - 1);
        recv_exactly(fd, answer.head + n++, 1);
    }
    assert_memory_equal(answer.head, "HTTP/1.1 ", 9);
    answer.status = (int)strtol(answer.head + 9, NULL, 10);
    const char *length = strstr(answer.head, "Content-Length: ");
    assert_non_null(length);
    answer.body_n = strtoul(length + 16, NULL, 10);
    answer.body = calloc(1, answer.body_n + 1);
    if (kind == WITH_BODY)
        recv_exactly(fd, answer.body, answer.body_n);
    return answer;
}

/* Expects the next answer to have this status, and words in its head and body. */
static void expect(int fd, int status, const char *in_head, const char *in_body)
{
    struct answer answer = hear(fd, WITH_BODY);
    assert_int_equal(answer.status, status);
    assert_non_null(strstr(answer.head, in_head));
    assert_non_null(strstr(answer.body, in_body));
    free(answer.body);
}

static void expect_end(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static void test_one_connection_takes_many_requests(void **state)
{
    int fd = dial(*state);
    for (int i = 0; i < 20; i++) {
        say(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fd, 200, "Connection: keep-alive\r\n", "ok\n");
    }
    close(fd);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    int fd = dial(*state);
    say(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            "\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(fd, 200, "", "ok\n");
    expect(fd, 404, "", "not found\n");
    expect(fd, 200, "Connection: close\r\n", "ready\n");
    expect_end(fd);
}

static void test_a_request_may_arrive_byte_by_byte(void **state)
{
    int fd = dial(*state), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (const char *p = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"; *p != '\0'; p++)
        say(fd, (char[]){*p, '\0'});
    expect(fd, 200, "", "ok\n");
    close(fd);
}

static void test_metrics_are_served_with_the_formats_type(void **state)
{
    int fd = dial(*state);
    say(fd, "GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
           "\nquoit_pool_endpoints{pool=\"a-pool-with-a-rather-long-name-7\"} 0\n");
    close(fd);
}

static void test_head_has_the_length_but_no_body(void **state)
{
    int fd = dial(*state);
    say(fd, "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer answer = hear(fd, WITHOUT_BODY);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_n, 3);
    free(answer.body);
    say(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); /* a body would stand before this answer */
    expect(fd, 200, "", "ok\n");
    close(fd);
}

static void test_readiness_has_a_reason(void **state)
{
    struct world *world = *state;
    int fd = dial(world);
    atomic_store(&world->not_ready, "pool images has no endpoint");
    say(fd, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 503, "Service Unavailable", "not ready: pool images has no endpoint\n");
    atomic_store(&world->not_ready, NULL);
    say(fd, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "OK", "ready\n");
    close(fd);
}

static void test_the_root_lists_the_pages(void **state)
{
    int fd = dial(*state);
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "text/plain", "/metrics");
    close(fd);
}

static void test_other_methods_are_refused_with_what_is_allowed(void **state)
{
    int fd = dial(*state);
    say(fd, "DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 405, "Allow: GET, HEAD\r\n", "");
    say(fd, "DELETE /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 404, "", "");
    close(fd);
}

static void test_a_body_is_not_read_as_a_request(void **state)
{
    int fd = dial(*state);
    say(fd, "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 38\r\n\r\n"
            "GET /healthz HTTP/1.1\r\nHost: smuggled\r\n");
    expect(fd, 405, "Connection: close\r\n", "");
    expect_end(fd);
}

static void test_a_malformed_request_is_answered_and_closed(void **state)
{
    int fd = dial(*state);
    say(fd, "what is this\r\n\r\n");
    expect(fd, 400, "Connection: close\r\n", "bad_request");
    expect_end(fd);
}

static void test_a_head_without_end_is_refused(void **state)
{
    static char line[40000] = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
    memset(line + strlen(line), 'a', sizeof line - 1 - strlen(line));
    int fd = dial(*state);
    say(fd, line);
    expect(fd, 431, "Connection: close\r\n", "head_too_large");
    close(fd);
}

static void test_http_1_0_is_closed_after_the_answer(void **state)
{
    int fd = dial(*state);
    say(fd, "GET /healthz HTTP/1.0\r\n\r\n");
    expect(fd, 200, "Connection: close\r\n", "ok\n");
    expect_end(fd);
}

static void test_a_client_that_does_not_read_holds_up_nobody(void **state)
{
    enum { ASKED = 10 }; /* far more than socket buffers hold */
    struct world *world = *state;
    int slow = dial_with(world, DIAL_SMALL_WINDOW);
    for (int i = 0; i < ASKED; i++)
        say(slow, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        int fd = dial(world);
        say(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fd, 200, "", "ok\n");
        close(fd);
    }
    for (int i = 0; i < ASKED; i++)
        expect(slow, 200, "", "quoit_endpoint_weight");
    close(slow);
}

static void test_the_quietest_connection_gives_way_to_a_new_one(void **state)
{
    enum { LIMIT = 64 };
    struct world *world = *state;
    int fds[LIMIT + 1];
    for (int i = 0; i < LIMIT; i++) {
        fds[i] = dial(world);
        say(fds[i], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fds[i], 200, "", "ok\n");
    }
    say(fds[0], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); /* so the second is the quietest */
    expect(fds[0], 200, "", "ok\n");
    fds[LIMIT] = dial(world);
    say(fds[LIMIT], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fds[LIMIT], 200, "", "ok\n");
    expect_end(fds[1]);
    for (int i = 0; i <= LIMIT; i++) {
        if (i == 1)
            continue;
        say(fds[i], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fds[i], 200, "", "ok\n");
        close(fds[i]);
    }
}

static void test_a_connection_without_request_is_closed(void **state)
{
    expect_end(dial(*state));
}

static void test_a_request_must_arrive_in_time_however_slowly_it_drips(void **state)
{
    int fd = dial(*state);
    bool closed = false;
    for (int i = 0; i < 400 && !closed; i++) {
        struct pollfd end = {.fd = fd, .events = POLLIN};
        closed = send(fd, i == 0 ? "G" : "E", 1, MSG_NOSIGNAL) != 1 || poll(&end, 1, 25) == 1;
    }
    assert_true(closed);
    close(fd);
}

static void test_an_answer_must_be_taken_in_time(void **state)
{
    int fd = dial_with(*state, DIAL_SMALL_WINDOW);
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    char requests[10 * (sizeof request - 1) + 1] = ""; /* sent at once: it may end at any time */
    for (size_t i = 0; i < 10; i++)
        memcpy(requests + i * (sizeof request - 1), request, sizeof request);
    say(fd, requests);
    struct pollfd end = {.fd = fd, .events = 0}; /* a reset shows all the same */
    assert_int_equal(poll(&end, 1, WAIT_MS), 1);
    close(fd);
}

static void test_stopping_closes_open_connections(void **state)
{
    struct world *world = world_new(0);
    (void)state;
    world_run(world);
    int fd = dial(world);
    say(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "", "ok\n");
    void *stopped = world;
    free_world(&stopped);
    expect_end(fd);
}

static void test_a_port_in_use_is_an_error(void **state)
{
    struct world *world = *state;
    struct ev_loop *loop = ev_loop_new(0);
    struct admin *admin = NULL;
    const struct admin_source source = {.metrics = give_metrics, .ready = is_ready};
    const struct conf_listener taken = {.host = (char *)"127.0.0.1",
                                        .port = admin_port(world->admin)};
    assert_int_equal(admin_start(loop, &taken, &source, &admin), -EADDRINUSE);
    const struct conf_listener nonsense = {.host = (char *)"no address"};
    assert_int_equal(admin_start(loop, &nonsense, &source, &admin), -EINVAL);
    assert_null(admin);
    ev_loop_destroy(loop);
}

static void test_without_a_host_both_families_reach_it(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(0);
    const struct admin_source source = {.metrics = give_metrics, .ready = is_ready};
    struct world world;
    assert_int_equal(admin_start(loop, &(struct conf_listener){0}, &source, &world.admin), 0);
    close(dial(&world)); /* over IPv4 */
    admin_stop(world.admin);
    ev_loop_destroy(loop);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, free_world)
#define IN_IMPATIENT_WORLD(test)                                                                   \
    cmocka_unit_test_setup_teardown(test, make_impatient_world, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_one_connection_takes_many_requests),
        IN_WORLD(test_pipelined_requests_are_answered_in_order),
        IN_WORLD(test_a_request_may_arrive_byte_by_byte),
        IN_WORLD(test_metrics_are_served_with_the_formats_type),
        IN_WORLD(test_head_has_the_length_but_no_body),
        IN_WORLD(test_readiness_has_a_reason),
        IN_WORLD(test_the_root_lists_the_pages),
        IN_WORLD(test_other_methods_are_refused_with_what_is_allowed),
        IN_WORLD(test_a_body_is_not_read_as_a_request),
        IN_WORLD(test_a_malformed_request_is_answered_and_closed),
        IN_WORLD(test_a_head_without_end_is_refused),
        IN_WORLD(test_http_1_0_is_closed_after_the_answer),
        IN_WORLD(test_a_client_that_does_not_read_holds_up_nobody),
        IN_WORLD(test_the_quietest_connection_gives_way_to_a_new_one),
        IN_IMPATIENT_WORLD(test_a_connection_without_request_is_closed),
        IN_IMPATIENT_WORLD(test_a_request_must_arrive_in_time_however_slowly_it_drips),
        IN_IMPATIENT_WORLD(test_an_answer_must_be_taken_in_time),
        cmocka_unit_test(test_stopping_closes_open_connections),
        IN_WORLD(test_a_port_in_use_is_an_error),
        cmocka_unit_test(test_without_a_host_both_families_reach_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
