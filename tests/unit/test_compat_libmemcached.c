/* libmemcached's ketama layouts, against rows recorded from libmemcached 1.1.4; its MD5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compat_support.h"
#include "hashring/md5.h"

static void check_row(void *context, char *const *columns, size_t n)
{
    struct scenario *scenario = context;
    assert_int_equal(n, 5);
    if (strcmp(columns[0], scenario->name) != 0)
        return;
    uint64_t hash = ring_key_hash(&scenario->options, columns[1], strlen(columns[1]));
    assert_int_equal(hash, number_in(columns[2]));
    assert_int_equal(ring_pick(scenario->ring, hash), number_in(columns[3]));
    assert_owner(scenario, columns[1], hash, columns[4]);
    scenario->n_rows++;
}

static void check_file(const char *file, const char *name, enum ring_kind kind, struct fleet *fleet)
{
    struct scenario scenario = {.name = name, .options = {.kind = kind}, .fleet = fleet};
    scenario.ring = ring_of(&scenario.options, fleet);
    assert_true(check_rows(file, check_row, &scenario) >= 2000);
    assert_true(scenario.n_rows >= 250);
    scenario_fini(&scenario);
}

static void check_scenario(const char *name, enum ring_kind kind, struct fleet *fleet)
{
    check_file("libmemcached_ketama.tsv", name, kind, fleet);
}

static void check_more(const char *name, enum ring_kind kind, struct fleet *fleet)
{
    check_file("libmemcached_more.tsv", name, kind, fleet);
}

/* The weights of the classic test of ketama. */
static const double weights8[] = {600, 300, 200, 350, 1000, 800, 950, 100};

/* Hosts 1 to n; weights NULL: all 1. */
static struct fleet *fleet_of_hosts(const char *before, const char *behind, size_t n,
                                    const double *weights)
{
    struct fleet *fleet = fleet_equal(0, 0);
    for (size_t i = 0; i < n; i++) {
        char id[FLEET_ID_BYTES];
        snprintf(id, sizeof id, "%s%zu%s", before, i + 1, behind);
        fleet_add_id(fleet, id, weights != NULL ? weights[i] : 1);
    }
    return fleet;
}

static void test_keys_meet_the_servers_that_libmemcached_gives_them(void **state)
{
    (void)state;
    check_scenario("ketama_default_hash_ports", RING_LIBMEMCACHED, fleet_of_ports(18081, 5, NULL));
    check_scenario("ketama_weighted_equal5", RING_LIBMEMCACHED_WEIGHTED,
                   fleet_of_ports(18081, 5, NULL));
    check_scenario("ketama_weighted_w5", RING_LIBMEMCACHED_WEIGHTED,
                   fleet_of_ports(18081, 5, weights5));
    check_scenario("ketama_weighted_w8_port11211", RING_LIBMEMCACHED_WEIGHTED,
                   fleet_of_hosts("10.0.1.", ":11211", 8, weights8));
    check_scenario("ketama_spy_w5", RING_LIBMEMCACHED_SPY, fleet_of_ports(18081, 5, weights5));
}

static void test_more_keys_meet_the_servers_that_libmemcached_gives_them(void **state)
{
    (void)state;
    check_more("ketama_md5_ports", RING_LIBMEMCACHED_MD5, fleet_of_ports(18081, 5, NULL));
    check_more("ketama_md5_port11211", RING_LIBMEMCACHED_MD5,
               fleet_of_hosts("10.0.1.", ":11211", 5, NULL));
    check_more("ketama_default_hash_port11211", RING_LIBMEMCACHED,
               fleet_of_hosts("10.0.1.", ":11211", 5, NULL));
    check_more("ketama_default_hash_equal50", RING_LIBMEMCACHED, fleet_of_ports(18101, 50, NULL));
    check_more("ketama_weighted_equal50", RING_LIBMEMCACHED_WEIGHTED,
               fleet_of_ports(18101, 50, NULL));
    check_more("ketama_weighted_port11211", RING_LIBMEMCACHED_WEIGHTED,
               fleet_of_hosts("10.0.1.", ":11211", 5, NULL));
    check_more("ketama_weighted_ipv6", RING_LIBMEMCACHED_WEIGHTED,
               fleet_of_hosts("[2001:db8::", "]:18081", 5, weights5));
    check_more("ketama_spy_equal5", RING_LIBMEMCACHED_SPY, fleet_of_ports(18081, 5, NULL));
    check_more("ketama_spy_w8_port11211", RING_LIBMEMCACHED_SPY,
               fleet_of_hosts("10.0.1.", ":11211", 8, weights8));
}

static void assert_md5(const char *text, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    uint32_t words[4];
    md5(text, strlen(text), words);
    const uint32_t expected[] = {a, b, c, d};
    assert_memory_equal(words, expected, sizeof words);
}

/* Some of the test suite of RFC 1321, A.5, and texts whose end just does or does not fit a block.
 */
static void test_md5_is_the_rfcs(void **state)
{
    (void)state;
    assert_md5("", 0xd98c1dd4, 0x04b2008f, 0x980980e9, 0x7e42f8ec);
    assert_md5("abc", 0x98500190, 0xb04fd23c, 0x7d3f96d6, 0x727fe128);
    assert_md5("12345678901234567890123456789012345678901234567890123456789012345678901234567890",
               0xa2f4ed57, 0x55c9e32b, 0x2eda49ac, 0x7ab60721);
    char text[65];
    memset(text, 'x', sizeof text);
    text[64] = '\0';
    assert_md5(text, 0x814fbbc1, 0xd5b292d8, 0x2a684779, 0x562425eb);
    text[63] = '\0';
    assert_md5(text, 0x20cac27d, 0xf7a20681, 0xdf7b5603, 0x81899df9);
    text[56] = '\0';
    assert_md5(text, 0xd5728a66, 0x8ef017ba, 0xafbcda62, 0x4bb16dad);
    text[55] = '\0';
    assert_md5(text, 0x20443604, 0x2f515ce2, 0x07a758d9, 0x728faa38);
}

/* Bytes from 0x80 on are negative there. */
static void test_one_at_a_time_takes_signed_bytes(void **state)
{
    (void)state;
    static const struct ring_options options = {.kind = RING_LIBMEMCACHED};
    assert_int_equal(ring_key_hash(&options, "a", 1), 0xca2e9442);
    assert_int_equal(ring_key_hash(&options, "\xe4", 1), 0x9c390033);
}

static void test_the_usual_port_is_left_out_but_not_for_spy(void **state)
{
    (void)state;
    static const enum ring_kind kinds[] = {RING_LIBMEMCACHED, RING_LIBMEMCACHED_MD5,
                                           RING_LIBMEMCACHED_WEIGHTED, RING_LIBMEMCACHED_SPY};
    for (size_t k = 0; k < 4; k++) {
        struct ring_options options = {.kind = kinds[k]};
        struct fleet *with = fleet_equal(0, 0);
        struct fleet *without = fleet_equal(0, 0);
        fleet_add_id(with, "[::1]:11211", 1);
        fleet_add_id(with, "10.0.0.1:80", 1);
        fleet_add_id(without, "::1", 1);
        fleet_add_id(without, "10.0.0.1:80", 1);
        struct ring *a = ring_of(&options, with);
        struct ring *b = ring_of(&options, without);
        uint32_t n_different = 0;
        for (uint32_t i = 0; i < 1000; i++)
            n_different += ring_pick(a, mix64(i)) != ring_pick(b, mix64(i));
        assert_int_equal(n_different == 0, kinds[k] != RING_LIBMEMCACHED_SPY);
        ring_free(a);
        ring_free(b);
        free(with);
        free(without);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_meet_the_servers_that_libmemcached_gives_them),
        cmocka_unit_test(test_more_keys_meet_the_servers_that_libmemcached_gives_them),
        cmocka_unit_test(test_md5_is_the_rfcs),
        cmocka_unit_test(test_one_at_a_time_takes_signed_bytes),
        cmocka_unit_test(test_the_usual_port_is_left_out_but_not_for_spy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
