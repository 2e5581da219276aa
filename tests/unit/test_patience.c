#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "balancer/proxy/patience.h"

#define S UINT64_C(1000000)
#define START (1000 * S)

static const struct pace pace = {.full_us = 30 * S, .rate = 256};

static void test_a_peer_that_stands_still_is_given_up_after_the_full_time(void **state)
{
    (void)state;
    struct patience p = {0};
    patience_wait(&p, START);
    assert_int_equal(patience_end_us(&p, &pace), START + 30 * S);
    patience_look(&p, &pace, START + 30 * S - 1, 0);
    assert_false(patience_is_over(&p, &pace));
    patience_look(&p, &pace, START + 30 * S, 0);
    assert_true(patience_is_over(&p, &pace));
}

/* n seconds, with so many bytes at the end of each period. */
static bool survives(uint64_t n_s, uint64_t period_s, uint64_t bytes)
{
    struct patience p = {0};
    uint64_t sum = 0;
    patience_wait(&p, START);
    for (uint64_t at = period_s; at <= n_s; at += period_s) {
        if (patience_end_us(&p, &pace) < START + at * S)
            return false;
        sum += bytes;
        patience_look(&p, &pace, START + at * S, sum);
        if (patience_is_over(&p, &pace))
            return false;
    }
    return true;
}

static void test_a_peer_that_keeps_to_the_rate_is_waited_for_as_long_as_it_takes(void **state)
{
    (void)state;
    assert_true(survives(100000, 1, 256));
    assert_true(survives(100000, 10, 2560));
    assert_true(survives(100000, 25, UINT64_C(25) * 256)); /* in rare bursts */
}

static void test_a_peer_below_the_rate_is_given_up(void **state)
{
    (void)state;
    assert_true(survives(50, 1, 128));
    assert_false(survives(70, 1, 128));
    assert_false(survives(32, 1, 1));
}

static void test_bytes_in_plenty_buy_no_more_than_the_full_time(void **state)
{
    (void)state;
    struct patience p = {0};
    patience_wait(&p, START);
    patience_look(&p, &pace, START + S, UINT64_C(1) << 60);
    assert_int_equal(patience_end_us(&p, &pace), START + 31 * S);
}

static void test_only_the_time_of_waiting_counts(void **state)
{
    (void)state;
    struct patience p = {0};
    patience_wait(&p, START);
    patience_rest(&p, START + 10 * S);
    patience_rest(&p, START + 500 * S);
    patience_wait(&p, START + 1000 * S);
    patience_wait(&p, START + 1005 * S);
    assert_int_equal(patience_end_us(&p, &pace), START + 1020 * S);
    patience_look(&p, &pace, START + 1006 * S, 256);
    assert_int_equal(patience_end_us(&p, &pace), START + (1020 + 1) * S);
}

static void test_without_a_rate_one_byte_is_enough(void **state)
{
    (void)state;
    const struct pace any = {.full_us = 30 * S};
    struct patience p = {0};
    patience_wait(&p, START);
    patience_look(&p, &any, START + 29 * S, 1);
    assert_int_equal(patience_end_us(&p, &any), START + 59 * S);
    patience_look(&p, &any, START + 59 * S, 1);
    assert_true(patience_is_over(&p, &any));
}

static void test_one_that_was_looked_at_late_has_no_debts(void **state)
{
    (void)state;
    struct patience p = {0};
    patience_wait(&p, START);
    patience_look(&p, &pace, START + 90 * S, 256);
    assert_false(patience_is_over(&p, &pace));
    assert_int_equal(patience_end_us(&p, &pace), START + 91 * S);
}

static void test_a_count_that_begins_anew_is_followed(void **state)
{
    (void)state;
    struct patience p = {0};
    patience_wait(&p, START);
    patience_look(&p, &pace, START + S, 1000);
    patience_look(&p, &pace, START + 2 * S, 100);
    patience_look(&p, &pace, START + 2 * S, 100 + 256);
    assert_int_equal(patience_end_us(&p, &pace), START + 32 * S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_peer_that_stands_still_is_given_up_after_the_full_time),
        cmocka_unit_test(test_a_peer_that_keeps_to_the_rate_is_waited_for_as_long_as_it_takes),
        cmocka_unit_test(test_a_peer_below_the_rate_is_given_up),
        cmocka_unit_test(test_bytes_in_plenty_buy_no_more_than_the_full_time),
        cmocka_unit_test(test_only_the_time_of_waiting_counts),
        cmocka_unit_test(test_without_a_rate_one_byte_is_enough),
        cmocka_unit_test(test_one_that_was_looked_at_late_has_no_debts),
        cmocka_unit_test(test_a_count_that_begins_anew_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
