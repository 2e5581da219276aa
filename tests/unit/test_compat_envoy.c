/* Envoy's Maglev and ring hash, against rows that reproduce the tables of Envoy's own tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "compat_support.h"

static void check_maglev_row(void *context, char *const *columns, size_t n)
{
    struct scenario *scenario = context;
    assert_int_equal(n, 6);
    if (strcmp(columns[0], scenario->name) != 0 ||
        number_in(columns[1]) != scenario->options.table_size)
        return;
    uint64_t hash = ring_key_hash(&scenario->options, columns[2], strlen(columns[2]));
    assert_int_equal(hash, number_in(columns[3]));
    assert_int_equal(hash % scenario->options.table_size, number_in(columns[4]));
    assert_owner(scenario, columns[2], hash, columns[5]);
    scenario->n_rows++;
}

static void check_ring_row(void *context, char *const *columns, size_t n)
{
    struct scenario *scenario = context;
    assert_int_equal(n, 6);
    if (strcmp(columns[0], scenario->name) != 0 ||
        number_in(columns[1]) != scenario->options.min_ring)
        return;
    uint64_t hash = ring_key_hash(&scenario->options, columns[3], strlen(columns[3]));
    assert_int_equal(hash, number_in(columns[4]));
    assert_owner(scenario, columns[3], hash, columns[5]);
    scenario->n_rows++;
}

static void check_scenario(const char *name, struct ring_options options, const double *weights)
{
    struct scenario scenario = {.name = name, .options = options};
    scenario.fleet = fleet_of_ports(18081, 5, weights);
    scenario.ring = ring_of(&options, scenario.fleet);
    size_t n = options.kind == RING_ENVOY_MAGLEV
                   ? check_rows("maglev_envoy.tsv", check_maglev_row, &scenario)
                   : check_rows("ringhash_envoy.tsv", check_ring_row, &scenario);
    assert_int_equal(n, 1500);
    assert_int_equal(scenario.n_rows, 500);
    scenario_fini(&scenario);
}

static void test_keys_meet_the_hosts_that_maglev_gives_them(void **state)
{
    (void)state;
    struct ring_options options = {.kind = RING_ENVOY_MAGLEV, .table_size = 65537};
    check_scenario("equal5", options, NULL);
    check_scenario("weighted5", options, weights5);
    options.table_size = 655373;
    check_scenario("equal5", options, NULL);
}

static void test_keys_meet_the_hosts_that_ring_hash_gives_them(void **state)
{
    (void)state;
    struct ring_options options = {.kind = RING_ENVOY_RING, .min_ring = 1024};
    check_scenario("equal5", options, NULL);
    check_scenario("weighted5", options, weights5);
    options.min_ring = 65536;
    check_scenario("equal5", options, NULL);
}

static void test_a_table_has_a_prime_number_of_slots(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 1, 4, 65536, 65535, 4999 * 4999, 4294967291u};
    static const uint32_t good[] = {2, 3, 65537, RING_MAX_MAGLEV};
    struct fleet *fleet = fleet_of_ports(18081, 5, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ring_options options = {.kind = RING_ENVOY_MAGLEV, .table_size = bad[i]};
        struct ring *ring;
        assert_int_equal(ring_new(&options, fleet->nodes, fleet->n, &ring), -EINVAL);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct ring_options options = {.kind = RING_ENVOY_MAGLEV, .table_size = good[i]};
        ring_free(ring_of(&options, fleet));
    }
    free(fleet);
}

/* Shares in proportion, within the slots' grain. */
static void test_maglev_shares_follow_the_weights(void **state)
{
    (void)state;
    static const struct ring_options options = {.kind = RING_ENVOY_MAGLEV, .table_size = 65537};
    struct fleet *fleet = fleet_of_ports(18081, 5, weights5);
    struct ring *ring = ring_of(&options, fleet);
    for (uint32_t i = 0; i < 5; i++) {
        double error = ring_share(ring, i) - weights5[i] / 21;
        assert_true(error < 0.001 && error > -0.001);
    }
    ring_free(ring);
    free(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_meet_the_hosts_that_maglev_gives_them),
        cmocka_unit_test(test_keys_meet_the_hosts_that_ring_hash_gives_them),
        cmocka_unit_test(test_a_table_has_a_prime_number_of_slots),
        cmocka_unit_test(test_maglev_shares_follow_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
