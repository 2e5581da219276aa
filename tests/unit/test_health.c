#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "health/health.h"
#include "tests/unit/probe_server.h"

enum { COOKIES = 512, WAIT_S = 30 };

/* What the observer heard of one target. */
struct heard {
    unsigned n, n_changes, n_firsts;
    unsigned against; /* reports since the last change that were not of the verdict */
    bool up, success;
    char detail[64];
    uint32_t duration_us;
    double first_s, last_s; /* when */
};

struct world {
    struct health *health;
    struct probe_server *server;
    struct conf_status_range ok;
    struct conf_check check;
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct heard heard[COOKIES];
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void observe(void *context, uint64_t cookie, const struct health_report *report)
{
    struct world *world = context;
    pthread_mutex_lock(&world->lock);
    struct heard *heard = &world->heard[cookie];
    heard->against = report->changed ? 0 : heard->against + (report->success != report->up);
    heard->n_changes += report->changed;
    heard->n_firsts += report->is_first;
    heard->up = report->up;
    heard->success = report->success;
    heard->duration_us = report->duration_us;
    snprintf(heard->detail, sizeof heard->detail, "%s", report->detail);
    heard->last_s = now_s();
    if (heard->n++ == 0)
        heard->first_s = heard->last_s;
    pthread_cond_broadcast(&world->news);
    pthread_mutex_unlock(&world->lock);
}

static int make_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&world->news, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&world->lock, NULL);
    world->server = probe_server_start(AF_INET);
    world->ok = (struct conf_status_range){200, 299};
    world->check = (struct conf_check){.type = CONF_CHECK_HTTP,
                                       .path = (char *)"/",
                                       .method = (char *)"GET",
                                       .expect = &world->ok,
                                       .n_expect = 1,
                                       .interval_ms = 20,
                                       .timeout_ms = 5000,
                                       .rise = 2,
                                       .fall = 3,
                                       .initial = CONF_INITIAL_DOWN};
    if (health_start(observe, world, &world->health) != 0)
        return -1;
    *state = world;
    return 0;
}

static int free_world(void **state)
{
    struct world *world = *state;
    health_stop(world->health);
    probe_server_stop(world->server);
    pthread_cond_destroy(&world->news);
    pthread_mutex_destroy(&world->lock);
    free(world);
    return 0;
}

typedef bool is_fine_fn(const struct heard *heard, unsigned n);

static bool has_reports(const struct heard *heard, unsigned n)
{
    return heard->n >= n;
}

static bool has_changes(const struct heard *heard, unsigned n)
{
    return heard->n_changes >= n;
}

/* Waits until what was heard of cookie is fine, and returns it. */
static struct heard wait_until(struct world *world, uint64_t cookie, is_fine_fn *is_fine,
                               unsigned n)
{
    struct timespec limit;
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += WAIT_S;
    pthread_mutex_lock(&world->lock);
    bool in_time = true;
    while (in_time && !is_fine(&world->heard[cookie], n))
        in_time = pthread_cond_timedwait(&world->news, &world->lock, &limit) == 0;
    struct heard heard = world->heard[cookie];
    pthread_mutex_unlock(&world->lock);
    assert_true(in_time);
    return heard;
}

static void add(struct world *world, uint64_t cookie)
{
    assert_int_equal(health_add(world->health, cookie, &world->check,
                                (struct sockaddr *)&world->server->address,
                                world->server->address_len),
                     0);
}

static void answer(struct world *world, enum manner manner, const char *text)
{
    probe_server_set(world->server, manner, text);
}

static void test_the_first_success_makes_a_new_target_usable(void **state)
{
    struct world *world = *state;
    world->check.rise = 100;
    add(world, 1);
    struct heard heard = wait_until(world, 1, has_reports, 1);
    assert_true(heard.up);
    assert_int_equal(heard.n_changes, 1);
    assert_string_equal(heard.detail, "status 200");
}

static void test_the_first_failure_makes_a_new_target_unusable(void **state)
{
    struct world *world = *state;
    world->check.initial = CONF_INITIAL_UP;
    world->check.fall = 100;
    answer(world, MANNER_ANSWER, ANSWER_503);
    add(world, 1);
    struct heard heard = wait_until(world, 1, has_reports, 1);
    assert_false(heard.up);
    assert_int_equal(heard.n_changes, 1);
    assert_string_equal(heard.detail, "status 503");
}

static void test_a_first_result_that_agrees_is_no_change(void **state)
{
    struct world *world = *state;
    world->check.initial = CONF_INITIAL_UP;
    add(world, 1);
    struct heard heard = wait_until(world, 1, has_reports, 3);
    assert_true(heard.up);
    assert_int_equal(heard.n_changes, 0);
    assert_int_equal(heard.n_firsts, 1);
}

static void test_targets_fall_and_rise_after_the_configured_numbers(void **state)
{
    struct world *world = *state;
    add(world, 1);
    wait_until(world, 1, has_changes, 1);
    answer(world, MANNER_ANSWER, ANSWER_503);
    pthread_mutex_lock(&world->lock);
    unsigned before = world->heard[1].n;
    pthread_mutex_unlock(&world->lock);
    struct heard heard = wait_until(world, 1, has_changes, 2);
    assert_false(heard.up);
    assert_true(heard.n >= before + world->check.fall);

    before = heard.n;
    answer(world, MANNER_ANSWER, ANSWER_200);
    heard = wait_until(world, 1, has_changes, 3);
    assert_true(heard.up);
    assert_true(heard.n >= before + world->check.rise);
}

static void test_a_single_failure_changes_nothing(void **state)
{
    struct world *world = *state;
    world->check.fall = UINT16_MAX;
    add(world, 1);
    wait_until(world, 1, has_changes, 1);
    answer(world, MANNER_CLOSE, "");
    struct heard heard;
    do
        heard = wait_until(world, 1, has_reports, 1);
    while (heard.success);
    assert_true(heard.up);
    assert_int_equal(heard.n_changes, 1);
    assert_string_equal(heard.detail, "closed without an answer");
}

static void test_a_hanging_target_fails_at_the_timeout(void **state)
{
    struct world *world = *state;
    world->check.timeout_ms = 150;
    world->check.initial = CONF_INITIAL_UP;
    answer(world, MANNER_HANG, "");
    add(world, 1);
    struct heard heard = wait_until(world, 1, has_changes, 1);
    assert_false(heard.up);
    assert_string_equal(heard.detail, "timeout");
    assert_true(heard.duration_us >= 145000 && heard.duration_us < 10000000);
}

static void test_a_refusing_target_comes_up_when_it_listens(void **state)
{
    struct world *world = *state;
    struct sockaddr_in address;
    int fd = refusing_address(&address);
    world->check.type = CONF_CHECK_TCP;
    world->check.initial = CONF_INITIAL_UP;
    assert_int_equal(
        health_add(world->health, 1, &world->check, (struct sockaddr *)&address, sizeof address),
        0);
    struct heard heard = wait_until(world, 1, has_changes, 1);
    assert_false(heard.up);
    assert_string_equal(heard.detail, "connect refused");
    assert_int_equal(listen(fd, 64), 0);
    heard = wait_until(world, 1, has_changes, 2);
    assert_true(heard.up);
    health_remove(world->health, 1);
    close(fd);
}

static void test_a_checks_port_comes_before_the_targets(void **state)
{
    struct world *world = *state;
    struct sockaddr_in address = *(struct sockaddr_in *)&world->server->address;
    world->check.port = ntohs(address.sin_port);
    address.sin_port = htons(1);
    assert_int_equal(
        health_add(world->health, 1, &world->check, (struct sockaddr *)&address, sizeof address),
        0);
    assert_true(wait_until(world, 1, has_reports, 1).success);
}

static void test_probes_keep_their_interval(void **state)
{
    struct world *world = *state;
    world->check.interval_ms = 50;
    double from = now_s();
    add(world, 1);
    struct heard heard = wait_until(world, 1, has_reports, 9);
    assert_true(heard.first_s - from < 5);
    /* Eight intervals of 45 ms at least, from the first probe's beginning on. */
    assert_true(heard.last_s - from >= 8 * 0.045);
}

static void test_one_probe_of_a_target_is_under_way_at_most(void **state)
{
    struct world *world = *state;
    world->check.interval_ms = 10;
    world->check.timeout_ms = 100;
    answer(world, MANNER_HANG, "");
    add(world, 1);
    wait_until(world, 1, has_reports, 5);
    health_remove(world->health, 1);
    pthread_mutex_lock(&world->server->lock);
    unsigned max_open = world->server->max_open;
    pthread_mutex_unlock(&world->server->lock);
    /* A connection that ended may still stand open here when the next one comes. */
    assert_in_range(max_open, 1, 2);
}

static void test_removed_targets_are_not_heard_of_again(void **state)
{
    struct world *world = *state;
    for (uint64_t cookie = 1; cookie <= 20; cookie++)
        add(world, cookie);
    for (uint64_t cookie = 1; cookie <= 20; cookie++)
        wait_until(world, cookie, has_reports, 2);
    for (uint64_t cookie = 1; cookie <= 20; cookie++)
        health_remove(world->health, cookie);
    add(world, 21); /* is started after the removals: orders are taken in turn */
    wait_until(world, 21, has_reports, 1);
    unsigned before[21];
    pthread_mutex_lock(&world->lock);
    for (uint64_t cookie = 1; cookie <= 20; cookie++)
        before[cookie] = world->heard[cookie].n;
    pthread_mutex_unlock(&world->lock);
    wait_until(world, 21, has_reports, 10);
    pthread_mutex_lock(&world->lock);
    for (uint64_t cookie = 1; cookie <= 20; cookie++)
        assert_int_equal(world->heard[cookie].n, before[cookie]);
    pthread_mutex_unlock(&world->lock);
}

static void test_a_target_may_go_before_it_was_ever_probed(void **state)
{
    struct world *world = *state;
    for (unsigned round = 0; round < 200; round++) {
        add(world, 1);
        health_remove(world->health, 1);
    }
    health_remove(world->health, 77); /* was never there */
    add(world, 2);
    wait_until(world, 2, has_reports, 3);
}

static void test_a_cookie_may_come_back(void **state)
{
    struct world *world = *state;
    add(world, 1);
    wait_until(world, 1, has_changes, 1);
    health_remove(world->health, 1);
    add(world, 1); /* begins as down and rises again */
    wait_until(world, 1, has_changes, 2);
}

static void test_hundreds_added_together_are_all_probed_but_not_at_once(void **state)
{
    enum { MANY = 300 };
    struct world *world = *state;
    world->check.interval_ms = 60000;
    for (uint64_t cookie = 0; cookie < MANY; cookie++)
        add(world, cookie);
    double first = 0, last = 0;
    for (uint64_t cookie = 0; cookie < MANY; cookie++) {
        struct heard heard = wait_until(world, cookie, has_reports, 1);
        assert_true(heard.success);
        if (cookie == 0 || heard.first_s < first)
            first = heard.first_s;
        if (heard.first_s > last)
            last = heard.first_s;
    }
    assert_true(last - first > 0.05);
    assert_int_equal(probe_server_accepted(world->server), MANY);
}

static void test_what_was_given_is_copied(void **state)
{
    struct world *world = *state;
    char path[] = "/healthy", method[] = "GET";
    struct conf_status_range range = {200, 200};
    struct conf_check check = world->check;
    check.path = path;
    check.method = method;
    check.expect = &range;
    struct sockaddr_storage address = world->server->address;
    assert_int_equal(health_add(world->health, 1, &check, (struct sockaddr *)&address,
                                world->server->address_len),
                     0);
    memset(path, 'x', sizeof path - 1);
    memset(method, 'x', sizeof method - 1);
    memset(&range, 0, sizeof range);
    memset(&address, 0, sizeof address);
    struct heard heard = wait_until(world, 1, has_reports, 5);
    assert_true(heard.success);
    assert_int_equal(heard.n_changes, 1);
}

static void test_stopping_does_not_wait_for_probes_under_way(void **state)
{
    struct world *world = *state;
    world->check.timeout_ms = 60000;
    answer(world, MANNER_HANG, "");
    for (uint64_t cookie = 1; cookie <= 10; cookie++)
        add(world, cookie);
    for (int i = 0; i < 1000 && probe_server_accepted(world->server) < 10; i++)
        poll(NULL, 0, 10);
    assert_int_equal(probe_server_accepted(world->server), 10);
    double from = now_s();
    health_stop(world->health);
    assert_true(now_s() - from < 20);
    for (uint64_t cookie = 1; cookie <= 10; cookie++)
        assert_int_equal(world->heard[cookie].n, 0);
    world->health = NULL;
}

enum { CALLERS = 3 };

struct caller {
    struct world *world;
    uint64_t first;
};

static void *add_and_remove(void *arg)
{
    struct caller *caller = arg;
    for (unsigned round = 0; round < 20; round++) {
        for (uint64_t cookie = caller->first; cookie < caller->first + 20; cookie++)
            if (health_add(caller->world->health, cookie, &caller->world->check,
                           (struct sockaddr *)&caller->world->server->address,
                           caller->world->server->address_len) != 0)
                abort();
        poll(NULL, 0, 1);
        for (uint64_t cookie = caller->first; cookie < caller->first + 20; cookie++)
            health_remove(caller->world->health, cookie);
    }
    return NULL;
}

static void test_several_threads_may_add_and_remove(void **state)
{
    struct world *world = *state;
    pthread_t threads[CALLERS];
    struct caller callers[CALLERS];
    world->check.interval_ms = 5;
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){world, 100 + 20 * (uint64_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_remove, &callers[i]), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    add(world, 1);
    wait_until(world, 1, has_reports, 2);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_the_first_success_makes_a_new_target_usable),
        IN_WORLD(test_the_first_failure_makes_a_new_target_unusable),
        IN_WORLD(test_a_first_result_that_agrees_is_no_change),
        IN_WORLD(test_targets_fall_and_rise_after_the_configured_numbers),
        IN_WORLD(test_a_single_failure_changes_nothing),
        IN_WORLD(test_a_hanging_target_fails_at_the_timeout),
        IN_WORLD(test_a_refusing_target_comes_up_when_it_listens),
        IN_WORLD(test_a_checks_port_comes_before_the_targets),
        IN_WORLD(test_probes_keep_their_interval),
        IN_WORLD(test_one_probe_of_a_target_is_under_way_at_most),
        IN_WORLD(test_removed_targets_are_not_heard_of_again),
        IN_WORLD(test_a_target_may_go_before_it_was_ever_probed),
        IN_WORLD(test_a_cookie_may_come_back),
        IN_WORLD(test_hundreds_added_together_are_all_probed_but_not_at_once),
        IN_WORLD(test_what_was_given_is_copied),
        IN_WORLD(test_stopping_does_not_wait_for_probes_under_way),
        IN_WORLD(test_several_threads_may_add_and_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
