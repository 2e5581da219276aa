/* The arithmetic of a ramp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "balancer/control/ramp.h"

#define SECOND UINT64_C(1000000)

static const struct ramp up = {.from = 1, .to = 3, .begin_us = 10 * SECOND, .length_us = SECOND};

static void test_the_weight_goes_evenly_from_one_end_to_the_other(void **state)
{
    (void)state;
    const struct ramp down = {.from = 3, .to = 0, .begin_us = 10 * SECOND, .length_us = SECOND};
    assert_float_equal(ramp_weight(&up, 10 * SECOND), 1, 0);
    assert_float_equal(ramp_weight(&up, 10 * SECOND + SECOND / 4), 1.5, 1e-9);
    assert_float_equal(ramp_weight(&up, 10 * SECOND + SECOND / 2), 2, 1e-9);
    assert_float_equal(ramp_weight(&down, 10 * SECOND + SECOND / 3), 2, 1e-5);
}

static void test_the_weight_never_leaves_the_two_ends(void **state)
{
    (void)state;
    const struct ramp odd = {.from = 0.1, .to = 0.7, .begin_us = 7, .length_us = 999983};
    assert_float_equal(ramp_weight(&up, 0), 1, 0);
    assert_float_equal(ramp_weight(&up, 11 * SECOND), 3, 0);
    assert_float_equal(ramp_weight(&up, UINT64_MAX), 3, 0);
    double before = 0.1;
    for (uint64_t now = 0; now < 2 * SECOND; now += 977) {
        double weight = ramp_weight(&odd, now);
        assert_true(weight >= before && weight <= 0.7);
        before = weight;
    }
    assert_float_equal(before, 0.7, 0);
}

static void test_a_ramp_is_over_when_its_length_has_passed(void **state)
{
    (void)state;
    assert_true(ramp_is_running(&up));
    assert_false(ramp_is_running(&(struct ramp){.from = 1, .to = 2}));
    assert_false(ramp_is_over(&up, 9 * SECOND));
    assert_false(ramp_is_over(&up, 11 * SECOND - 1));
    assert_true(ramp_is_over(&up, 11 * SECOND));
}

static void test_steps_are_64_but_never_shorter_than_a_tenth_of_a_second(void **state)
{
    (void)state;
    assert_int_equal(ramp_step_us(64 * SECOND), SECOND);
    assert_int_equal(ramp_step_us(SECOND), SECOND / 10);
    assert_int_equal(ramp_step_us(1), SECOND / 10);
    assert_float_equal(ramp_first_weight(128), 2, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_weight_goes_evenly_from_one_end_to_the_other),
        cmocka_unit_test(test_the_weight_never_leaves_the_two_ends),
        cmocka_unit_test(test_a_ramp_is_over_when_its_length_has_passed),
        cmocka_unit_test(test_steps_are_64_but_never_shorter_than_a_tenth_of_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
