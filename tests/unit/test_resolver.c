#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "balancer/control/resolver.h"
#include "discovery/instance_set.h"

/* What came back, oldest first. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct message *list[8];
    size_t n;
} done = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void on_done(void *context, struct message *message)
{
    (void)context;
    pthread_mutex_lock(&done.lock);
    done.list[done.n++] = message;
    pthread_cond_signal(&done.changed);
    pthread_mutex_unlock(&done.lock);
}

static void wait_for(size_t n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    pthread_mutex_lock(&done.lock);
    while (done.n < n)
        assert_int_equal(pthread_cond_timedwait(&done.changed, &done.lock, &until), 0);
    pthread_mutex_unlock(&done.lock);
}

static struct instance_set *set_of(const char *const *hosts, size_t n)
{
    struct instance list[4];
    for (size_t i = 0; i < n; i++)
        list[i] = (struct instance){.datacenter = (char *)"dc1",
                                    .node = (char *)"n",
                                    .service_id = (char *)hosts[i],
                                    .host = (char *)hosts[i],
                                    .port = 80};
    struct instance_set *set = instance_set_build(list, n);
    assert_non_null(set);
    return set;
}

static struct discovery_event event_of(struct instance_set *set)
{
    return (struct discovery_event){
        .type = set != NULL ? DISCOVERY_UPDATED : DISCOVERY_CONTACTED, .pool = 1, .set = set};
}

static int setup(void **state)
{
    struct resolver *resolver = NULL;
    done.n = 0;
    assert_int_equal(resolver_start(2, on_done, NULL, &resolver), 0);
    *state = resolver;
    return 0;
}

static int teardown(void **state)
{
    resolver_stop(*state);
    for (size_t i = 0; i < done.n; i++)
        message_free(done.list[i]);
    return 0;
}

static void test_sets_of_addresses_need_no_resolver(void **state)
{
    const char *const hosts[] = {"10.0.0.1", "::1"};
    struct discovery_event event = event_of(set_of(hosts, 2));
    assert_false(resolver_wants(*state, &event));
    instance_set_free(event.set);
}

static void test_names_become_addresses_and_bad_ones_are_left_out(void **state)
{
    const char *const hosts[] = {"10.0.0.1", "localhost", "no such name"};
    struct discovery_event event = event_of(set_of(hosts, 3));
    assert_true(resolver_wants(*state, &event));
    resolver_submit(*state, message_of_event(&event));
    wait_for(1);
    const struct instance_set *set = done.list[0]->as.discovery.set;
    assert_int_equal(set->n, 2);
    assert_int_equal(set->n_rejected, 1);
    assert_string_equal(set->list[0].host, "10.0.0.1");
    assert_true(strcmp(set->list[1].host, "127.0.0.1") == 0 ||
                strcmp(set->list[1].host, "::1") == 0);
}

static void test_events_of_a_pool_with_names_keep_their_order(void **state)
{
    const char *const named[] = {"localhost"}, *const numeric[] = {"10.0.0.9"};
    struct discovery_event events[] = {event_of(set_of(named, 1)), event_of(set_of(numeric, 1)),
                                       event_of(NULL)};
    for (size_t i = 0; i < 3; i++) {
        assert_true(resolver_wants(*state, &events[i]));
        resolver_submit(*state, message_of_event(&events[i]));
    }
    wait_for(3);
    assert_string_equal(done.list[0]->as.discovery.set->list[0].service_id, "localhost");
    assert_string_equal(done.list[1]->as.discovery.set->list[0].host, "10.0.0.9");
    assert_null(done.list[2]->as.discovery.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sets_of_addresses_need_no_resolver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_become_addresses_and_bad_ones_are_left_out,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_events_of_a_pool_with_names_keep_their_order, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
