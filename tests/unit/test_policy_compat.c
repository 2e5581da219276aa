/* The algorithms of other programs, from configuration to endpoint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "balancer/pool/ring_choice.h"
#include "compat_support.h"
#include "policy_support.h"

enum { SERVERS = 5 };

static struct bench bench;
static struct ring_options options;

static void serve_ports(enum conf_algorithm algorithm, const double *weights)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    memset(&bench, 0, sizeof bench);
    bench.conf = bench_conf(algorithm);
    bench.conf.compat.haproxy_avalanche = true;
    bench.n = SERVERS;
    for (uint32_t i = 0; i < SERVERS; i++) {
        char id[32];
        snprintf(id, sizeof id, "127.0.0.1:%u", 18081 + i);
        struct endpoint *endpoint =
            endpoint_new(id, id, (const struct sockaddr *)&address, sizeof address, 1);
        assert_non_null(endpoint);
        bench.members[i] = (struct member){endpoint, weights != NULL ? weights[i] : 1};
    }
    bench_publish(&bench);
    assert_true(ring_choice(&bench.conf, &options));
}

static struct pick choice_for(const char *key)
{
    struct pick pick = bench_choice(&bench);
    pick.has_key = true;
    pick.hash = ring_key_hash(&options, key, strlen(key));
    return pick;
}

/* Where the columns of a file are. */
struct layout {
    const char *file, *scenario;
    size_t key, server;
};

static void check_row(void *context, char *const *columns, size_t n)
{
    const struct layout *layout = context;
    assert_true(n > layout->server);
    if (strcmp(columns[0], layout->scenario) != 0)
        return;
    struct pick pick = choice_for(columns[layout->key]);
    assert_string_equal(policy_pick(&pick)->id, columns[layout->server]);
    assert_string_equal(policy_home(&pick)->id, columns[layout->server]);
}

static void check_file(enum conf_algorithm algorithm, struct layout layout, const double *weights)
{
    serve_ports(algorithm, weights);
    assert_true(check_rows(layout.file, check_row, &layout) >= 1000);
    bench_fini(&bench);
}

static void test_requests_meet_the_endpoints_that_the_program_gives_them(void **state)
{
    (void)state;
    check_file(CONF_ALGORITHM_NGINX, (struct layout){"nginx_ketama.tsv", "weighted5", 1, 3},
               weights5);
    check_file(CONF_ALGORITHM_LIBMEMCACHED,
               (struct layout){"libmemcached_ketama.tsv", "ketama_default_hash_ports", 1, 4}, NULL);
    check_file(CONF_ALGORITHM_LIBMEMCACHED_WEIGHTED,
               (struct layout){"libmemcached_ketama.tsv", "ketama_weighted_w5", 1, 4}, weights5);
    check_file(CONF_ALGORITHM_LIBMEMCACHED_SPY,
               (struct layout){"libmemcached_ketama.tsv", "ketama_spy_w5", 1, 4}, weights5);
    check_file(CONF_ALGORITHM_HAPROXY, (struct layout){"haproxy_chash.tsv", "default5", 2, 3},
               NULL);
    check_file(CONF_ALGORITHM_ENVOY_MAGLEV, (struct layout){"maglev_envoy.tsv", "weighted5", 2, 5},
               weights5);
    check_file(CONF_ALGORITHM_ENVOY_RING, (struct layout){"ringhash_envoy.tsv", "weighted5", 3, 5},
               weights5);
}

/* A server's number is its place in the list, whatever its name. */
static void test_servers_are_numbered_as_they_are_listed(void **state)
{
    (void)state;
    static const enum conf_algorithm numbered[] = {CONF_ALGORITHM_HAPROXY, CONF_ALGORITHM_JUMP};
    for (size_t a = 0; a < 2; a++) {
        serve_ports(numbered[a], NULL);
        struct endpoint *forwards[200];
        for (uint64_t key = 0; key < 200; key++) {
            struct pick pick = bench_keyed_choice(&bench, key);
            forwards[key] = policy_pick(&pick);
        }
        for (uint32_t i = 0; i < SERVERS / 2; i++) {
            struct member member = bench.members[i];
            bench.members[i] = bench.members[SERVERS - 1 - i];
            bench.members[SERVERS - 1 - i] = member;
        }
        uint32_t numbers[SERVERS];
        for (uint32_t i = 0; i < SERVERS; i++)
            numbers[i] = SERVERS - 1 - i;
        bench_publish(&bench);
        for (uint64_t key = 0; key < 200; key++) {
            uint32_t before = bench_number(&bench, forwards[key]);
            assert_int_equal(bench_pick_key(&bench, key), numbers[before]);
        }
        bench_fini(&bench);
    }
}

/* Whatever the walk of an algorithm, one that is up is found, and always the same one. */
static void test_the_last_one_up_takes_every_key(void **state)
{
    (void)state;
    for (int a = CONF_ALGORITHM_NGINX; a <= CONF_ALGORITHM_JUMP; a++) {
        bench_init(&bench, (enum conf_algorithm)a, 50, NULL);
        for (uint32_t i = 0; i < bench.n; i++) {
            if (i != 31)
                bench_take_down(&bench, i);
        }
        for (uint64_t key = 0; key < 300; key++)
            assert_int_equal(bench_pick_key(&bench, key), 31);
        bench_take_down(&bench, 31);
        assert_int_equal(bench_pick_key(&bench, 1), BENCH_NOBODY);
        bench_fini(&bench);
    }
}

/* Others than those of an endpoint that is down stay where they are. */
static void test_an_unusable_endpoints_keys_move_only_those_and_come_back(void **state)
{
    (void)state;
    for (int a = CONF_ALGORITHM_NGINX; a <= CONF_ALGORITHM_JUMP; a++) {
        bench_init(&bench, (enum conf_algorithm)a, 10, NULL);
        for (uint64_t key = 0; key < 1000; key++) {
            uint32_t home = bench_pick_key(&bench, key);
            uint32_t other = (home + 1 + (uint32_t)(key % 9)) % 10;
            bench_take_down(&bench, other);
            assert_int_equal(bench_pick_key(&bench, key), home);
            bench_take_down(&bench, home);
            uint32_t next = bench_pick_key(&bench, key);
            assert_true(next != home && next != other);
            bench_bring_up(&bench, home);
            bench_bring_up(&bench, other);
            assert_int_equal(bench_pick_key(&bench, key), home);
        }
        bench_fini(&bench);
    }
}

/* nginx gives up hashing after 21 points and takes turns: the key does not stay in one place. */
static void test_nginx_takes_turns_when_its_walk_ends(void **state)
{
    (void)state;
    bench_init(&bench, CONF_ALGORITHM_NGINX, 300, NULL);
    for (uint32_t i = 0; i < bench.n; i++) {
        if (i % 100 != 0)
            bench_take_down(&bench, i);
    }
    uint32_t counts[3] = {0};
    uint32_t n_wandering = 0;
    for (uint64_t key = 0; key < 100; key++) {
        uint32_t first = bench_pick_key(&bench, key);
        uint32_t n_same = 0;
        for (int i = 0; i < 3; i++) {
            uint32_t number = bench_pick_key(&bench, key);
            assert_int_equal(number % 100, 0);
            counts[number / 100]++;
            n_same += number == first;
        }
        n_wandering += n_same < 3;
    }
    assert_true(n_wandering > 50 && n_wandering < 100); /* of about 81 */
    for (int i = 0; i < 3; i++)
        assert_true(counts[i] > 60);
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_meet_the_endpoints_that_the_program_gives_them),
        cmocka_unit_test(test_servers_are_numbered_as_they_are_listed),
        cmocka_unit_test(test_the_last_one_up_takes_every_key),
        cmocka_unit_test(test_an_unusable_endpoints_keys_move_only_those_and_come_back),
        cmocka_unit_test(test_nginx_takes_turns_when_its_walk_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
