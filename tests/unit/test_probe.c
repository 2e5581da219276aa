#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "health/probe.h"
#include "tests/unit/probe_server.h"

/* One probe at a time, on a loop of the test's own. */
struct world {
    struct probe_host host;
    struct probe_server *server;
    struct conf_status_range ok;
    struct conf_check check;
    bool has_started; /* start() has returned */
    unsigned n_done;
    enum probe_outcome outcome;
    char detail[512];
};

static int make_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->host.loop = ev_loop_new(0);
    if (curl_loop_new(world->host.loop, &world->host.curl) != 0)
        return -1;
    world->server = probe_server_start(AF_INET);
    world->ok = (struct conf_status_range){200, 299};
    world->check = (struct conf_check){.type = CONF_CHECK_HTTP,
                                       .path = (char *)"/health?x=1",
                                       .method = (char *)"GET",
                                       .expect = &world->ok,
                                       .n_expect = 1,
                                       .timeout_ms = 10000};
    *state = world;
    return 0;
}

static int free_world(void **state)
{
    struct world *world = *state;
    probe_server_stop(world->server);
    curl_loop_free(world->host.curl);
    ev_loop_destroy(world->host.loop);
    free(world);
    return 0;
}

static void on_done(void *context, enum probe_outcome outcome, const char *detail)
{
    struct world *world = context;
    assert_true(world->has_started);
    world->n_done++;
    world->outcome = outcome;
    snprintf(world->detail, sizeof world->detail, "%s", detail);
    ev_break(world->host.loop, EVBREAK_ALL);
}

static int begin(struct world *world, const struct probe_target *target, struct probe **ret_probe)
{
    world->has_started = false;
    int error =
        probe_for(world->check.type)->start(&world->host, target, on_done, world, ret_probe);
    world->has_started = true;
    return error;
}

static struct probe_target target_at(struct world *world, const void *address, socklen_t n)
{
    struct probe_target target = {.check = &world->check, .address_len = n};
    memcpy(&target.address, address, n);
    return target;
}

/* Probes address and expects this end, once. */
static void expect_at(struct world *world, const void *address, socklen_t n,
                      enum probe_outcome outcome, const char *detail)
{
    struct probe *probe;
    struct probe_target target = target_at(world, address, n);
    world->n_done = 0;
    assert_int_equal(begin(world, &target, &probe), 0);
    ev_run(world->host.loop, 0);
    assert_int_equal(world->n_done, 1);
    assert_string_equal(world->detail, detail);
    assert_int_equal(world->outcome, outcome);
}

static void expect(struct world *world, enum probe_outcome outcome, const char *detail)
{
    expect_at(world, &world->server->address, world->server->address_len, outcome, detail);
}

static void answer(struct world *world, enum manner manner, const char *text)
{
    probe_server_set(world->server, manner, text);
}

static void test_an_expected_status_is_a_success(void **state)
{
    struct world *world = *state;
    expect(world, PROBE_SUCCESS, "status 200");
    answer(world, MANNER_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n");
    expect(world, PROBE_SUCCESS, "status 204");
    answer(world, MANNER_ANSWER, "HTTP/1.0 299 X\r\n\r\nuntil the end");
    expect(world, PROBE_SUCCESS, "status 299");
}

static void test_another_status_is_a_failure(void **state)
{
    struct world *world = *state;
    answer(world, MANNER_ANSWER, ANSWER_503);
    expect(world, PROBE_FAILURE, "status 503");
    answer(world, MANNER_ANSWER, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    expect(world, PROBE_FAILURE, "status 404");
}

static void test_every_expected_range_counts(void **state)
{
    struct world *world = *state;
    struct conf_status_range ranges[] = {{204, 204}, {404, 503}};
    world->check.expect = ranges;
    world->check.n_expect = 2;
    expect(world, PROBE_FAILURE, "status 200");
    answer(world, MANNER_ANSWER, ANSWER_503);
    expect(world, PROBE_SUCCESS, "status 503");
    answer(world, MANNER_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n");
    expect(world, PROBE_SUCCESS, "status 204");
}

static void test_redirects_are_not_followed(void **state)
{
    struct world *world = *state;
    answer(world, MANNER_ANSWER,
           "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
    expect(world, PROBE_FAILURE, "status 302");
    assert_int_equal(probe_server_accepted(world->server), 1);
}

static void test_interim_answers_are_not_the_answer(void **state)
{
    struct world *world = *state;
    answer(world, MANNER_ANSWER, "HTTP/1.1 103 Early Hints\r\n\r\n" ANSWER_503);
    expect(world, PROBE_FAILURE, "status 503");
    answer(world, MANNER_ANSWER, "HTTP/1.1 103 Early Hints\r\n\r\n" ANSWER_200);
    expect(world, PROBE_SUCCESS, "status 200");
}

static void test_the_request_is_what_was_configured(void **state)
{
    struct world *world = *state;
    const char *request = world->server->last_request;
    char want[256];
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    expect(world, PROBE_SUCCESS, "status 200");
    unsigned port = ntohs(((struct sockaddr_in *)&world->server->address)->sin_port);
    snprintf(want, sizeof want,
             "GET /health?x=1 HTTP/1.1\r\nAccept: */*\r\nHost: 127.0.0.1:%u\r\n"
             "Connection: close\r\nUser-Agent: quoit-health\r\n\r\n",
             port);
    const char *lines[] = {"\r\nConnection: close\r\n", "\r\nUser-Agent: quoit-health\r\n"};
    assert_memory_equal(request, want, strlen("GET /health?x=1 HTTP/1.1\r\n"));
    for (size_t i = 0; i < 2; i++)
        assert_non_null(strstr(request, lines[i]));
    snprintf(want, sizeof want, "\r\nHost: 127.0.0.1:%u\r\n", port);
    assert_non_null(strstr(request, want));

    world->check.host = (char *)"images.example";
    world->check.path = (char *)"/a/../b%2f#c";
    world->check.method = (char *)"HEAD";
    expect(world, PROBE_SUCCESS, "status 200");
    assert_memory_equal(request, "HEAD /a/../b%2f#c HTTP/1.1\r\n", 28);
    assert_non_null(strstr(request, "\r\nHost: images.example\r\n"));
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

static void test_each_probe_opens_a_connection(void **state)
{
    struct world *world = *state;
    for (unsigned i = 1; i <= 5; i++) {
        expect(world, PROBE_SUCCESS, "status 200");
        assert_int_equal(probe_server_accepted(world->server), i);
    }
}

static void test_nobody_listening_is_refused(void **state)
{
    struct world *world = *state;
    struct sockaddr_in address;
    int fd = refusing_address(&address);
    expect_at(world, &address, sizeof address, PROBE_FAILURE, "connect refused");
    world->check.type = CONF_CHECK_TCP;
    expect_at(world, &address, sizeof address, PROBE_FAILURE, "connect refused");
    close(fd);
}

static void test_silence_ends_in_a_timeout(void **state)
{
    struct world *world = *state;
    world->check.timeout_ms = 100;
    answer(world, MANNER_HANG, "");
    expect(world, PROBE_FAILURE, "timeout");
}

static void test_dripping_bytes_do_not_move_the_deadline(void **state)
{
    struct world *world = *state;
    world->check.timeout_ms = 150;
    answer(world, MANNER_DRIP, ANSWER_200); /* at 10 ms a byte, 410 ms */
    expect(world, PROBE_FAILURE, "timeout");
}

static void test_the_status_decides_even_if_the_body_never_ends(void **state)
{
    struct world *world = *state;
    world->check.timeout_ms = 100;
    answer(world, MANNER_HOLD, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome");
    expect(world, PROBE_SUCCESS, "status 200");
}

static void test_an_endless_body_is_not_read(void **state)
{
    struct world *world = *state;
    answer(world, MANNER_FLOOD, "HTTP/1.1 200 OK\r\n\r\n");
    expect(world, PROBE_SUCCESS, "status 200");
    size_t flooded = 0;
    for (int i = 0; i < 1000 && flooded == 0; i++) {
        poll(NULL, 0, 10);
        pthread_mutex_lock(&world->server->lock);
        flooded = world->server->n_flooded;
        pthread_mutex_unlock(&world->server->lock);
    }
    assert_true(flooded > 0 && flooded < 50000000); /* what socket buffers took */
}

static void test_an_endless_head_is_a_failure(void **state)
{
    struct world *world = *state;
    static char head[120000] = "HTTP/1.1 200 OK\r\n";
    for (size_t n = strlen(head); n + 24 < sizeof head; n += 23)
        memcpy(head + n, "X-Filler: abcdefghijk\r\n", 24);
    answer(world, MANNER_HOLD, head);
    expect(world, PROBE_FAILURE, "head too large");
}

static void test_a_connection_closed_without_answer_is_a_failure(void **state)
{
    struct world *world = *state;
    answer(world, MANNER_CLOSE, "");
    expect(world, PROBE_FAILURE, "closed without an answer");
}

static void test_an_answer_that_is_no_http_is_a_failure(void **state)
{
    struct world *world = *state;
    answer(world, MANNER_ANSWER, "SSH-2.0-OpenSSH_9.2\r\n");
    expect(world, PROBE_FAILURE, "Received HTTP/0.9 when not allowed");
}

static void test_ipv6_targets_are_probed(void **state)
{
    struct world *world = *state;
    struct probe_server *server = probe_server_start(AF_INET6);
    if (server == NULL)
        skip();
    expect_at(world, &server->address, server->address_len, PROBE_SUCCESS, "status 200");
    assert_non_null(strstr(server->last_request, "\r\nHost: [::1]:"));
    world->check.type = CONF_CHECK_TCP;
    expect_at(world, &server->address, server->address_len, PROBE_SUCCESS, "connected");
    probe_server_stop(server);
}

static void test_tcp_needs_an_accepted_connection_only(void **state)
{
    struct world *world = *state;
    world->check.type = CONF_CHECK_TCP;
    answer(world, MANNER_HANG, "");
    expect(world, PROBE_SUCCESS, "connected");
}

static void test_tcp_times_out_when_nobody_accepts(void **state)
{
    struct world *world = *state;
    struct sockaddr_storage address;
    socklen_t n;
    int listener = -1, fillers[8];
    world->check.type = CONF_CHECK_TCP;
    world->check.timeout_ms = 200;
    assert_true(listen_on_loopback(AF_INET, &address, &n, &listener));
    assert_int_equal(listen(listener, 0), 0);
    for (size_t i = 0; i < 8; i++) { /* fill the queue: what comes then is not answered */
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&address, n);
    }
    expect_at(world, &address, n, PROBE_FAILURE, "timeout");
    world->check.type = CONF_CHECK_HTTP;
    expect_at(world, &address, n, PROBE_FAILURE, "timeout");
    for (size_t i = 0; i < 8; i++)
        close(fillers[i]);
    close(listener);
}

static void test_running_out_of_descriptors_says_nothing_of_the_target(void **state)
{
    struct world *world = *state;
    struct rlimit before, none;
    struct probe *probe;
    struct probe_target target =
        target_at(world, &world->server->address, world->server->address_len);
    expect(world, PROBE_SUCCESS, "status 200"); /* libcurl has its own descriptors now */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    world->n_done = 0;
    int error = begin(world, &target, &probe);
    if (error == 0)
        ev_run(world->host.loop, 0);
    world->check.type = CONF_CHECK_TCP;
    int tcp_error = begin(world, &target, &probe);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(error, 0);
    assert_int_equal(world->n_done, 1);
    assert_int_equal(world->outcome, PROBE_UNKNOWN);
    assert_int_equal(tcp_error, -EMFILE);
}

static void on_tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void run_for(struct ev_loop *loop, double seconds)
{
    struct ev_timer timer;
    ev_timer_init(&timer, on_tick, seconds, 0);
    ev_timer_start(loop, &timer);
    ev_run(loop, 0);
    ev_timer_stop(loop, &timer);
}

static void test_a_stopped_probe_is_not_heard_of(void **state)
{
    struct world *world = *state;
    struct sockaddr_in address;
    int fd = refusing_address(&address);
    enum conf_check_type types[] = {CONF_CHECK_HTTP, CONF_CHECK_TCP};
    for (size_t i = 0; i < 2; i++) {
        struct probe *probe;
        struct probe_target targets[] = {
            target_at(world, &world->server->address, world->server->address_len),
            target_at(world, &address, sizeof address)};
        world->check.type = types[i];
        for (size_t j = 0; j < 2; j++) {
            assert_int_equal(begin(world, &targets[j], &probe), 0);
            probe_for(types[i])->stop(probe); /* before the loop has turned */
        }
    }
    struct probe *probe;
    struct probe_target target =
        target_at(world, &world->server->address, world->server->address_len);
    world->check.type = CONF_CHECK_HTTP;
    answer(world, MANNER_HANG, "");
    assert_int_equal(begin(world, &target, &probe), 0);
    run_for(world->host.loop, 0.05);
    probe_http.stop(probe); /* under way */
    run_for(world->host.loop, 0.05);
    assert_int_equal(world->n_done, 0);
    close(fd);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_an_expected_status_is_a_success),
        IN_WORLD(test_another_status_is_a_failure),
        IN_WORLD(test_every_expected_range_counts),
        IN_WORLD(test_redirects_are_not_followed),
        IN_WORLD(test_interim_answers_are_not_the_answer),
        IN_WORLD(test_the_request_is_what_was_configured),
        IN_WORLD(test_each_probe_opens_a_connection),
        IN_WORLD(test_nobody_listening_is_refused),
        IN_WORLD(test_silence_ends_in_a_timeout),
        IN_WORLD(test_dripping_bytes_do_not_move_the_deadline),
        IN_WORLD(test_the_status_decides_even_if_the_body_never_ends),
        IN_WORLD(test_an_endless_body_is_not_read),
        IN_WORLD(test_an_endless_head_is_a_failure),
        IN_WORLD(test_a_connection_closed_without_answer_is_a_failure),
        IN_WORLD(test_an_answer_that_is_no_http_is_a_failure),
        IN_WORLD(test_ipv6_targets_are_probed),
        IN_WORLD(test_tcp_needs_an_accepted_connection_only),
        IN_WORLD(test_tcp_times_out_when_nobody_accepts),
        IN_WORLD(test_running_out_of_descriptors_says_nothing_of_the_target),
        IN_WORLD(test_a_stopped_probe_is_not_heard_of),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return result;
}
