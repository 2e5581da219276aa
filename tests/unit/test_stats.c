#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>

#include "balancer/pool/stats.h"

/* The only bucket with a count. */
static unsigned bucket_of(uint64_t us)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, us);
    assert_int_equal(counter_get(&histogram.sum_us), us);
    unsigned found = LATENCY_BUCKETS;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        if (counter_get(&histogram.buckets[i]) == 0)
            continue;
        assert_int_equal(counter_get(&histogram.buckets[i]), 1);
        assert_int_equal(found, LATENCY_BUCKETS);
        found = i;
    }
    return found;
}

static void test_bounds_rise(void **state)
{
    (void)state;
    for (unsigned i = 1; i < LATENCY_BOUNDS; i++)
        assert_true(latency_bounds_us[i] > latency_bounds_us[i - 1]);
}

static void test_a_bound_belongs_to_its_own_bucket(void **state)
{
    (void)state;
    assert_int_equal(bucket_of(0), 0);
    for (unsigned i = 0; i < LATENCY_BOUNDS; i++) {
        assert_int_equal(bucket_of(latency_bounds_us[i]), i);
        assert_int_equal(bucket_of(latency_bounds_us[i] + 1), i + 1);
    }
}

static void test_what_no_bound_holds_falls_into_the_last_bucket(void **state)
{
    (void)state;
    assert_int_equal(bucket_of(UINT32_MAX), LATENCY_BOUNDS);
    assert_int_equal(bucket_of((uint64_t)UINT32_MAX + 2), LATENCY_BOUNDS);
    assert_int_equal(bucket_of(UINT64_MAX), LATENCY_BOUNDS);
}

static void test_counts_and_sums_add_up(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    for (uint64_t i = 0; i < 1000; i++)
        histogram_add(&histogram, i);
    uint64_t n = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        n += counter_get(&histogram.buckets[i]);
    assert_int_equal(n, 1000);
    assert_int_equal(counter_get(&histogram.sum_us), 999 * 1000 / 2);
    assert_int_equal(counter_get(&histogram.buckets[0]), 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_rise),
        cmocka_unit_test(test_a_bound_belongs_to_its_own_bucket),
        cmocka_unit_test(test_what_no_bound_holds_falls_into_the_last_bucket),
        cmocka_unit_test(test_counts_and_sums_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
