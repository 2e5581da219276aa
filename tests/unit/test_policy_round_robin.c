/* Turns: even, smooth, by weight, and past those that are away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy_support.h"

static struct bench bench;

static void test_equal_endpoints_take_turns(void **state)
{
    (void)state;
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, 7, NULL);
    uint32_t round[7];
    for (int i = 0; i < 7; i++)
        round[i] = bench_pick(&bench);
    for (int i = 0; i < 700; i++)
        assert_int_equal(bench_pick(&bench), round[i % 7]);
    bench_count(&bench, 7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(bench.counts[i], 1);
    bench_fini(&bench);
}

/* In every stretch of picks a member comes up as often as its weight says, give or take one. */
static void assert_smooth(uint32_t picks)
{
    double total = 0;
    uint32_t counts[BENCH_MAX] = {0};
    for (uint32_t i = 0; i < bench.n; i++)
        total += bench.members[i].weight;
    for (uint32_t p = 1; p <= picks; p++) {
        counts[bench_pick(&bench)]++;
        for (uint32_t i = 0; i < bench.n; i++) {
            double expected = p * bench.members[i].weight / total;
            assert_true(counts[i] > expected - 3 && counts[i] < expected + 3);
        }
    }
}

static void test_weighted_endpoints_come_up_evenly_spaced(void **state)
{
    (void)state;
    static const double small[] = {5, 1, 1};
    static const double real[] = {0.3, 2.7, 1, 1.5, 3.1415, 0.05};
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, 3, small);
    assert_smooth(1000);
    bench_fini(&bench);
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, 6, real);
    assert_smooth(5000);
    bench_fini(&bench);
}

static void test_shares_follow_weights(void **state)
{
    (void)state;
    static const double weights[] = {1, 2, 0.5, 6.5};
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, 4, weights);
    bench_count(&bench, 10000);
    for (uint32_t i = 0; i < 4; i++) {
        double expected = 1000 * weights[i];
        assert_true(bench.counts[i] > expected - 3 && bench.counts[i] < expected + 3);
    }
    bench_fini(&bench);
}

static void test_extreme_weights_do_no_harm(void **state)
{
    (void)state;
    static const double weights[] = {1e300, 1e-300, 1, 0};
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, 4, weights);
    bench_count(&bench, 200000);
    assert_true(bench.counts[0] > 199900);
    assert_true(bench.counts[2] >= 1);
    assert_int_equal(bench.counts[3], 0);
    bench_fini(&bench);
}

/* Eight workers begin at once: not all of them with the same endpoint. */
static void test_workers_do_not_march_in_step(void **state)
{
    (void)state;
    enum { WORKERS = 8, ENDPOINTS = 20 };
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, ENDPOINTS, NULL);
    struct policy_state *states[WORKERS];
    uint32_t firsts = 0;
    for (uint64_t w = 0; w < WORKERS; w++) {
        states[w] = policy_state_new(bench.snapshot, mix64(w));
        struct pick pick = {.snapshot = bench.snapshot, .state = states[w]};
        firsts |= 1u << bench_number(&bench, policy_pick(&pick));
    }
    assert_true(__builtin_popcount(firsts) >= 4);
    for (int w = 0; w < WORKERS; w++)
        policy_state_free(bench.snapshot, states[w]);
    bench_fini(&bench);
}

static void test_the_others_keep_their_turns_while_some_are_away(void **state)
{
    (void)state;
    enum { ENDPOINTS = 10 };
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, ENDPOINTS, NULL);
    uint32_t round[ENDPOINTS];
    uint32_t left[ENDPOINTS];
    uint32_t n_left = 0;
    for (int i = 0; i < ENDPOINTS; i++)
        round[i] = bench_pick(&bench);
    bench_take_down(&bench, round[2]);
    bench_take_down(&bench, round[3]);
    bench_take_down(&bench, round[9]);
    for (int i = 0; i < ENDPOINTS; i++) {
        if (i != 2 && i != 3 && i != 9)
            left[n_left++] = round[i];
    }
    for (uint32_t i = 0; i < 100 * n_left; i++)
        assert_int_equal(bench_pick(&bench), left[i % n_left]);
    bench_fini(&bench);
}

/* However long it was away, it gets its share and not what it has missed. */
static void test_one_that_comes_back_gets_its_share_and_no_burst(void **state)
{
    (void)state;
    static const double weights[] = {1, 1, 3, 1, 1, 1, 1, 1};
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, 8, weights);
    bench_take_down(&bench, 2);
    bench_count(&bench, 7000);
    assert_int_equal(bench.counts[2], 0);
    bench_bring_up(&bench, 2);
    assert_smooth(1000);
    bench_fini(&bench);
}

static void test_all_that_come_back_are_taken_back_within_a_round(void **state)
{
    (void)state;
    enum { ENDPOINTS = 100 };
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, ENDPOINTS, NULL);
    for (uint32_t i = 1; i < ENDPOINTS; i++)
        bench_take_down(&bench, i);
    bench_count(&bench, 50);
    assert_int_equal(bench.counts[0], 50);
    for (uint32_t i = 1; i < ENDPOINTS; i++)
        bench_bring_up(&bench, i);
    bench_count(&bench, 3 * ENDPOINTS);
    for (uint32_t i = 0; i < ENDPOINTS; i++)
        assert_true(bench.counts[i] >= 1);
    bench_count(&bench, 10 * ENDPOINTS);
    for (uint32_t i = 0; i < ENDPOINTS; i++)
        assert_true(bench.counts[i] >= 9 && bench.counts[i] <= 11);
    bench_fini(&bench);
}

/* A retry passes over the endpoint that failed this request; others still use it in its turn. */
static void test_a_tried_endpoint_keeps_its_turn_for_the_next_request(void **state)
{
    (void)state;
    enum { ENDPOINTS = 5 };
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, ENDPOINTS, NULL);
    uint32_t round[ENDPOINTS];
    for (int i = 0; i < ENDPOINTS; i++)
        round[i] = bench_pick(&bench);
    struct endpoint *tried = bench.members[round[0]].endpoint;
    struct pick pick = bench_choice(&bench);
    pick.tried = &tried;
    pick.n_tried = 1;
    assert_int_equal(bench_number(&bench, policy_pick(&pick)), round[1]);
    assert_int_equal(bench_pick(&bench), round[0]);
    assert_int_equal(bench_pick(&bench), round[2]);
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_endpoints_take_turns),
        cmocka_unit_test(test_weighted_endpoints_come_up_evenly_spaced),
        cmocka_unit_test(test_shares_follow_weights),
        cmocka_unit_test(test_extreme_weights_do_no_harm),
        cmocka_unit_test(test_workers_do_not_march_in_step),
        cmocka_unit_test(test_the_others_keep_their_turns_while_some_are_away),
        cmocka_unit_test(test_one_that_comes_back_gets_its_share_and_no_burst),
        cmocka_unit_test(test_all_that_come_back_are_taken_back_within_a_round),
        cmocka_unit_test(test_a_tried_endpoint_keeps_its_turn_for_the_next_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
