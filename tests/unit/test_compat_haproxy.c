/* HAProxy's `hash-type consistent`, against rows recorded from HAProxy 2.6.12. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compat_support.h"

static void check_row(void *context, char *const *columns, size_t n)
{
    struct scenario *scenario = context;
    assert_int_equal(n, 4);
    if (strcmp(columns[0], scenario->name) != 0)
        return;
    uint64_t hash = ring_key_hash(&scenario->options, columns[2], strlen(columns[2]));
    assert_owner(scenario, columns[2], hash, columns[3]);
    scenario->n_rows++;
}

static void check_file(const char *file, struct scenario scenario, enum ring_haproxy_hash function,
                       bool avalanche)
{
    scenario.options = (struct ring_options){
        .kind = RING_HAPROXY, .haproxy_hash = function, .haproxy_avalanche = avalanche};
    scenario.ring = ring_of(&scenario.options, scenario.fleet);
    assert_true(check_rows(file, check_row, &scenario) >= 2000);
    assert_int_equal(scenario.n_rows, 500);
    scenario_fini(&scenario);
}

static void check_scenario(const char *name, enum ring_haproxy_hash function, bool avalanche,
                           const double *weights)
{
    struct scenario scenario = {.name = name, .fleet = fleet_of_ports(18081, 5, weights)};
    check_file("haproxy_chash.tsv", scenario, function, avalanche);
}

static void check_more(const char *name, enum ring_haproxy_hash function, bool avalanche,
                       const double *weights)
{
    struct scenario scenario = {.name = name, .fleet = fleet_of_ports(18081, 5, weights)};
    check_file("haproxy_more.tsv", scenario, function, avalanche);
}

static void test_keys_meet_the_servers_that_haproxy_gives_them(void **state)
{
    (void)state;
    static const double hundreds[] = {100, 100, 100, 100, 100};
    check_scenario("default5", RING_HAPROXY_SDBM, true, NULL);
    check_scenario("default_w100", RING_HAPROXY_SDBM, true, hundreds);
    check_scenario("djb2_aval_w5", RING_HAPROXY_DJB2, true, weights5);
    check_scenario("crc32_5", RING_HAPROXY_CRC32, false, NULL);
    check_more("wt6_5", RING_HAPROXY_WT6, false, NULL);
    check_more("wt6_aval_w5", RING_HAPROXY_WT6, true, weights5);
    check_more("sdbm_5", RING_HAPROXY_SDBM, false, NULL);
    check_more("djb2_5", RING_HAPROXY_DJB2, false, NULL);
    check_more("crc32_aval_w5", RING_HAPROXY_CRC32, true, weights5);
    check_file("haproxy_more.tsv",
               (struct scenario){.name = "equal50", .fleet = fleet_of_ports(18101, 50, NULL)},
               RING_HAPROXY_SDBM, true);
}

static void test_keys_of_servers_that_are_down_go_where_haproxy_sends_them(void **state)
{
    (void)state;
    check_file("haproxy_more.tsv",
               (struct scenario){.name = "down2of5",
                                 .fleet = fleet_of_ports(18081, 5, NULL),
                                 .down = 1u << 1 | 1u << 3},
               RING_HAPROXY_SDBM, true);
}

/* Takes out the key's owner in one ring and skips it in the walk of another. */
static void test_without_a_server_its_keys_go_where_they_go_without_its_points(void **state)
{
    (void)state;
    static const struct ring_options options = {.kind = RING_HAPROXY};
    struct fleet *fleet = fleet_of_ports(18081, 5, weights5);
    struct fleet *drained = fleet_copy(fleet);
    struct ring *ring = ring_of(&options, fleet);
    drained->nodes[4].weight = 0;
    struct ring *without = ring_of(&options, drained);
    for (uint64_t i = 0; i < 5000; i++) {
        struct ring_walk walk;
        uint32_t node;
        ring_walk_start(&walk, ring, mix64(i));
        do {
            node = ring_walk_next(&walk);
        } while (node == 4);
        assert_int_equal(node, ring_pick(without, mix64(i)));
    }
    ring_free(ring);
    ring_free(without);
    free(fleet);
    free(drained);
}

static void test_servers_are_known_by_their_place_alone(void **state)
{
    (void)state;
    static const struct ring_options options = {.kind = RING_HAPROXY};
    struct fleet *fleet = fleet_of_ports(18081, 5, NULL);
    struct fleet *others = fleet_of_ports(9000, 5, NULL);
    struct ring *a = ring_of(&options, fleet);
    struct ring *b = ring_of(&options, others);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(ring_pick(a, mix64(i)), ring_pick(b, mix64(i)));
    ring_free(a);
    ring_free(b);
    free(fleet);
    free(others);
}

/* The next server's numbers begin there: heavier ones would take its points. */
static void test_weights_end_at_256(void **state)
{
    (void)state;
    static const struct ring_options options = {.kind = RING_HAPROXY};
    const double most[] = {256, 1, 1};
    const double more[] = {60000, 1, 1};
    struct fleet *fleet = fleet_of_ports(18081, 3, most);
    struct fleet *heavier = fleet_of_ports(18081, 3, more);
    struct ring *a = ring_of(&options, fleet);
    struct ring *b = ring_of(&options, heavier);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(ring_share(a, i) == ring_share(b, i));
    assert_true(ring_share(a, 1) > 0.001);
    ring_free(a);
    ring_free(b);
    free(fleet);
    free(heavier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_meet_the_servers_that_haproxy_gives_them),
        cmocka_unit_test(test_keys_of_servers_that_are_down_go_where_haproxy_sends_them),
        cmocka_unit_test(test_without_a_server_its_keys_go_where_they_go_without_its_points),
        cmocka_unit_test(test_servers_are_known_by_their_place_alone),
        cmocka_unit_test(test_weights_end_at_256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
