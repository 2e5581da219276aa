#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hashring/hash.h"
#include "hashring/sketch.h"

enum { KEYS = 20000 };

static struct sketch *new_sketch(void)
{
    struct sketch *sketch = calloc(1, sizeof *sketch);
    assert_non_null(sketch);
    return sketch;
}

static void test_an_empty_sketch_knows_no_key(void **state)
{
    (void)state;
    struct sketch *sketch = new_sketch();
    assert_int_equal(sketch_estimate(sketch, mix64(1)), 0);
    assert_int_equal(sketch_total(sketch), 0);
    free(sketch);
}

/* Key k comes KEYS / (k + 1) times: a Zipf distribution. */
static void test_estimates_are_never_low_and_hardly_high(void **state)
{
    (void)state;
    struct sketch *sketch = new_sketch();
    uint32_t total = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t i = 0; i < KEYS / (key + 1); i++) {
            (void)sketch_add(sketch, mix64(key));
            total++;
        }
    }
    assert_int_equal(sketch_total(sketch), total);

    double sum_of_errors = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t estimate = sketch_estimate(sketch, mix64(key));
        uint32_t truth = KEYS / (key + 1);
        assert_true(estimate >= truth);
        assert_true(estimate - truth < 4 * total / SKETCH_COLUMNS);
        sum_of_errors += estimate - truth;
    }
    assert_true(sum_of_errors / KEYS < (double)total / SKETCH_COLUMNS);
    free(sketch);
}

static void test_halving_keeps_the_proportions(void **state)
{
    (void)state;
    struct sketch *sketch = new_sketch();
    for (int i = 0; i < 600; i++)
        (void)sketch_add(sketch, i % 3 == 0 ? 7 : 8);
    sketch_halve(sketch);
    assert_int_equal(sketch_total(sketch), 300);
    assert_int_equal(sketch_estimate(sketch, 7), 100);
    assert_int_equal(sketch_estimate(sketch, 8), 200);
    free(sketch);
}

static void test_a_key_that_is_gone_fades(void **state)
{
    (void)state;
    struct sketch *sketch = new_sketch();
    for (int i = 0; i < 1000; i++)
        (void)sketch_add(sketch, 1);
    for (int i = 0; i < 10; i++)
        sketch_halve(sketch);
    assert_int_equal(sketch_estimate(sketch, 1), 0);
    assert_int_equal(sketch_total(sketch), 0);
    free(sketch);
}

/* One key alone, far beyond what a count can hold: its share must stay what it is. */
static void test_a_full_count_halves_everything(void **state)
{
    (void)state;
    struct sketch *sketch = new_sketch();
    for (uint32_t i = 0; i < 300000; i++) {
        (void)sketch_add(sketch, i % 4 == 0 ? mix64(i) : 5);
        double share = (double)sketch_estimate(sketch, 5) / sketch_total(sketch);
        if (i > 1000)
            assert_true(fabs(share - 0.75) < 0.01);
    }
    free(sketch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_sketch_knows_no_key),
        cmocka_unit_test(test_estimates_are_never_low_and_hardly_high),
        cmocka_unit_test(test_halving_keeps_the_proportions),
        cmocka_unit_test(test_a_key_that_is_gone_fades),
        cmocka_unit_test(test_a_full_count_halves_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
