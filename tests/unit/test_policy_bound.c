/* Bounded load and hot keys: what affinity `cache` does that `strict` does not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy_support.h"

enum { N = 10, KEYS = 2000 };

static void begin(struct bench *bench, uint32_t n, const double *weights)
{
    bench_init(bench, CONF_ALGORITHM_HASH, n, weights);
    bench->conf.affinity = CONF_AFFINITY_CACHE;
    bench->conf.balance_factor = 1.5;
    bench->conf.balance_slack = 3;
    bench->conf.hot_key_share = 0.05;
}

static uint32_t total_of(const struct bench *bench)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < bench->n; i++)
        sum += endpoint_in_flight(bench->members[i].endpoint);
    return sum;
}

/* With a trace, whose candidates room takes. */
static uint32_t pick_traced(struct bench *bench, uint64_t key, double share,
                            struct pick_trace *trace, struct pick_candidate room[BENCH_MAX])
{
    struct pick pick = bench_keyed_choice(bench, key);
    *trace = (struct pick_trace){.max = BENCH_MAX, .candidates = room};
    pick.in_flight = total_of(bench);
    pick.key_share = share;
    pick.trace = trace;
    return bench_number(bench, policy_pick(&pick));
}

static uint32_t pick_hot(struct bench *bench, uint64_t key, double share)
{
    static struct pick_candidate room[BENCH_MAX];
    struct pick_trace trace;
    return pick_traced(bench, key, share, &trace, room);
}

static uint32_t pick_cold(struct bench *bench, uint64_t key)
{
    return pick_hot(bench, key, 0);
}

static void load_all(struct bench *bench, uint32_t n)
{
    for (uint32_t i = 0; i < bench->n; i++)
        bench_set_in_flight(bench, i, n);
}

/* ---- the bound ---- */

static void test_the_limit_is_the_factor_and_the_slack(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, N, NULL);
    /* 40 with the new one, 4 fair: ceil(1.5 * 4) + 3 * sqrt(4) */
    assert_true(fabs(pick_limit(bench.snapshot, &bench.snapshot->members[0], 39) - 12) < 1e-9);
    bench.conf.balance_slack = 0;
    bench.conf.balance_factor = 1.25;
    assert_true(fabs(pick_limit(bench.snapshot, &bench.snapshot->members[0], 39) - 5) < 1e-9);
    bench.conf.balance_factor = 0;
    assert_true(isinf(pick_limit(bench.snapshot, &bench.snapshot->members[0], 39)));
    bench_fini(&bench);
}

static void test_the_limit_follows_the_weight(void **state)
{
    (void)state;
    static const double weights[] = {1, 3};
    struct bench bench;
    begin(&bench, 2, weights);
    bench.conf.balance_slack = 0;
    bench.conf.balance_factor = 1;
    assert_true(fabs(pick_limit(bench.snapshot, &bench.snapshot->members[0], 39) - 10) < 1e-9);
    assert_true(fabs(pick_limit(bench.snapshot, &bench.snapshot->members[1], 39) - 30) < 1e-9);
    bench_fini(&bench);
}

static void test_endpoints_that_are_down_have_no_share_of_the_bound(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, N, NULL);
    bench.conf.balance_slack = 0;
    bench.conf.balance_factor = 1;
    for (uint32_t i = 0; i < N / 2; i++)
        bench_take_down(&bench, i);
    snapshot_count_live(bench.snapshot);
    assert_true(fabs(pick_limit(bench.snapshot, &bench.snapshot->members[9], 99) - 20) < 1e-9);
    bench_fini(&bench);
}

static void test_a_full_endpoint_overflows_and_gets_its_keys_back(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, N, NULL);
    load_all(&bench, 4);
    for (uint64_t key = 0; key < KEYS; key++) {
        uint32_t home = pick_cold(&bench, key);
        bench_set_in_flight(&bench, home, 13); /* 49 in flight and this one: 5 fair, 8 + 6.7 */
        assert_int_equal(pick_cold(&bench, key), home);
        bench_set_in_flight(&bench, home, 16);
        uint32_t next = pick_cold(&bench, key);
        assert_int_not_equal(next, home);
        assert_int_equal(pick_cold(&bench, key), next);
        bench_set_in_flight(&bench, home, 4);
        assert_int_equal(pick_cold(&bench, key), home);
    }
    bench_fini(&bench);
}

static void test_overflow_goes_where_the_key_would_go_without_its_endpoint(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, N, NULL);
    for (uint64_t key = 0; key < KEYS; key++) {
        uint32_t home = pick_cold(&bench, key);
        bench_set_in_flight(&bench, home, 100);
        uint32_t overflow = pick_cold(&bench, key);
        bench_set_in_flight(&bench, home, 0);
        bench_take_down(&bench, home);
        assert_int_equal(pick_cold(&bench, key), overflow);
        bench_bring_up(&bench, home);
    }
    bench_fini(&bench);
}

/* HASHING.md's measure for an unstable overflow is that an endpoint that has nothing to do with it
 * changes it; here that must be rare. */
static void test_overflow_outlives_the_removal_of_another_endpoint(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, 20, NULL);
    uint32_t targets[KEYS], homes[KEYS], n_changed = 0;
    for (uint64_t key = 0; key < KEYS; key++) {
        homes[key] = pick_cold(&bench, key);
        bench_set_in_flight(&bench, homes[key], 100);
        targets[key] = pick_cold(&bench, key);
        bench_set_in_flight(&bench, homes[key], 0);
    }
    struct member removed = bench.members[19];
    bench.n = 19;
    bench_publish(&bench);
    for (uint64_t key = 0; key < KEYS; key++) {
        if (homes[key] == 19 || targets[key] == 19)
            continue;
        bench_set_in_flight(&bench, homes[key], 100);
        n_changed += pick_cold(&bench, key) != targets[key];
        bench_set_in_flight(&bench, homes[key], 0);
    }
    assert_int_equal(n_changed, 0);
    bench_fini(&bench);
    endpoint_unref(removed.endpoint);
}

static void test_no_endpoint_goes_over_its_bound(void **state)
{
    (void)state;
    static const double weights[N] = {1, 2, 3, 1, 1, 1, 0.5, 1, 4, 1};
    struct bench bench;
    begin(&bench, N, weights);
    bench.conf.balance_slack = 0;
    bench.conf.balance_factor = 1.25;
    /* One key alone, without hot keys: all of it would be at home. */
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t number = pick_cold(&bench, 7);
        double limit = pick_limit(bench.snapshot, &bench.snapshot->members[number], i);
        endpoint_add_in_flight(bench.members[number].endpoint, 0, 1);
        assert_true(endpoint_in_flight(bench.members[number].endpoint) <= ceil(limit));
    }
    bench_fini(&bench);
}

static void test_a_bound_never_refuses(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, 3, NULL);
    bench.conf.balance_slack = 0;
    bench.conf.balance_factor = 1;
    /* Counts that contradict each other, as those of other workers may for a moment. */
    load_all(&bench, 50);
    struct pick pick = bench_keyed_choice(&bench, 1);
    pick.in_flight = 0;
    uint32_t number = bench_number(&bench, policy_pick(&pick));
    load_all(&bench, 0);
    assert_int_equal(number, pick_cold(&bench, 1));
    bench_fini(&bench);
}

static void test_strict_affinity_knows_neither_bound_nor_heat(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, N, NULL);
    bench.conf.affinity = CONF_AFFINITY_STRICT;
    uint32_t home = pick_cold(&bench, 1);
    bench_set_in_flight(&bench, home, 100000);
    assert_int_equal(pick_cold(&bench, 1), home);
    assert_int_equal(pick_hot(&bench, 1, 0.9), home);
    bench_fini(&bench);
}

/* ---- hot keys ---- */

/* How many endpoints serve a key of that share when each request that comes stays. */
static uint32_t endpoints_of(struct bench *bench, uint64_t key, double share)
{
    uint32_t n = 0;
    load_all(bench, 20);
    for (uint32_t i = 0; i < 40 * N; i++)
        endpoint_add_in_flight(bench->members[pick_hot(bench, key, share)].endpoint, 0, 1);
    for (uint32_t i = 0; i < bench->n; i++)
        n += endpoint_in_flight(bench->members[i].endpoint) > 20;
    return n;
}

static void test_a_hot_key_has_endpoints_in_proportion_to_its_share(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, N, NULL);
    bench.conf.balance_factor = 0;
    assert_int_equal(endpoints_of(&bench, 1, 0), 1);
    assert_int_equal(endpoints_of(&bench, 1, 0.005), 1); /* 5 % of a tenth: just not hot */
    assert_int_equal(endpoints_of(&bench, 1, 0.0051), 2);
    assert_int_equal(endpoints_of(&bench, 1, 0.019), 4);
    assert_int_equal(endpoints_of(&bench, 1, 0.2), N);
    bench.conf.hot_key_share = 0.5;
    assert_int_equal(endpoints_of(&bench, 1, 0.019), 1);
    bench.conf.hot_key_share = 0;
    assert_int_equal(endpoints_of(&bench, 1, 0.9), 1);
    bench_fini(&bench);
}

static void test_a_hot_key_takes_the_least_busy_of_the_first_in_its_walk(void **state)
{
    (void)state;
    struct bench bench;
    struct pick_candidate room[BENCH_MAX];
    struct pick_trace trace;
    begin(&bench, N, NULL);
    bench.conf.balance_factor = 0;
    load_all(&bench, 20);
    uint32_t home = pick_cold(&bench, 3);
    bench_set_in_flight(&bench, home, 30);
    uint32_t second = pick_traced(&bench, 3, 0.008, &trace, room);
    assert_int_not_equal(second, home);
    assert_int_equal(trace.way, PICK_HOT);
    assert_int_equal(trace.alternatives, 2);
    bench_set_in_flight(&bench, second, 31);
    assert_int_equal(pick_traced(&bench, 3, 0.008, &trace, room), home);
    assert_int_equal(trace.way, PICK_HOME);
    /* An idle stranger does not take part. */
    for (uint32_t i = 0; i < N; i++)
        if (i != home && i != second)
            bench_set_in_flight(&bench, i, 0);
    assert_int_equal(pick_hot(&bench, 3, 0.008), home);
    bench_fini(&bench);
}

static void test_a_hot_key_stays_home_while_hardly_anything_is_in_flight(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, N, NULL);
    uint32_t home = pick_cold(&bench, 3);
    bench_set_in_flight(&bench, home, 1);
    assert_int_equal(pick_hot(&bench, 3, 0.9), home);
    bench_fini(&bench);
}

static void test_two_balancers_choose_among_the_same_endpoints(void **state)
{
    (void)state;
    struct bench one, two;
    begin(&one, N, NULL);
    begin(&two, N, NULL);
    one.conf.balance_factor = two.conf.balance_factor = 0;
    for (uint64_t key = 0; key < 20; key++) {
        (void)endpoints_of(&one, key, 0.012);
        (void)endpoints_of(&two, key, 0.012);
        for (uint32_t i = 0; i < N; i++)
            assert_int_equal(endpoint_in_flight(one.members[i].endpoint),
                             endpoint_in_flight(two.members[i].endpoint));
    }
    bench_fini(&one);
    bench_fini(&two);
}

static void test_too_much_for_all_its_endpoints_overflows(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, 100, NULL);
    bench.conf.balance_slack = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < 5000; i++)
        endpoint_add_in_flight(bench.members[pick_hot(&bench, 3, 0.9)].endpoint, 0, 1);
    for (uint32_t i = 0; i < bench.n; i++) {
        n += endpoint_in_flight(bench.members[i].endpoint) > 0;
        assert_true(endpoint_in_flight(bench.members[i].endpoint) <= 75); /* 1.5 * 50 */
    }
    assert_true(n > 60);
    bench_fini(&bench);
}

/* ---- what a pick tells about itself ---- */

static void test_a_trace_tells_why_each_was_passed_by(void **state)
{
    (void)state;
    struct bench bench;
    struct pick_candidate room[BENCH_MAX];
    struct pick_trace trace;
    uint32_t order[4];
    begin(&bench, 4, NULL);
    for (int i = 0; i < 4; i++) { /* the key's order, found by taking away one after the other */
        order[i] = pick_cold(&bench, 5);
        bench_take_down(&bench, order[i]);
    }
    for (uint32_t i = 0; i < 4; i++)
        bench_bring_up(&bench, i);
    bench_take_down(&bench, order[0]);
    bench_set_in_flight(&bench, order[1], 200);

    assert_int_equal(pick_traced(&bench, 5, 0, &trace, room), order[2]);
    assert_int_equal(trace.way, PICK_OVERFLOW);
    assert_int_equal(trace.n, 3);
    assert_int_equal(room[0].verdict, PICK_VERDICT_UNUSABLE);
    assert_int_equal(room[1].verdict, PICK_VERDICT_OVER_BOUND);
    assert_int_equal(room[1].in_flight, 200);
    assert_true(room[1].limit > 0 && room[1].limit <= 200);
    assert_int_equal(room[2].verdict, PICK_VERDICT_CHOSEN);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(room[i].member, order[i]);
    assert_string_equal(pick_way_word(trace.way), "overflow");
    assert_string_equal(pick_verdict_word(room[1].verdict), "over_bound");
    bench_fini(&bench);
}

static void test_a_trace_without_room_still_tells_the_way(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench, 4, NULL);
    struct pick_trace trace = {.max = 0};
    struct pick pick = bench_keyed_choice(&bench, 5);
    pick.trace = &trace;
    uint32_t home = bench_number(&bench, policy_pick(&pick));
    assert_int_equal(trace.way, PICK_HOME);
    bench_take_down(&bench, home);
    (void)policy_pick(&pick);
    assert_int_equal(trace.way, PICK_NEXT);
    pick.has_key = false;
    (void)policy_pick(&pick);
    assert_int_equal(trace.way, PICK_TURN);
    for (uint32_t i = 0; i < 4; i++)
        bench_take_down(&bench, i);
    assert_null(policy_pick(&pick));
    assert_int_equal(trace.way, PICK_NOBODY);
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_limit_is_the_factor_and_the_slack),
        cmocka_unit_test(test_the_limit_follows_the_weight),
        cmocka_unit_test(test_endpoints_that_are_down_have_no_share_of_the_bound),
        cmocka_unit_test(test_a_full_endpoint_overflows_and_gets_its_keys_back),
        cmocka_unit_test(test_overflow_goes_where_the_key_would_go_without_its_endpoint),
        cmocka_unit_test(test_overflow_outlives_the_removal_of_another_endpoint),
        cmocka_unit_test(test_no_endpoint_goes_over_its_bound),
        cmocka_unit_test(test_a_bound_never_refuses),
        cmocka_unit_test(test_strict_affinity_knows_neither_bound_nor_heat),
        cmocka_unit_test(test_a_hot_key_has_endpoints_in_proportion_to_its_share),
        cmocka_unit_test(test_a_hot_key_takes_the_least_busy_of_the_first_in_its_walk),
        cmocka_unit_test(test_a_hot_key_stays_home_while_hardly_anything_is_in_flight),
        cmocka_unit_test(test_two_balancers_choose_among_the_same_endpoints),
        cmocka_unit_test(test_too_much_for_all_its_endpoints_overflows),
        cmocka_unit_test(test_a_trace_tells_why_each_was_passed_by),
        cmocka_unit_test(test_a_trace_without_room_still_tells_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
