/* Consistent hashing at the pool: keys stay, move and come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy_support.h"

enum { KEYS = 20000 };

static const enum conf_algorithm algorithms[] = {CONF_ALGORITHM_HASH, CONF_ALGORITHM_RING};

enum { ALGORITHMS = sizeof algorithms / sizeof algorithms[0] };

static struct bench bench;
static uint32_t before[KEYS], after[KEYS];

static void place_keys(uint32_t *ret_places)
{
    for (uint64_t key = 0; key < KEYS; key++)
        ret_places[key] = bench_pick_key(&bench, key);
}

static void test_a_key_goes_home_every_time(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 20, NULL);
        for (uint64_t key = 0; key < KEYS; key++) {
            struct pick pick = bench_keyed_choice(&bench, key);
            const struct endpoint *home = policy_home(&pick);
            assert_non_null(home);
            assert_ptr_equal(policy_pick(&pick), home);
        }
        bench_fini(&bench);
    }
}

static void test_an_unhealthy_endpoints_keys_move_only_those_and_come_back(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 20, NULL);
        uint32_t moved_to[20] = {0};
        uint32_t moved = 0;
        place_keys(before);
        bench_take_down(&bench, 7);
        place_keys(after);
        for (size_t key = 0; key < KEYS; key++) {
            if (before[key] != 7) {
                assert_int_equal(after[key], before[key]);
                continue;
            }
            assert_int_not_equal(after[key], 7);
            moved_to[after[key]]++;
            moved++;
        }
        /* They spread over all the others. */
        assert_true(moved > KEYS / 40);
        for (uint32_t i = 0; i < bench.n; i++)
            assert_true(i == 7 || (moved_to[i] > 0 && moved_to[i] < moved / 3));
        bench_bring_up(&bench, 7);
        place_keys(after);
        assert_memory_equal(after, before, sizeof before);
        bench_fini(&bench);
    }
}

/* Half of the pool goes; then another one: only that one's keys move again. */
static void test_a_second_failure_moves_only_the_keys_that_were_there(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 20, NULL);
        for (uint32_t i = 0; i < 10; i++)
            bench_take_down(&bench, 2 * i);
        place_keys(before);
        bench_take_down(&bench, 11);
        place_keys(after);
        for (size_t key = 0; key < KEYS; key++) {
            if (before[key] != 11)
                assert_int_equal(after[key], before[key]);
        }
        bench_fini(&bench);
    }
}

static void test_home_is_home_though_nobody_is_there(void **state)
{
    (void)state;
    bench_init(&bench, CONF_ALGORITHM_HASH, 5, NULL);
    for (uint64_t key = 0; key < 200; key++) {
        struct pick pick = bench_keyed_choice(&bench, key);
        struct endpoint *home = policy_home(&pick);
        uint32_t number = bench_number(&bench, home);
        bench_take_down(&bench, number);
        assert_ptr_equal(policy_home(&pick), home);
        assert_ptr_not_equal(policy_pick(&pick), home);
        bench_bring_up(&bench, number);
        pick.has_key = false;
        assert_null(policy_home(&pick));
    }
    bench_fini(&bench);
}

static void test_a_retry_goes_to_the_keys_next_choice_every_time(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 10, NULL);
        for (uint64_t key = 0; key < 1000; key++) {
            struct pick pick = bench_keyed_choice(&bench, key);
            struct endpoint *home = policy_home(&pick);
            pick.tried = &home;
            pick.n_tried = 1;
            struct endpoint *next = policy_pick(&pick);
            assert_non_null(next);
            assert_ptr_not_equal(next, home);
            assert_ptr_equal(policy_pick(&pick), next);
            /* The same as if home were down. */
            bench_take_down(&bench, bench_number(&bench, home));
            assert_int_equal(bench_pick_key(&bench, key), bench_number(&bench, next));
            bench_bring_up(&bench, bench_number(&bench, home));
        }
        bench_fini(&bench);
    }
}

static void test_a_new_endpoint_takes_only_its_keys(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 10, NULL);
        place_keys(before);
        bench.members[bench.n++] = (struct member){bench_endpoint(10), 1};
        bench_publish(&bench);
        place_keys(after);
        uint32_t moved = 0;
        for (size_t key = 0; key < KEYS; key++) {
            if (after[key] == before[key])
                continue;
            assert_int_equal(after[key], 10);
            moved++;
        }
        assert_true(moved > KEYS / 22 && moved < KEYS / 5);
        bench_fini(&bench);
    }
}

static void test_a_drained_endpoints_keys_move_only_those(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 10, NULL);
        place_keys(before);
        bench.members[3].weight = 0;
        bench_publish(&bench);
        place_keys(after);
        for (size_t key = 0; key < KEYS; key++) {
            assert_int_not_equal(after[key], 3);
            if (before[key] != 3)
                assert_int_equal(after[key], before[key]);
        }
        bench_fini(&bench);
    }
}

static void test_keys_are_shared_by_weight(void **state)
{
    (void)state;
    static const double weights[] = {1, 2, 0.5, 4.5};
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 4, weights);
        place_keys(before);
        uint32_t counts[4] = {0};
        for (size_t key = 0; key < KEYS; key++)
            counts[before[key]]++;
        for (uint32_t i = 0; i < 4; i++) {
            double share = counts[i] / (double)KEYS * 8 / weights[i];
            assert_true(share > 0.75 && share < 1.25);
        }
        bench_fini(&bench);
    }
}

static void test_requests_without_a_key_take_turns(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 10, NULL);
        bench_count(&bench, 1000);
        for (uint32_t i = 0; i < bench.n; i++)
            assert_int_equal(bench.counts[i], 100);
        bench_fini(&bench);
    }
}

/* Nearly all are down, so that walks give up: a key still stays where it has landed. */
static void test_the_last_resort_keeps_a_key_in_one_place(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 1000, NULL);
        for (uint32_t i = 0; i < bench.n; i++) {
            if (i % 400 != 0)
                bench_take_down(&bench, i);
        }
        uint32_t counts[3] = {0};
        for (uint64_t key = 0; key < 300; key++) {
            uint32_t number = bench_pick_key(&bench, key);
            assert_int_equal(number % 400, 0);
            assert_int_equal(bench_pick_key(&bench, key), number);
            counts[number / 400 % 3]++;
        }
        assert_true(counts[0] > 0 && counts[1] > 0 && counts[2] > 0);
        bench_fini(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_goes_home_every_time),
        cmocka_unit_test(test_an_unhealthy_endpoints_keys_move_only_those_and_come_back),
        cmocka_unit_test(test_a_second_failure_moves_only_the_keys_that_were_there),
        cmocka_unit_test(test_home_is_home_though_nobody_is_there),
        cmocka_unit_test(test_a_retry_goes_to_the_keys_next_choice_every_time),
        cmocka_unit_test(test_a_new_endpoint_takes_only_its_keys),
        cmocka_unit_test(test_a_drained_endpoints_keys_move_only_those),
        cmocka_unit_test(test_keys_are_shared_by_weight),
        cmocka_unit_test(test_requests_without_a_key_take_turns),
        cmocka_unit_test(test_the_last_resort_keeps_a_key_in_one_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
