#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "discovery/backoff.h"

static void test_the_longest_wait_doubles_up_to_the_maximum(void **state)
{
    (void)state;
    static const uint32_t longest[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
    struct backoff backoff = {.min_ms = 250, .max_ms = 30000};
    for (size_t i = 0; i < sizeof longest / sizeof longest[0]; i++) {
        struct backoff low = backoff, high = backoff;
        assert_int_equal(backoff_fail(&low, 0), 250);
        assert_int_equal(backoff_fail(&high, longest[i] - 250), longest[i]);
        assert_int_equal(backoff_fail(&backoff, longest[i] - 250 + 1), 250);
        assert_int_equal(backoff.n_failures, i + 1);
    }
}

static void test_the_wait_is_spread_over_the_whole_range(void **state)
{
    (void)state;
    size_t n_low = 0, n_high = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        struct backoff backoff = {.min_ms = 100, .max_ms = 10000, .n_failures = 20};
        uint32_t wait_ms = backoff_fail(&backoff, i * 0x9e3779b97f4a7c15ULL);
        assert_in_range(wait_ms, 100, 10000);
        n_low += wait_ms < 2575;
        n_high += wait_ms > 7525;
    }
    assert_in_range(n_low, 2200, 2800);
    assert_in_range(n_high, 2200, 2800);
}

static void test_backoff_holds_its_bounds_at_the_edges_of_the_types(void **state)
{
    (void)state;
    struct backoff backoff = {.min_ms = 1, .max_ms = UINT32_MAX, .n_failures = UINT32_MAX};
    assert_int_equal(backoff_fail(&backoff, UINT32_MAX - 1), UINT32_MAX);
    assert_int_equal(backoff.n_failures, UINT32_MAX);
    struct backoff constant = {.min_ms = 700, .max_ms = 700};
    assert_int_equal(backoff_fail(&constant, UINT64_MAX), 700);
    struct backoff none = {.min_ms = 0, .max_ms = 5};
    assert_int_equal(backoff_fail(&none, UINT64_MAX), 0);
}

static void test_the_first_two_queries_go_at_once(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 5000);
    assert_int_equal(pace_take(&pace, 5000), 0);
    assert_int_equal(pace_take(&pace, 5000), 0);
    assert_true(pace_take(&pace, 5000) > 0);
}

static void test_a_change_now_and_then_never_waits(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now_ms = 0;
    pace_init(&pace, now_ms);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(pace_take(&pace, now_ms), 0);
        assert_int_equal(pace_take(&pace, now_ms + 1), 0);
        now_ms += (uint64_t)2 * PACE_MIN_MS + 2;
    }
}

static void test_churn_is_followed_twice_a_second_in_the_end(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now_ms = 0;
    pace_init(&pace, now_ms);
    static const uint32_t expected[] = {0, 0, 100, 200, 400, 500, 500, 500};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        uint32_t wait_ms = pace_take(&pace, now_ms);
        assert_int_equal(wait_ms, expected[i]);
        now_ms += wait_ms;
    }
}

static void test_many_changes_at_once_do_not_let_more_queries_through(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now_ms = 0;
    pace_init(&pace, now_ms);
    size_t n_queries = 0;
    while (now_ms < 60000) {
        now_ms += pace_take(&pace, now_ms) + 3;
        n_queries++;
    }
    assert_in_range(n_queries, 118, 126); /* 60 s at two a second, and the burst */
}

static void test_after_churn_a_quiet_time_restores_the_quick_answer(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now_ms = 0;
    pace_init(&pace, now_ms);
    for (int i = 0; i < 20; i++)
        now_ms += pace_take(&pace, now_ms);
    now_ms += (uint64_t)2 * PACE_MAX_MS;
    assert_int_equal(pace_take(&pace, now_ms), 0);
    assert_int_equal(pace_take(&pace, now_ms), 0);
    assert_int_equal(pace_take(&pace, now_ms), PACE_MIN_MS);
}

static void test_half_a_quiet_time_gives_one_token_back(void **state)
{
    (void)state;
    struct pace pace;
    uint64_t now_ms = 0;
    pace_init(&pace, now_ms);
    for (int i = 0; i < 20; i++)
        now_ms += pace_take(&pace, now_ms);
    now_ms += PACE_MAX_MS;
    assert_int_equal(pace_take(&pace, now_ms), 0);
    assert_int_equal(pace_take(&pace, now_ms), PACE_MAX_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_wait_doubles_up_to_the_maximum),
        cmocka_unit_test(test_the_wait_is_spread_over_the_whole_range),
        cmocka_unit_test(test_backoff_holds_its_bounds_at_the_edges_of_the_types),
        cmocka_unit_test(test_the_first_two_queries_go_at_once),
        cmocka_unit_test(test_a_change_now_and_then_never_waits),
        cmocka_unit_test(test_churn_is_followed_twice_a_second_in_the_end),
        cmocka_unit_test(test_many_changes_at_once_do_not_let_more_queries_through),
        cmocka_unit_test(test_after_churn_a_quiet_time_restores_the_quick_answer),
        cmocka_unit_test(test_half_a_quiet_time_gives_one_token_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
