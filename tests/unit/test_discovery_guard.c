#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "discovery/guard.h"

enum { HOLD_MS = 1000 };

static const struct guard_answer full = {.known_leader = true};
static const struct guard_answer emptied = {
    .is_empty = true, .empties = true, .removes = true, .known_leader = true};

static enum guard_verdict judge(struct guard *guard, struct guard_answer answer, uint64_t now_ms)
{
    enum guard_verdict verdict = guard_judge(guard, &answer, now_ms, HOLD_MS);
    assert_int_equal(verdict == GUARD_HOLD, guard->why_held != NULL);
    return verdict;
}

static void test_an_answer_with_instances_applies(void **state)
{
    (void)state;
    struct guard guard = {.affirming = false};
    assert_int_equal(judge(&guard, full, 0), GUARD_APPLY);
    struct guard_answer fewer = full;
    fewer.removes = true;
    assert_int_equal(judge(&guard, fewer, 1), GUARD_APPLY);
    fewer.known_leader = false;
    assert_int_equal(judge(&guard, fewer, 2), GUARD_APPLY);
}

static void test_a_service_that_never_had_instances_is_empty_at_once(void **state)
{
    (void)state;
    struct guard guard = {.affirming = false};
    struct guard_answer empty = {.is_empty = true, .known_leader = false};
    assert_int_equal(judge(&guard, empty, 0), GUARD_APPLY);
}

static void test_an_empty_answer_applies_once_affirmed_for_the_hold_time(void **state)
{
    (void)state;
    struct guard guard = {.affirming = false};
    assert_int_equal(judge(&guard, emptied, 5000), GUARD_HOLD);
    assert_int_equal(judge(&guard, emptied, 5500), GUARD_HOLD);
    assert_int_equal(judge(&guard, emptied, 5999), GUARD_HOLD);
    assert_int_equal(judge(&guard, emptied, 6000), GUARD_APPLY);
    /* The next one starts over. */
    assert_int_equal(judge(&guard, emptied, 6001), GUARD_HOLD);
}

static void test_one_empty_answer_is_never_enough_however_late_it_comes(void **state)
{
    (void)state;
    struct guard guard = {.affirming = false};
    assert_int_equal(judge(&guard, emptied, UINT64_MAX), GUARD_HOLD);
}

static void test_without_a_hold_time_the_first_empty_answer_applies(void **state)
{
    (void)state;
    struct guard guard = {.affirming = false};
    assert_int_equal(guard_judge(&guard, &emptied, 77, 0), GUARD_APPLY);
    assert_null(guard.why_held);
}

static void test_an_instance_in_between_revokes_the_hold(void **state)
{
    (void)state;
    struct guard guard = {.affirming = false};
    assert_int_equal(judge(&guard, emptied, 0), GUARD_HOLD);
    assert_int_equal(judge(&guard, full, 900), GUARD_APPLY);
    assert_int_equal(judge(&guard, emptied, 1800), GUARD_HOLD);
    assert_int_equal(judge(&guard, emptied, 2799), GUARD_HOLD);
    assert_int_equal(judge(&guard, emptied, 2800), GUARD_APPLY);
}

static void test_a_failure_in_between_starts_the_hold_over(void **state)
{
    (void)state;
    struct guard guard = {.affirming = false};
    assert_int_equal(judge(&guard, emptied, 0), GUARD_HOLD);
    guard_fail(&guard);
    assert_int_equal(judge(&guard, emptied, 2000), GUARD_HOLD);
    assert_int_equal(judge(&guard, emptied, 3000), GUARD_APPLY);
}

static void test_without_a_known_leader_nothing_is_affirmed(void **state)
{
    (void)state;
    struct guard guard = {.affirming = false};
    struct guard_answer leaderless = emptied;
    leaderless.known_leader = false;
    for (uint64_t now_ms = 0; now_ms < 100 * (uint64_t)HOLD_MS; now_ms += HOLD_MS / 2)
        assert_int_equal(judge(&guard, leaderless, now_ms), GUARD_HOLD);
    assert_int_equal(guard_judge(&guard, &leaderless, 0, 0), GUARD_HOLD);
    /* And it undoes what was affirmed. */
    assert_int_equal(judge(&guard, emptied, 0), GUARD_HOLD);
    assert_int_equal(judge(&guard, leaderless, 500), GUARD_HOLD);
    assert_int_equal(judge(&guard, emptied, 1000), GUARD_HOLD);
    assert_int_equal(judge(&guard, emptied, 2000), GUARD_APPLY);
}

static void test_what_acls_may_hide_is_never_removed(void **state)
{
    (void)state;
    struct guard guard = {.affirming = false};
    struct guard_answer filtered = emptied;
    filtered.may_hide = true;
    struct guard_answer fewer = full;
    fewer.removes = true;
    fewer.may_hide = true;
    for (uint64_t now_ms = 0; now_ms < 100 * (uint64_t)HOLD_MS; now_ms += HOLD_MS / 2) {
        assert_int_equal(judge(&guard, filtered, now_ms), GUARD_HOLD);
        assert_int_equal(judge(&guard, fewer, now_ms), GUARD_HOLD);
        assert_int_equal(guard_judge(&guard, &filtered, now_ms, 0), GUARD_HOLD);
    }
    /* Nor is its emptiness the first word on a service. */
    struct guard_answer first = {.is_empty = true, .may_hide = true, .known_leader = true};
    assert_int_equal(judge(&guard, first, 0), GUARD_HOLD);
}

static void test_what_a_filtered_answer_adds_applies(void **state)
{
    (void)state;
    struct guard guard = {.affirming = false};
    struct guard_answer more = full;
    more.may_hide = true;
    assert_int_equal(judge(&guard, more, 0), GUARD_APPLY);
}

static void test_a_held_answer_is_asked_for_several_times_within_the_hold(void **state)
{
    (void)state;
    assert_int_equal(guard_interval_ms(0), 50);
    assert_int_equal(guard_interval_ms(1000), 125);
    assert_int_equal(guard_interval_ms(30000), 3750);
    assert_int_equal(guard_interval_ms(UINT32_MAX), 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_with_instances_applies),
        cmocka_unit_test(test_a_service_that_never_had_instances_is_empty_at_once),
        cmocka_unit_test(test_an_empty_answer_applies_once_affirmed_for_the_hold_time),
        cmocka_unit_test(test_one_empty_answer_is_never_enough_however_late_it_comes),
        cmocka_unit_test(test_without_a_hold_time_the_first_empty_answer_applies),
        cmocka_unit_test(test_an_instance_in_between_revokes_the_hold),
        cmocka_unit_test(test_a_failure_in_between_starts_the_hold_over),
        cmocka_unit_test(test_without_a_known_leader_nothing_is_affirmed),
        cmocka_unit_test(test_what_acls_may_hide_is_never_removed),
        cmocka_unit_test(test_what_a_filtered_answer_adds_applies),
        cmocka_unit_test(test_a_held_answer_is_asked_for_several_times_within_the_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
