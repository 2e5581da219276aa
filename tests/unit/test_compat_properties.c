/* What holds for every kind of ring that does what another program does, over random fleets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdbool.h>

#include "ring_support.h"

static const struct ring_options kinds[] = {
    {.kind = RING_NGINX},
    {.kind = RING_LIBMEMCACHED},
    {.kind = RING_LIBMEMCACHED_MD5},
    {.kind = RING_LIBMEMCACHED_WEIGHTED},
    {.kind = RING_LIBMEMCACHED_SPY},
    {.kind = RING_HAPROXY, .haproxy_hash = RING_HAPROXY_WT6, .haproxy_avalanche = true},
    {.kind = RING_ENVOY_MAGLEV, .table_size = 5003},
    {.kind = RING_ENVOY_RING, .min_ring = 1024},
    {.kind = RING_JUMP},
};

static const size_t fleet_sizes[] = {0, 1, 2, 3, 5, 12, 50, 300};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { HASHES = 2000 };

typedef void case_fn(const struct ring_options *options, struct fleet *fleet);

/* Others have more points than tests have time for, or too few to have a share of. */
static void limit_weights(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->n; i++) {
        double *weight = &fleet->nodes[i].weight;
        if (*weight > 0)
            *weight = fmin(fmax(*weight, 0.1), 10);
    }
}

static void for_each_fleet(case_fn *run)
{
    for (size_t k = 0; k < COUNT(kinds); k++) {
        for (size_t i = 0; i < COUNT(fleet_sizes); i++) {
            struct fleet *fleet =
                i % 2 == 0 ? fleet_weighted(fleet_sizes[i], i) : fleet_equal(fleet_sizes[i], i);
            limit_weights(fleet);
            run(&kinds[k], fleet);
            free(fleet);
        }
    }
}

/* Hashes as those of keys: 32 bits of them are where a kind of 32 bits looks. */
static uint64_t key_hash(uint64_t i)
{
    return mix64(i);
}

static void assert_same(const struct ring *a, const struct fleet *fleet_a, const struct ring *b,
                        const struct fleet *fleet_b)
{
    uint8_t digest_a[16];
    uint8_t digest_b[16];
    for (uint64_t i = 0; i < HASHES; i++) {
        struct ring_walk walk_a;
        struct ring_walk walk_b;
        ring_walk_start(&walk_a, a, key_hash(i));
        ring_walk_start(&walk_b, b, key_hash(i));
        for (int step = 0; step < 4; step++)
            assert_string_equal(fleet_name(fleet_a, ring_walk_next(&walk_a)),
                                fleet_name(fleet_b, ring_walk_next(&walk_b)));
    }
    ring_digest(a, digest_a);
    ring_digest(b, digest_b);
    assert_memory_equal(digest_a, digest_b, sizeof digest_a);
}

static void order_does_not_matter(const struct ring_options *options, struct fleet *fleet)
{
    struct fleet *shuffled = fleet_copy(fleet);
    fleet_shuffle(shuffled);
    struct ring *a = ring_of(options, fleet);
    struct ring *b = ring_of(options, shuffled);
    assert_same(a, fleet, b, shuffled);
    ring_free(a);
    ring_free(b);
    free(shuffled);
}

static void test_the_order_of_arrival_does_not_matter(void **state)
{
    (void)state;
    for_each_fleet(order_does_not_matter);
}

static void derivation_is_exact(const struct ring_options *options, struct fleet *fleet)
{
    struct ring *old = ring_of(options, fleet);
    for (int i = 0; i < 3; i++) {
        if (fleet->n > 0 && i != 1)
            fleet_remove(fleet, fleet_below(fleet, fleet->n));
        if (fleet->n > 0)
            fleet->nodes[fleet_below(fleet, fleet->n)].weight = 1 + i;
        fleet_add(fleet, (uint64_t)i + 5000, 2);
        fleet->nodes[fleet->n - 1].position = (uint32_t)i + 5000;
        struct ring *derived = ring_derived(old, fleet);
        struct ring *fresh = ring_of(options, fleet);
        assert_same(derived, fleet, fresh, fleet);
        assert_int_equal(ring_size_bytes(derived), ring_size_bytes(fresh));
        ring_free(old);
        ring_free(fresh);
        old = derived;
    }
    ring_free(old);
}

static void test_deriving_gives_the_same_ring_as_making(void **state)
{
    (void)state;
    for_each_fleet(derivation_is_exact);
}

static void walks_meet_all(const struct ring_options *options, struct fleet *fleet)
{
    struct ring *ring = ring_of(options, fleet);
    bool *is_met = calloc(fleet->n + 1, sizeof is_met[0]);
    size_t left = 0;
    for (uint32_t i = 0; i < fleet->n; i++) {
        is_met[i] = ring_share(ring, i) <= 0;
        left += !is_met[i];
    }
    struct ring_walk walk;
    /* Walks of nginx end: then the next key's goes on. */
    uint64_t key = 0;
    ring_walk_start(&walk, ring, key_hash(key));
    for (long step = 0; left > 0 && step < 1000000; step++) {
        uint32_t node = ring_walk_next(&walk);
        if (node == RING_NONE) {
            assert_int_equal(options->kind, RING_NGINX);
            ring_walk_start(&walk, ring, key_hash(++key));
            continue;
        }
        assert_true(node < fleet->n && fleet->nodes[node].weight > 0);
        left -= !is_met[node];
        is_met[node] = true;
    }
    assert_int_equal(left, 0);
    free(is_met);
    ring_free(ring);
}

static void test_a_walk_meets_every_node_that_owns_something_and_no_other(void **state)
{
    (void)state;
    for_each_fleet(walks_meet_all);
}

static void walk_begins_with_owner(const struct ring_options *options, struct fleet *fleet)
{
    struct ring *ring = ring_of(options, fleet);
    for (uint64_t i = 0; i < HASHES; i++) {
        struct ring_walk walk;
        ring_walk_start(&walk, ring, key_hash(i));
        assert_int_equal(ring_walk_next(&walk), ring_pick(ring, key_hash(i)));
    }
    ring_free(ring);
}

static void test_a_walk_begins_with_the_owner(void **state)
{
    (void)state;
    for_each_fleet(walk_begins_with_owner);
}

static void shares_are_true(const struct ring_options *options, struct fleet *fleet)
{
    enum { PICKS = 100000 };
    struct ring *ring = ring_of(options, fleet);
    uint32_t *counts = calloc(fleet->n + 1, sizeof counts[0]);
    double sum = 0;
    for (uint64_t i = 0; i < PICKS; i++) {
        uint32_t node = ring_pick(ring, key_hash(i));
        counts[node == RING_NONE ? fleet->n : node]++;
    }
    for (uint32_t i = 0; i < fleet->n; i++) {
        double share = ring_share(ring, i);
        double deviation = sqrt(share * (1 - share) / PICKS);
        assert_true(fabs(counts[i] / (double)PICKS - share) <= 6 * deviation + 1e-9);
        sum += share;
    }
    assert_true(counts[fleet->n] == 0 || counts[fleet->n] == PICKS);
    assert_true(fabs(sum - (counts[fleet->n] == 0)) < 1e-9);
    free(counts);
    ring_free(ring);
}

static void test_shares_are_true(void **state)
{
    (void)state;
    for_each_fleet(shares_are_true);
}

static void test_a_node_without_weight_owns_nothing(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct fleet *fleet = fleet_equal(6, 1);
        fleet->nodes[2].weight = 0;
        fleet->nodes[5].weight = (double)NAN;
        struct ring *ring = ring_of(&kinds[k], fleet);
        assert_true(ring_share(ring, 2) <= 0 && ring_share(ring, 5) <= 0);
        for (uint64_t i = 0; i < HASHES; i++) {
            uint32_t node = ring_pick(ring, key_hash(i));
            assert_true(node < 5 && node != 2);
        }
        ring_free(ring);
        for (size_t i = 0; i < fleet->n; i++)
            fleet->nodes[i].weight = 0;
        ring = ring_of(&kinds[k], fleet);
        assert_int_equal(ring_pick(ring, 1), RING_NONE);
        ring_free(ring);
        free(fleet);
    }
}

static void test_two_nodes_in_one_place_are_refused_where_places_count(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct fleet *fleet = fleet_equal(3, 1);
        struct ring *ring = NULL;
        fleet->nodes[2].position = 0;
        int expected = kinds[k].kind == RING_ENVOY_MAGLEV ? 0 : -EINVAL;
        assert_int_equal(ring_new(&kinds[k], fleet->nodes, fleet->n, &ring), expected);
        ring_free(ring);
        free(fleet);
    }
}

/* What the digest covers: the place where it counts, and each kind's option. */
static void test_digests_tell_places_and_options_apart(void **state)
{
    (void)state;
    static const struct ring_options others[] = {
        {.kind = RING_HAPROXY, .haproxy_hash = RING_HAPROXY_WT6},
        {.kind = RING_HAPROXY, .haproxy_hash = RING_HAPROXY_SDBM, .haproxy_avalanche = true},
        {.kind = RING_ENVOY_MAGLEV, .table_size = 5009},
        {.kind = RING_ENVOY_RING, .min_ring = 1023},
    };
    enum { VARIANTS = COUNT(kinds) * 2 + COUNT(others) };
    static uint8_t digests[VARIANTS][16];
    size_t n = 0;
    for (size_t v = 0; v < VARIANTS; v++) {
        const struct ring_options *options =
            v < COUNT(kinds) * 2 ? &kinds[v / 2] : &others[v - COUNT(kinds) * 2];
        if (v < COUNT(kinds) * 2 && v % 2 == 1 && options->kind == RING_ENVOY_MAGLEV)
            continue;
        struct fleet *fleet = fleet_equal(3, 1);
        fleet->nodes[2].position += v < COUNT(kinds) * 2 && v % 2 == 1;
        struct ring *ring = ring_of(options, fleet);
        ring_digest(ring, digests[n++]);
        ring_free(ring);
        free(fleet);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(digests[i], digests[j], sizeof digests[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order_of_arrival_does_not_matter),
        cmocka_unit_test(test_deriving_gives_the_same_ring_as_making),
        cmocka_unit_test(test_a_walk_meets_every_node_that_owns_something_and_no_other),
        cmocka_unit_test(test_a_walk_begins_with_the_owner),
        cmocka_unit_test(test_shares_are_true),
        cmocka_unit_test(test_a_node_without_weight_owns_nothing),
        cmocka_unit_test(test_two_nodes_in_one_place_are_refused_where_places_count),
        cmocka_unit_test(test_digests_tell_places_and_options_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
