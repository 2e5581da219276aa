/* The arithmetic below the slot ring: the logarithm, the permutations, the times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hashring/darts.h"
#include "hashring/ring.h"

static const double one = (double)(UINT64_C(1) << LOGARITHM_ONE_BITS);

/* -log2(a / 512) to 58 binary places by squaring, without libm: how the table was made. */
static uint64_t logarithm_by_squaring(uint64_t a)
{
    /* 2^62 <= value < 2^63 stands for [1, 2); bits of log2 come out one per squaring. */
    uint64_t halvings = 9; /* a / 512 = value * 2^-halvings */
    uint64_t value = a << 53;
    while (value < UINT64_C(1) << 62) {
        value <<= 1;
        halvings++;
    }
    while (value >= UINT64_C(1) << 63) {
        value >>= 1;
        halvings--;
    }
    uint64_t log = 0;
    halvings -= 9;
    for (int bit = 0; bit < LOGARITHM_ONE_BITS; bit++) {
        uint128 square = (uint128)value * value;
        log <<= 1;
        if (square >> 125 != 0) {
            log |= 1;
            value = (uint64_t)(square >> 63);
        } else {
            value = (uint64_t)(square >> 62);
        }
    }
    return ((uint64_t)halvings << LOGARITHM_ONE_BITS) - log;
}

static void test_the_logarithm_table_is_what_it_says(void **state)
{
    (void)state;
    for (uint64_t i = 0; i <= LOGARITHM_INTERVALS; i++) {
        int64_t error = (int64_t)(logarithm_table[i] - logarithm_by_squaring(512 - i));
        assert_true(llabs(error) <= 64); /* squaring drops a few bits on the way */
    }
    assert_int_equal(logarithm_table[0], 0);
    assert_int_equal(logarithm_table[LOGARITHM_INTERVALS], UINT64_C(1) << LOGARITHM_ONE_BITS);
}

static void test_the_logarithm_is_near_the_true_one(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t x = mix64_nth(1, i) >> mix64_nth(2, i) % 64;
        if (i % 2 == 0)
            x = ~x;                     /* near the end, where it grows */
        double rest = (double)~x + 0.5; /* exact where x is not */
        double truth =
            x < UINT64_MAX / 2 ? -log1p(-((double)x + 0.5) * 0x1p-64) / log(2) : 64 - log2(rest);
        double got = (double)logarithm_of_rest(x) / one;
        /* Near the end one step of x is a halving. */
        if (x < UINT64_MAX - 1000000000)
            assert_true(fabs(got - truth) < 3e-6);
        if (x > 1000000 && x < UINT64_MAX / 2)
            assert_true(fabs(got / truth - 1) < 0.002);
    }
}

static void test_the_logarithm_never_decreases(void **state)
{
    (void)state;
    assert_int_equal(logarithm_of_rest(0), 0);
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t x = mix64_nth(3, i);
        uint64_t step = mix64_nth(4, i) >> mix64_nth(5, i) % 64;
        if (x > UINT64_MAX - step)
            continue;
        assert_true(logarithm_of_rest(x) <= logarithm_of_rest(x + step));
    }
    for (uint64_t i = 0; i < LOGARITHM_INTERVALS; i++) {
        uint64_t edge = i << LOGARITHM_INTERVAL_BITS;
        if (i > 0)
            assert_true(logarithm_of_rest(edge - 1) <= logarithm_of_rest(edge));
    }
    assert_true(mulhi64(logarithm_of_rest(UINT64_MAX), UINT64_MAX) < DART_NEVER);
    assert_true(logarithm_of_rest(UINT64_MAX) >= UINT64_C(63) << LOGARITHM_ONE_BITS);
}

static void check_permutation(const struct thrower *thrower, uint32_t bits)
{
    struct board board = board_of(bits);
    uint32_t n = board.mask + 1;
    bool *hit = calloc(n, sizeof hit[0]);
    assert_non_null(hit);
    uint64_t last = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t slot = dart_slot(thrower, board, k);
        assert_true(slot < n);
        assert_false(hit[slot]);
        hit[slot] = true;
        assert_int_equal(dart_rank(thrower, board, slot), k);
        uint64_t time = dart_time(thrower, board, k);
        assert_true(time >= last && time < DART_NEVER);
        last = time;
    }
    free(hit);
}

static void test_every_node_hits_every_slot_once_and_in_order_of_time(void **state)
{
    (void)state;
    static const uint64_t weights[] = {1, 65536, 100000, UINT64_C(1) << 32};
    for (uint32_t bits = 10; bits <= 18; bits++) {
        for (uint64_t i = 0; i < 4; i++) {
            struct thrower thrower;
            thrower_init(&thrower, mix64_nth(6, i), weights[i], 0);
            check_permutation(&thrower, bits);
        }
    }
    struct thrower thrower;
    thrower_init(&thrower, mix64_nth(6, 9), 65536, 0);
    check_permutation(&thrower, 22);
}

/* The slots of consecutive darts of different nodes have nothing in common. */
static void test_permutations_of_different_nodes_are_independent(void **state)
{
    (void)state;
    enum { BITS = 12, CELLS = 8, TRIALS = 200 };
    struct board board = board_of(BITS);
    double chi = 0;
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        struct thrower a;
        struct thrower b;
        double counts[CELLS][CELLS] = {{0}};
        thrower_init(&a, mix64_nth(7, trial), 65536, 0);
        thrower_init(&b, mix64_nth(8, trial), 65536, 1);
        for (uint32_t slot = 0; slot <= board.mask; slot++) {
            uint32_t row = dart_rank(&a, board, slot) >> (BITS - 3);
            uint32_t column = dart_rank(&b, board, slot) >> (BITS - 3);
            counts[row][column] += 1;
        }
        double expected = (board.mask + 1.0) / (CELLS * CELLS);
        for (int i = 0; i < CELLS * CELLS; i++)
            chi += pow(counts[i / CELLS][i % CELLS] - expected, 2) / expected;
    }
    /* 49 degrees of freedom, 200 tables: mean 49, deviation of the mean 0.7. */
    assert_true(fabs(chi / TRIALS - 49) < 4);
}

static void test_key_hashes_are_the_published_ones(void **state)
{
    (void)state;
    /* XXH3 64 bits of the empty string, without seed, as its author publishes it. */
    assert_int_equal(ring_hash(0, "", 0), UINT64_C(0x2d06800538d394c2));
    assert_int_not_equal(ring_hash(1, "", 0), ring_hash(0, "", 0));
    assert_int_not_equal(ring_hash(0, "a", 1), ring_hash(0, "b", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_logarithm_table_is_what_it_says),
        cmocka_unit_test(test_the_logarithm_is_near_the_true_one),
        cmocka_unit_test(test_the_logarithm_never_decreases),
        cmocka_unit_test(test_every_node_hits_every_slot_once_and_in_order_of_time),
        cmocka_unit_test(test_permutations_of_different_nodes_are_independent),
        cmocka_unit_test(test_key_hashes_are_the_published_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
