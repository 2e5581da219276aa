/*
 * Adding targets and starting HTTP probes when memory runs out: each allocation fails once, ours
 * and libcurl's.
 *
 * The sources that allocate are compiled into this test with an allocator that counts, in place of
 * the library's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failing_memory.h"

#define calloc counted_calloc
#undef strdup
#define strdup counted_strdup
#define asprintf(ret_text, ...) (must_fail() ? -1 : asprintf(ret_text, __VA_ARGS__))
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "health/probe_curl.c"
#include "health/probe_http.c"
#include "health/target.c"
/* NOLINTEND(bugprone-suspicious-include) */
#undef calloc
#undef strdup
#undef asprintf

#include "tests/unit/probe_server.h"

static const struct conf_check check = {.type = CONF_CHECK_HTTP,
                                        .path = (char *)"/",
                                        .host = (char *)"example.com",
                                        .method = (char *)"GET",
                                        .expect = &(struct conf_status_range){200, 299},
                                        .n_expect = 1,
                                        .timeout_ms = 500};

static void test_adding_a_target_fails_whole(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    (void)state;
    for (long i = 0; i < 100; i++) {
        struct target *target = NULL;
        until_failure = i;
        int error = target_new(1, &check, (struct sockaddr *)&address, sizeof address, &target);
        bool has_failed = until_failure < 0;
        until_failure = -1;
        if (!has_failed) {
            assert_int_equal(error, 0);
            target_free(target);
            assert_true(i >= 5);
            return;
        }
        assert_int_equal(error, -ENOMEM);
        assert_null(target);
    }
    fail_msg("it never succeeds");
}

struct end {
    struct ev_loop *loop;
    unsigned n;
    enum probe_outcome outcome;
    char detail[CURL_ERROR_SIZE];
};

static void on_end(void *context, enum probe_outcome outcome, const char *detail)
{
    struct end *end = context;
    end->n++;
    snprintf(end->detail, sizeof end->detail, "%s", detail);
    end->outcome = outcome;
    ev_break(end->loop, EVBREAK_ALL);
}

/* One probe of which allocation i fails; returns whether it did. */
static bool probe_with_failure(struct probe_server *server, long i)
{
    struct end end = {.loop = ev_loop_new(0)};
    struct probe_host host = {.loop = end.loop};
    struct probe_target target = {
        .check = &check, .address = server->address, .address_len = server->address_len};
    struct probe *probe;
    assert_int_equal(curl_loop_new(host.loop, &host.curl), 0);
    until_failure = i;
    int error = probe_http.start(&host, &target, on_end, &end, &probe);
    if (error == 0)
        ev_run(host.loop, 0);
    bool has_failed = until_failure < 0;
    until_failure = -1;
    if (error == 0)
        assert_int_equal(end.n, 1);
    else
        assert_int_equal(error, -ENOMEM);
    if (!has_failed) {
        assert_int_equal(error, 0);
        assert_int_equal(end.outcome, PROBE_SUCCESS);
    }
    /* libcurl forgets the transfer at some of them; then nothing but the deadline ends it. */
    if (error == 0 && end.outcome == PROBE_FAILURE && strcmp(end.detail, "timeout") != 0)
        fail_msg("allocation %ld was held against the target: %s", i, end.detail);
    curl_loop_free(host.curl);
    ev_loop_destroy(host.loop);
    return has_failed;
}

static void test_a_probe_without_memory_ends_and_blames_nobody(void **state)
{
    (void)state;
    struct probe_server *server = probe_server_start(AF_INET);
    long i = 0;
    while (i < 2000 && probe_with_failure(server, i))
        i++;
    assert_in_range(i, 10, 1999);
    probe_server_stop(server);
}

static void free_any(void *memory)
{
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adding_a_target_fails_whole),
        cmocka_unit_test(test_a_probe_without_memory_ends_and_blames_nobody),
    };
    curl_global_init_mem(CURL_GLOBAL_DEFAULT, counted_malloc, free_any, counted_realloc,
                         counted_strdup, counted_calloc);
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return result;
}
