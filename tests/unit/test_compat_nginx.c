/* nginx's `hash … consistent`, against rows recorded from nginx 1.22.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compat_support.h"

static const struct ring_options options = {.kind = RING_NGINX};

static void check_row(void *context, char *const *columns, size_t n)
{
    struct scenario *scenario = context;
    assert_int_equal(n, 4);
    if (strcmp(columns[0], scenario->name) != 0)
        return;
    uint64_t hash = ring_key_hash(&options, columns[1], strlen(columns[1]));
    assert_int_equal(hash, number_in(columns[2]));
    assert_owner(scenario, columns[1], hash, columns[3]);
    scenario->n_rows++;
}

static void check_scenario(const char *file, struct scenario scenario)
{
    scenario.ring = ring_of(&options, scenario.fleet);
    assert_true(check_rows(file, check_row, &scenario) >= 1000);
    assert_int_equal(scenario.n_rows, 500);
    scenario_fini(&scenario);
}

/* Sockets, brackets, a server without a port. */
static struct fleet *fleet_of_mixed_ids(void)
{
    static const char *const ids[] = {"unix:/run/a.sock", "unix:/run/b.sock", "[::1]:18083",
                                      "127.0.0.2", "127.0.0.1:18081"};
    struct fleet *fleet = fleet_equal(0, 0);
    for (size_t i = 0; i < 5; i++)
        fleet_add_id(fleet, ids[i], i == 4 ? 2 : 1);
    return fleet;
}

static void test_keys_meet_the_servers_that_nginx_gives_them(void **state)
{
    (void)state;
    static const char *const files[] = {"nginx_ketama.tsv", "nginx_more.tsv"};
    check_scenario(files[0],
                   (struct scenario){.name = "equal5", .fleet = fleet_of_ports(18081, 5, NULL)});
    check_scenario(files[0], (struct scenario){.name = "weighted5",
                                               .fleet = fleet_of_ports(18081, 5, weights5)});
    check_scenario(files[1],
                   (struct scenario){.name = "two", .fleet = fleet_of_ports(18081, 2, NULL)});
    check_scenario(files[1],
                   (struct scenario){.name = "equal50", .fleet = fleet_of_ports(18101, 50, NULL)});
    check_scenario(files[1], (struct scenario){.name = "mixed", .fleet = fleet_of_mixed_ids()});
}

static void test_keys_of_servers_that_are_down_go_where_nginx_sends_them(void **state)
{
    (void)state;
    check_scenario("nginx_more.tsv", (struct scenario){.name = "down2of5",
                                                       .fleet = fleet_of_ports(18081, 5, NULL),
                                                       .down = 1u << 1 | 1u << 3});
}

/* A ring of two nodes whose ids are read in the same way. */
static void assert_same_points(const char *id_a, const char *id_b)
{
    struct fleet *a = fleet_equal(0, 0);
    struct fleet *b = fleet_equal(0, 0);
    fleet_add_id(a, id_a, 1);
    fleet_add_id(a, "10.0.0.1:80", 1);
    fleet_add_id(b, id_b, 1);
    fleet_add_id(b, "10.0.0.1:80", 1);
    struct ring *ring_a = ring_of(&options, a);
    struct ring *ring_b = ring_of(&options, b);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(ring_pick(ring_a, mix64(i)), ring_pick(ring_b, mix64(i)));
    ring_free(ring_a);
    ring_free(ring_b);
    free(a);
    free(b);
}

static void test_a_unix_prefix_does_not_count(void **state)
{
    (void)state;
    assert_same_points("unix:/run/a.sock", "/run/a.sock");
    assert_same_points("UNIX:/run/a.sock", "/run/a.sock");
}

static void test_a_walk_ends_after_21_points(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of_ports(18081, 5, NULL);
    struct ring *ring = ring_of(&options, fleet);
    for (uint64_t i = 0; i < 1000; i++) {
        struct ring_walk walk;
        ring_walk_start(&walk, ring, mix64(i));
        for (int step = 0; step < 21; step++)
            assert_true(ring_walk_next(&walk) < 5);
        for (int step = 0; step < 3; step++)
            assert_int_equal(ring_walk_next(&walk), RING_NONE);
    }
    ring_free(ring);
    free(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_meet_the_servers_that_nginx_gives_them),
        cmocka_unit_test(test_keys_of_servers_that_are_down_go_where_nginx_sends_them),
        cmocka_unit_test(test_a_unix_prefix_does_not_count),
        cmocka_unit_test(test_a_walk_ends_after_21_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
