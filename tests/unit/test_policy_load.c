/* The policies that look at the requests in flight: least requests and two random choices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy_support.h"

static struct bench bench;

static void test_the_endpoint_with_the_fewest_requests_is_picked(void **state)
{
    (void)state;
    bench_init(&bench, CONF_ALGORITHM_LEAST_REQUESTS, 5, NULL);
    static const uint32_t in_flight[] = {3, 2, 5, 1, 2};
    for (uint32_t i = 0; i < 5; i++)
        bench_set_in_flight(&bench, i, in_flight[i]);
    for (int i = 0; i < 100; i++)
        assert_int_equal(bench_pick(&bench), 3);
    bench_take_down(&bench, 3);
    bench_count(&bench, 1000);
    assert_int_equal(bench.counts[1] + bench.counts[4], 1000);
    assert_true(bench.counts[1] > 400 && bench.counts[4] > 400);
    bench_fini(&bench);
}

static void test_fewest_is_by_weight(void **state)
{
    (void)state;
    static const double weights[] = {1, 4, 0.5};
    bench_init(&bench, CONF_ALGORITHM_LEAST_REQUESTS, 3, weights);
    assert_int_equal(bench_pick(&bench), 1); /* 1, 1/4, 2 */
    bench_set_in_flight(&bench, 1, 2);
    assert_int_equal(bench_pick(&bench), 1); /* 1, 3/4, 2 */
    bench_set_in_flight(&bench, 1, 4);
    assert_int_equal(bench_pick(&bench), 0); /* 1, 5/4, 2 */
    bench_set_in_flight(&bench, 0, 2);
    bench_set_in_flight(&bench, 1, 9);
    assert_int_equal(bench_pick(&bench), 2); /* 3, 10/4, 2 */
    bench_fini(&bench);
}

static void test_ties_are_broken_evenly(void **state)
{
    (void)state;
    bench_init(&bench, CONF_ALGORITHM_LEAST_REQUESTS, 10, NULL);
    for (uint32_t i = 0; i < 10; i++)
        bench_set_in_flight(&bench, i, 1 + i % 2);
    bench_count(&bench, 10000);
    for (uint32_t i = 0; i < 10; i++) {
        if (i % 2 == 1)
            assert_int_equal(bench.counts[i], 0);
        else
            assert_true(bench.counts[i] > 1800 && bench.counts[i] < 2200);
    }
    bench_fini(&bench);
}

/* Every request stays: the counts fill up by weight. */
static void test_least_requests_fills_up_by_weight(void **state)
{
    (void)state;
    static const double weights[] = {1, 2, 7};
    bench_init(&bench, CONF_ALGORITHM_LEAST_REQUESTS, 3, weights);
    for (int i = 0; i < 1000; i++)
        endpoint_add_in_flight(bench.members[bench_pick(&bench)].endpoint, 0, 1);
    for (uint32_t i = 0; i < 3; i++) {
        double n = endpoint_in_flight(bench.members[i].endpoint);
        assert_true(n > 100 * weights[i] - 3 && n < 100 * weights[i] + 3);
    }
    bench_fini(&bench);
}

static void test_idle_endpoints_are_drawn_by_weight(void **state)
{
    (void)state;
    static const double weights[] = {1, 0.25, 6, 0, 2.75};
    bench_init(&bench, CONF_ALGORITHM_RANDOM_TWO, 5, weights);
    bench_count(&bench, 100000);
    for (uint32_t i = 0; i < 5; i++) {
        double expected = 10000 * weights[i];
        double slack = 400;
        assert_true(bench.counts[i] >= expected - slack && bench.counts[i] <= expected + slack);
    }
    assert_int_equal(bench.counts[3], 0);
    bench_fini(&bench);
}

/* The two are different, so the busiest of all is never picked. */
static void test_the_busiest_endpoint_is_never_picked(void **state)
{
    (void)state;
    bench_init(&bench, CONF_ALGORITHM_RANDOM_TWO, 6, NULL);
    for (uint32_t i = 0; i < 6; i++)
        bench_set_in_flight(&bench, i, i);
    bench_count(&bench, 30000);
    assert_int_equal(bench.counts[5], 0);
    /* The k-th best of n wins with probability 2 (n - k) / (n (n - 1)). */
    for (uint32_t i = 0; i < 5; i++)
        assert_true(bench.counts[i] > (5 - i) * 1800 && bench.counts[i] < (5 - i) * 2200);
    bench_fini(&bench);
}

static void test_the_better_of_two_is_by_weight(void **state)
{
    (void)state;
    static const double weights[] = {1, 3};
    bench_init(&bench, CONF_ALGORITHM_RANDOM_TWO, 2, weights);
    bench_set_in_flight(&bench, 0, 2);
    bench_set_in_flight(&bench, 1, 5); /* 2 against 5/3 */
    bench_count(&bench, 100);
    assert_int_equal(bench.counts[1], 100);
    bench_set_in_flight(&bench, 1, 7); /* 2 against 7/3 */
    bench_count(&bench, 100);
    assert_int_equal(bench.counts[0], 100);
    bench_fini(&bench);
}

/* Balls into bins: two choices keep the fullest within a few of the average. */
static void test_two_choices_keep_the_load_even(void **state)
{
    (void)state;
    enum { ENDPOINTS = 100, REQUESTS = 10000 };
    bench_init(&bench, CONF_ALGORITHM_RANDOM_TWO, ENDPOINTS, NULL);
    for (int i = 0; i < REQUESTS; i++)
        endpoint_add_in_flight(bench.members[bench_pick(&bench)].endpoint, 0, 1);
    for (uint32_t i = 0; i < ENDPOINTS; i++)
        assert_true(endpoint_in_flight(bench.members[i].endpoint) < 100 + 6);
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_endpoint_with_the_fewest_requests_is_picked),
        cmocka_unit_test(test_fewest_is_by_weight),
        cmocka_unit_test(test_ties_are_broken_evenly),
        cmocka_unit_test(test_least_requests_fills_up_by_weight),
        cmocka_unit_test(test_idle_endpoints_are_drawn_by_weight),
        cmocka_unit_test(test_the_busiest_endpoint_is_never_picked),
        cmocka_unit_test(test_the_better_of_two_is_by_weight),
        cmocka_unit_test(test_two_choices_keep_the_load_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
