#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "health/verdict.h"

/* Feeds results ('+' success, '-' failure); returns the verdict after each as 'U', 'D', or in
 * lower case when it did not change. */
static const char *feed(struct verdict *verdict, const char *results)
{
    static char verdicts[64];
    size_t n = 0;
    for (; results[n] != '\0'; n++) {
        bool changed = verdict_take(verdict, results[n] == '+');
        const char *words = verdict->up ? "uU" : "dD";
        verdicts[n] = words[changed];
    }
    verdicts[n] = '\0';
    return verdicts;
}

static void test_the_first_result_decides_alone(void **state)
{
    (void)state;
    struct verdict verdict;
    verdict_init(&verdict, true, 3, 3);
    assert_true(verdict.up);
    assert_string_equal(feed(&verdict, "-"), "D");
    verdict_init(&verdict, false, 3, 3);
    assert_false(verdict.up);
    assert_string_equal(feed(&verdict, "+"), "U");
}

static void test_a_first_result_that_agrees_changes_nothing(void **state)
{
    (void)state;
    struct verdict verdict;
    verdict_init(&verdict, true, 2, 2);
    assert_string_equal(feed(&verdict, "+"), "u");
    verdict_init(&verdict, false, 2, 2);
    assert_string_equal(feed(&verdict, "-"), "d");
}

static void test_it_falls_after_so_many_failures_in_a_row(void **state)
{
    (void)state;
    struct verdict verdict;
    verdict_init(&verdict, true, 2, 3);
    assert_string_equal(feed(&verdict, "+--+--+---"), "uuuuuuuuuD");
}

static void test_it_rises_after_so_many_successes_in_a_row(void **state)
{
    (void)state;
    struct verdict verdict;
    verdict_init(&verdict, true, 2, 3);
    assert_string_equal(feed(&verdict, "-+-+-++"), "DdddddU");
}

static void test_after_a_change_counting_begins_anew(void **state)
{
    (void)state;
    struct verdict verdict;
    verdict_init(&verdict, true, 2, 2);
    assert_string_equal(feed(&verdict, "+--++--"), "uuDdUuD");
}

static void test_one_is_enough_when_configured_so(void **state)
{
    (void)state;
    struct verdict verdict;
    verdict_init(&verdict, true, 1, 1);
    assert_string_equal(feed(&verdict, "+-+-+"), "uDUDU");
}

static void test_endless_streaks_do_not_overflow(void **state)
{
    (void)state;
    struct verdict verdict;
    verdict_init(&verdict, true, UINT16_MAX, UINT16_MAX);
    verdict_take(&verdict, true);
    for (unsigned i = 1; i < UINT16_MAX; i++)
        assert_false(verdict_take(&verdict, false));
    assert_true(verdict_take(&verdict, false));
    for (unsigned i = 0; i < 200000; i++)
        assert_false(verdict_take(&verdict, false));
    assert_false(verdict.up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_result_decides_alone),
        cmocka_unit_test(test_a_first_result_that_agrees_changes_nothing),
        cmocka_unit_test(test_it_falls_after_so_many_failures_in_a_row),
        cmocka_unit_test(test_it_rises_after_so_many_successes_in_a_row),
        cmocka_unit_test(test_after_a_change_counting_begins_anew),
        cmocka_unit_test(test_one_is_enough_when_configured_so),
        cmocka_unit_test(test_endless_streaks_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
