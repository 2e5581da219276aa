/* What every policy promises, whichever it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy_support.h"

static const enum conf_algorithm algorithms[] = {
    CONF_ALGORITHM_HASH,
    CONF_ALGORITHM_RING,
    CONF_ALGORITHM_ROUND_ROBIN,
    CONF_ALGORITHM_LEAST_REQUESTS,
    CONF_ALGORITHM_RANDOM_TWO,
    CONF_ALGORITHM_NGINX,
    CONF_ALGORITHM_LIBMEMCACHED,
    CONF_ALGORITHM_LIBMEMCACHED_MD5,
    CONF_ALGORITHM_LIBMEMCACHED_WEIGHTED,
    CONF_ALGORITHM_LIBMEMCACHED_SPY,
    CONF_ALGORITHM_HAPROXY,
    CONF_ALGORITHM_ENVOY_MAGLEV,
    CONF_ALGORITHM_ENVOY_RING,
    CONF_ALGORITHM_JUMP,
};

enum { ALGORITHMS = sizeof algorithms / sizeof algorithms[0] };

static struct bench bench;

static struct pick any_choice(uint64_t i)
{
    return i % 3 == 0 ? bench_choice(&bench) : bench_keyed_choice(&bench, i);
}

static void test_policies_have_the_names_of_the_configuration(void **state)
{
    (void)state;
    static const char *const names[] = {"hash",
                                        "ring",
                                        "round_robin",
                                        "least_requests",
                                        "random_two",
                                        "nginx",
                                        "libmemcached",
                                        "libmemcached_md5",
                                        "libmemcached_weighted",
                                        "libmemcached_spy",
                                        "haproxy",
                                        "envoy_maglev",
                                        "envoy_ring",
                                        "jump"};
    for (size_t a = 0; a < ALGORITHMS; a++) {
        const struct policy_ops *ops = policy_for(algorithms[a]);
        bool hashes = algorithms[a] <= CONF_ALGORITHM_RING || algorithms[a] >= CONF_ALGORITHM_NGINX;
        assert_string_equal(ops->name, names[a]);
        assert_int_equal(ops->uses_key, hashes);
        assert_int_equal(ops->uses_ring, hashes);
    }
}

static void test_an_empty_pool_has_nobody(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 0, NULL);
        for (uint64_t i = 0; i < 10; i++) {
            struct pick pick = any_choice(i);
            assert_null(policy_pick(&pick));
            assert_null(policy_home(&pick));
        }
        bench_fini(&bench);
    }
}

/* A pool before its first update: number 0, neither ring nor state. */
static void test_the_first_snapshot_of_a_pool_has_nobody(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        struct conf_pool conf = bench_conf(algorithms[a]);
        struct snapshot *empty = snapshot_new(&conf, 0);
        struct policy_state *policy_state = policy_state_new(empty, 1);
        struct pick pick = {
            .snapshot = empty, .state = policy_state, .has_key = true, .hash = 1, .random = 1};
        assert_null(policy_pick(&pick));
        assert_null(policy_home(&pick));
        policy_state_free(empty, policy_state);
        snapshot_unref(empty);
    }
}

static void test_a_pool_that_is_all_down_has_nobody_until_one_comes_back(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 20, NULL);
        for (uint32_t i = 0; i < bench.n; i++)
            bench_take_down(&bench, i);
        for (uint64_t i = 0; i < 100; i++) {
            struct pick pick = any_choice(i);
            assert_null(policy_pick(&pick));
        }
        bench_bring_up(&bench, 13);
        for (uint64_t i = 0; i < 100; i++) {
            struct pick pick = any_choice(i);
            assert_ptr_equal(policy_pick(&pick), bench.members[13].endpoint);
        }
        bench_fini(&bench);
    }
}

static void test_the_only_usable_endpoint_of_a_thousand_is_found(void **state)
{
    (void)state;
    static double weights[1000];
    for (uint32_t i = 0; i < 1000; i++)
        weights[i] = i == 777 ? 0.01 : 1 + i % 10;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 1000, weights);
        for (uint32_t i = 0; i < bench.n; i++) {
            if (i != 777)
                bench_take_down(&bench, i);
        }
        for (uint64_t i = 0; i < 300; i++) {
            struct pick pick = any_choice(i);
            assert_ptr_equal(policy_pick(&pick), bench.members[777].endpoint);
        }
        bench_fini(&bench);
    }
}

/* The one left untried is found too, though it is usable ones that are passed over. */
static void test_the_only_untried_endpoint_is_found(void **state)
{
    (void)state;
    struct endpoint *tried[PICK_MAX_TRIED];
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], PICK_MAX_TRIED + 1, NULL);
        for (uint32_t left = 0; left <= PICK_MAX_TRIED; left++) {
            for (uint32_t i = 0; i < PICK_MAX_TRIED; i++)
                tried[i] = bench.members[i < left ? i : i + 1].endpoint;
            struct pick pick = any_choice(left);
            pick.tried = tried;
            pick.n_tried = PICK_MAX_TRIED;
            assert_ptr_equal(policy_pick(&pick), bench.members[left].endpoint);
        }
        bench_fini(&bench);
    }
}

/* Each of the others has as many connections in use as it may have; but only for a pick that minds.
 */
static void test_the_only_endpoint_with_room_is_found(void **state)
{
    (void)state;
    enum { N = 9, MAX = 2 };
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], N, NULL);
        for (uint32_t i = 0; i < N; i++)
            atomic_store(&bench.members[i].endpoint->connections, MAX);
        struct pick nobody = any_choice(0);
        nobody.max_connections = MAX;
        assert_null(policy_pick(&nobody));
        nobody.max_connections = 0;
        assert_non_null(policy_pick(&nobody));
        for (uint32_t left = 0; left < N; left++) {
            endpoint_give_room(bench.members[left].endpoint);
            struct pick pick = any_choice(left);
            pick.max_connections = MAX;
            assert_ptr_equal(policy_pick(&pick), bench.members[left].endpoint);
            assert_true(endpoint_take_room(bench.members[left].endpoint, MAX));
            assert_false(endpoint_take_room(bench.members[left].endpoint, MAX));
        }
        bench_fini(&bench);
    }
}

static void flap(uint64_t i)
{
    uint32_t number = (uint32_t)(bench_random(&bench) % bench.n);
    if (bench_random(&bench) % 2 == 0)
        bench_take_down(&bench, number);
    else
        bench_bring_up(&bench, number);
    bench_set_in_flight(&bench, number, (uint32_t)(i % 5));
}

static bool nobody_is_allowed(const struct pick *pick)
{
    for (uint32_t i = 0; i < bench.n; i++) {
        if (pick_allows(pick, &bench.snapshot->members[i]))
            return false;
    }
    return true;
}

static void assert_pick_is_allowed(const struct pick *pick)
{
    const struct endpoint *endpoint = policy_pick(pick);
    if (endpoint == NULL) {
        assert_true(nobody_is_allowed(pick));
        return;
    }
    uint32_t number = bench_number(&bench, endpoint);
    assert_true(endpoint_is_usable(endpoint));
    assert_true(bench.members[number].weight > 0);
    for (uint32_t i = 0; i < pick->n_tried; i++)
        assert_ptr_not_equal(pick->tried[i], endpoint);
}

static void test_nobody_unusable_tried_or_without_weight_is_ever_picked(void **state)
{
    (void)state;
    static const double weights[] = {1, 0, 2.5, -1, 1000, 0.001, 1, 1, 3, 1};
    struct endpoint *tried[PICK_MAX_TRIED];
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 10, weights);
        for (uint64_t i = 0; i < 20000; i++) {
            flap(i);
            struct pick pick = any_choice(i);
            pick.tried = tried;
            pick.n_tried = (uint32_t)(bench_random(&bench) % 5);
            for (uint32_t t = 0; t < pick.n_tried; t++)
                tried[t] = bench.members[bench_random(&bench) % bench.n].endpoint;
            assert_pick_is_allowed(&pick);
        }
        bench_fini(&bench);
    }
}

/* Memory ran out when the snapshot came: the requests are served all the same. */
static void test_without_a_state_requests_still_find_an_endpoint(void **state)
{
    (void)state;
    for (size_t a = 0; a < ALGORITHMS; a++) {
        bench_init(&bench, algorithms[a], 10, NULL);
        for (uint32_t i = 0; i < bench.n; i++) {
            if (i != 4)
                bench_take_down(&bench, i);
        }
        for (uint64_t i = 0; i < 50; i++) {
            struct pick pick = any_choice(i);
            pick.state = NULL;
            assert_ptr_equal(policy_pick(&pick), bench.members[4].endpoint);
        }
        bench_fini(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies_have_the_names_of_the_configuration),
        cmocka_unit_test(test_an_empty_pool_has_nobody),
        cmocka_unit_test(test_the_first_snapshot_of_a_pool_has_nobody),
        cmocka_unit_test(test_a_pool_that_is_all_down_has_nobody_until_one_comes_back),
        cmocka_unit_test(test_the_only_usable_endpoint_of_a_thousand_is_found),
        cmocka_unit_test(test_the_only_untried_endpoint_is_found),
        cmocka_unit_test(test_the_only_endpoint_with_room_is_found),
        cmocka_unit_test(test_nobody_unusable_tried_or_without_weight_is_ever_picked),
        cmocka_unit_test(test_without_a_state_requests_still_find_an_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
