#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "balancer/control/inbox.h"
#include "discovery/instance_set.h"

static struct inbox inbox;
static struct ev_async wake;

static void on_wake(struct ev_loop *loop, struct ev_async *async, int revents)
{
    (void)loop, (void)async, (void)revents;
}

static int setup(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    ev_async_init(&wake, on_wake);
    ev_async_start(loop, &wake);
    return inbox_init(&inbox, 3, loop, &wake);
}

static int teardown(void **state)
{
    (void)state;
    inbox_fini(&inbox);
    ev_loop_destroy(inbox.loop);
    return 0;
}

static void post(enum discovery_event_type type, size_t pool, uint64_t index)
{
    struct instance_set *set = type == DISCOVERY_UPDATED ? instance_set_build(NULL, 0) : NULL;
    const struct discovery_event event = {
        .type = type, .pool = pool, .index = index, .set = set, .error = "why", .address = "a"};
    inbox_on_discovery(&inbox, &event);
}

static void expect(enum discovery_event_type type, size_t pool, uint64_t index)
{
    struct message *message = inbox_take(&inbox);
    assert_non_null(message);
    assert_int_equal(message->as.discovery.type, type);
    assert_int_equal(message->as.discovery.pool, pool);
    assert_int_equal(message->as.discovery.index, index);
    message_free(message);
}

static void test_a_newer_set_of_a_pool_replaces_the_one_that_waits(void **state)
{
    (void)state;
    post(DISCOVERY_UPDATED, 1, 10);
    post(DISCOVERY_UPDATED, 2, 11);
    post(DISCOVERY_FAILED, 1, 12);
    post(DISCOVERY_UPDATED, 1, 13);
    expect(DISCOVERY_UPDATED, 2, 11);
    expect(DISCOVERY_FAILED, 1, 12);
    expect(DISCOVERY_UPDATED, 1, 13);
    assert_null(inbox_take(&inbox));
}

static void test_what_is_not_taken_is_freed(void **state)
{
    (void)state;
    post(DISCOVERY_UPDATED, 0, 1);
    post(DISCOVERY_HELD, 0, 2);
}

static void test_only_news_of_a_verdict_come_through(void **state)
{
    (void)state;
    const struct health_report reports[] = {
        {.up = true, .is_first = true, .detail = "status 200"},
        {.up = true},
        {.changed = true, .detail = "timeout"},
    };
    for (size_t i = 0; i < 3; i++)
        inbox_on_health(&inbox, i, &reports[i]);
    for (uint64_t cookie = 0; cookie <= 2; cookie += 2) {
        struct message *message = inbox_take(&inbox);
        assert_non_null(message);
        assert_int_equal(message->type, MESSAGE_VERDICT);
        assert_int_equal(message->as.verdict.cookie, cookie);
        assert_string_equal(message->as.verdict.detail, reports[cookie].detail);
        message_free(message);
    }
    assert_null(inbox_take(&inbox));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_newer_set_of_a_pool_replaces_the_one_that_waits,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_taken_is_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_news_of_a_verdict_come_through, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
