/* What holds for both kinds of ring, over random fleets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdbool.h>

#include "ring_support.h"

enum { PARTS = 1 << 12 };

static const struct ring_options kinds[] = {
    {.kind = RING_SLOTS, .slots = PARTS, .points = 0, .seed = 7},
    {.kind = RING_VNODES, .slots = 0, .points = 16, .seed = 7},
};

static const size_t fleet_sizes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 20, 50, 150, 700, 2000};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

typedef void case_fn(const struct ring_options *options, struct fleet *fleet);

/* Huge weights have more points than tests have time for. */
static void limit_weights(const struct ring_options *options, struct fleet *fleet)
{
    for (size_t i = 0; options->kind == RING_VNODES && i < fleet->n; i++) {
        if (fleet->nodes[i].weight > 10)
            fleet->nodes[i].weight = 10;
    }
}

static void for_each_fleet(case_fn *run)
{
    for (size_t k = 0; k < COUNT(kinds); k++) {
        for (size_t i = 0; i < COUNT(fleet_sizes); i++) {
            struct fleet *fleet =
                i % 2 == 0 ? fleet_weighted(fleet_sizes[i], i) : fleet_equal(fleet_sizes[i], i);
            limit_weights(&kinds[k], fleet);
            run(&kinds[k], fleet);
            free(fleet);
        }
    }
}

static void order_does_not_matter(const struct ring_options *options, struct fleet *fleet)
{
    struct fleet *shuffled = fleet_copy(fleet);
    fleet_shuffle(shuffled);
    struct ring *a = ring_of(options, fleet);
    struct ring *b = ring_of(options, shuffled);
    assert_same_ring(a, fleet, b, shuffled, PARTS);
    ring_free(a);
    ring_free(b);
    free(shuffled);
}

static void test_order_of_arrival_does_not_matter(void **state)
{
    (void)state;
    for_each_fleet(order_does_not_matter);
}

/* Adds, removes and reweights a few nodes, and shuffles them. */
static void mutate(const struct ring_options *options, struct fleet *fleet, uint64_t *name)
{
    size_t changes = 1 + fleet_below(fleet, fleet_below(fleet, 4) == 0 ? 20 : 2);
    for (size_t i = 0; i < changes; i++) {
        size_t kind = fleet_below(fleet, 3);
        if (fleet->n == 0 || (kind == 0 && fleet->n < FLEET_MAX))
            fleet_add(fleet, (*name)++, fleet_weight(fleet));
        else if (kind == 1)
            fleet_remove(fleet, fleet_below(fleet, fleet->n));
        else
            fleet->nodes[fleet_below(fleet, fleet->n)].weight = fleet_weight(fleet);
    }
    limit_weights(options, fleet);
    fleet_shuffle(fleet);
}

static void derivation_is_exact(const struct ring_options *options, struct fleet *fleet)
{
    enum { GENERATIONS = 12 };
    uint64_t name = 1000000;
    struct fleet *before = fleet_copy(fleet);
    struct ring *ring = ring_of(options, fleet);
    for (int i = 0; i < GENERATIONS; i++) {
        mutate(options, fleet, &name);
        struct ring *derived = ring_derived(ring, fleet);
        struct ring *fresh = ring_of(options, fleet);
        assert_same_ring(derived, fleet, fresh, fleet, PARTS);
        for (uint32_t node = 0; node < fleet->n; node++)
            assert_true(fabs(ring_share(derived, node) - ring_share(fresh, node)) < 1e-12);
        ring_free(fresh);
        ring_free(ring);
        ring = derived;
    }
    ring_free(ring);
    free(before);
}

static void test_a_derived_ring_equals_a_new_one(void **state)
{
    (void)state;
    for_each_fleet(derivation_is_exact);
}

/* One node after the other, as in a rolling restart: never large enough for a new build. */
static void derive_one_by_one(const struct ring_options *options, struct fleet *fleet)
{
    struct ring *ring = ring_of(options, fleet);
    for (uint64_t i = 0; i < 100; i++) {
        if (i % 3 == 0)
            fleet_remove(fleet, fleet_below(fleet, fleet->n));
        else if (i % 3 == 1)
            fleet_add(fleet, 5000 + i, 1);
        else
            fleet->nodes[fleet_below(fleet, fleet->n)].weight = 0.25 * (double)(i % 7);
        struct ring *derived = ring_derived(ring, fleet);
        struct ring *fresh = ring_of(options, fleet);
        assert_same_ring(derived, fleet, fresh, fleet, PARTS);
        ring_free(fresh);
        ring_free(ring);
        ring = derived;
    }
    ring_free(ring);
}

static void test_many_small_derivations_stay_exact(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct fleet *fleet = fleet_equal(40, k);
        derive_one_by_one(&kinds[k], fleet);
        free(fleet);
    }
}

/* Every key that moves does so to or from the node that changed. */
static void assert_moves_touch(const struct ring *before, const struct fleet *fleet_before,
                               const struct ring *after, const struct fleet *fleet_after,
                               const char *from, const char *to)
{
    for (uint64_t i = 0; i < PARTS; i++) {
        const char *was = fleet_name(fleet_before, ring_pick(before, hash_at(i, PARTS)));
        const char *is = fleet_name(fleet_after, ring_pick(after, hash_at(i, PARTS)));
        if (strcmp(was, is) == 0)
            continue;
        if (from != NULL)
            assert_string_equal(was, from);
        if (to != NULL)
            assert_string_equal(is, to);
    }
}

static void removal_is_minimal(const struct ring_options *options, struct fleet *fleet)
{
    if (fleet->n == 0)
        return;
    struct fleet *after = fleet_copy(fleet);
    size_t victim = fleet_below(fleet, fleet->n);
    fleet_remove(after, victim);
    struct ring *a = ring_of(options, fleet);
    struct ring *b = ring_of(options, after);
    assert_moves_touch(a, fleet, b, after, fleet->ids[victim], NULL);
    /* The way back is an addition. */
    assert_moves_touch(b, after, a, fleet, NULL, fleet->ids[victim]);
    ring_free(a);
    ring_free(b);
    free(after);
}

static void test_removing_or_adding_a_node_moves_only_its_keys(void **state)
{
    (void)state;
    for_each_fleet(removal_is_minimal);
}

static void reweighting_is_minimal(const struct ring_options *options, struct fleet *fleet)
{
    if (fleet->n == 0)
        return;
    struct fleet *after = fleet_copy(fleet);
    size_t node = fleet_below(fleet, fleet->n);
    fleet->nodes[node].weight = 1;
    after->nodes[node].weight = 1.5;
    struct ring *a = ring_of(options, fleet);
    struct ring *b = ring_of(options, after);
    assert_moves_touch(a, fleet, b, after, NULL, fleet->ids[node]);
    assert_moves_touch(b, after, a, fleet, fleet->ids[node], NULL);
    ring_free(a);
    ring_free(b);
    free(after);
}

static void test_raising_a_weight_moves_keys_only_to_that_node(void **state)
{
    (void)state;
    for_each_fleet(reweighting_is_minimal);
}

/* A walk that does not meet the node that leaves does not notice. */
static void walks_are_stable(const struct ring_options *options, struct fleet *fleet)
{
    enum { STEPS = 6 };
    if (fleet->n == 0)
        return;
    struct fleet *after = fleet_copy(fleet);
    fleet_remove(after, fleet_below(fleet, fleet->n));
    const char *victim = after->ids[after->n];
    struct ring *a = ring_of(options, fleet);
    struct ring *b = ring_of(options, after);
    for (uint64_t i = 0; i < PARTS; i++) {
        struct ring_walk walk_a;
        struct ring_walk walk_b;
        ring_walk_start(&walk_a, a, hash_at(i, PARTS));
        ring_walk_start(&walk_b, b, hash_at(i, PARTS));
        for (int step = 0; step < STEPS; step++) {
            const char *name = fleet_name(fleet, ring_walk_next(&walk_a));
            if (strcmp(name, victim) == 0)
                break;
            assert_string_equal(fleet_name(after, ring_walk_next(&walk_b)), name);
        }
    }
    ring_free(a);
    ring_free(b);
    free(after);
}

static void test_a_walk_that_misses_the_leaving_node_stays_as_it_is(void **state)
{
    (void)state;
    for_each_fleet(walks_are_stable);
}

static void walk_begins_with_owner(const struct ring_options *options, struct fleet *fleet)
{
    struct ring *ring = ring_of(options, fleet);
    for (uint64_t i = 0; i < PARTS; i++) {
        struct ring_walk walk;
        ring_walk_start(&walk, ring, hash_at(i, PARTS));
        uint32_t first = ring_walk_next(&walk);
        assert_int_equal(first, ring_pick(ring, hash_at(i, PARTS)));
        if (first != RING_NONE)
            assert_true(fleet->nodes[first].weight > 0);
    }
    ring_free(ring);
}

static void test_a_walk_begins_with_the_owner_and_owners_have_weight(void **state)
{
    (void)state;
    for_each_fleet(walk_begins_with_owner);
}

static void shares_are_exact(const struct ring_options *options, struct fleet *fleet)
{
    struct ring *ring = ring_of(options, fleet);
    double *seen = calloc(fleet->n + 1, sizeof seen[0]);
    assert_non_null(seen);
    double sum = 0;
    for (uint64_t i = 0; i < PARTS; i++) {
        uint32_t node = ring_pick(ring, hash_at(i, PARTS));
        if (node != RING_NONE)
            seen[node] += 1.0 / PARTS;
    }
    /* Parts are slots: exact; of a circle they are a sample. */
    double tolerance = options->kind == RING_SLOTS ? 1e-9 : 0.03;
    bool any = false;
    for (uint32_t i = 0; i < fleet->n; i++) {
        assert_true(fabs(ring_share(ring, i) - seen[i]) < tolerance);
        sum += ring_share(ring, i);
        any |= fleet->nodes[i].weight > 0;
    }
    assert_true(fabs(sum - (any ? 1 : 0)) < 1e-9);
    free(seen);
    ring_free(ring);
}

static void test_shares_are_what_picks_see_and_sum_to_one(void **state)
{
    (void)state;
    for_each_fleet(shares_are_exact);
}

static void test_a_walk_meets_every_weighted_node(void **state)
{
    (void)state;
    enum { NODES = 12, STEPS = 1000 };
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct fleet *fleet = fleet_equal(NODES, k);
        fleet->nodes[5].weight = 0;
        struct ring *ring = ring_of(&kinds[k], fleet);
        for (uint64_t i = 0; i < 64; i++) {
            uint32_t met = 0;
            struct ring_walk walk;
            ring_walk_start(&walk, ring, hash_at(i, 64));
            for (int step = 0; step < STEPS; step++)
                met |= 1u << ring_walk_next(&walk);
            assert_int_equal(met, ((1u << NODES) - 1) & ~(1u << 5));
        }
        ring_free(ring);
        free(fleet);
    }
}

static void test_two_nodes_are_each_others_second_choice(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_equal(2, 1);
    struct ring *ring = ring_of(&kinds[0], fleet);
    for (uint64_t i = 0; i < PARTS; i++) {
        struct ring_walk walk;
        ring_walk_start(&walk, ring, hash_at(i, PARTS));
        uint32_t first = ring_walk_next(&walk);
        assert_int_equal(ring_walk_next(&walk), 1 - first);
    }
    ring_free(ring);
    free(fleet);
}

static void test_without_weight_there_is_no_candidate(void **state)
{
    (void)state;
    static const double nothing[] = {0, -0.0, -5, NAN, -INFINITY};
    for (size_t k = 0; k < COUNT(kinds); k++) {
        for (size_t n = 0; n <= COUNT(nothing); n++) {
            struct fleet *fleet = fleet_equal(n, 1);
            for (size_t i = 0; i < n; i++)
                fleet->nodes[i].weight = nothing[i];
            struct ring *ring = ring_of(&kinds[k], fleet);
            struct ring_walk walk;
            ring_walk_start(&walk, ring, 42);
            for (int step = 0; step < 5; step++)
                assert_int_equal(ring_walk_next(&walk), RING_NONE);
            assert_int_equal(ring_pick(ring, 0), RING_NONE);
            assert_int_equal(ring_pick(ring, UINT64_MAX), RING_NONE);
            ring_free(ring);
            free(fleet);
        }
    }
}

static void test_a_single_node_owns_everything(void **state)
{
    (void)state;
    static const double weights[] = {1e-300, 1, 12.5, INFINITY};
    for (size_t k = 0; k < COUNT(kinds); k++) {
        for (size_t w = 0; w < COUNT(weights); w++) {
            struct fleet *fleet = fleet_equal(1, 1);
            fleet->nodes[0].weight = weights[w];
            struct ring *ring = ring_of(&kinds[k], fleet);
            for (uint64_t i = 0; i < 100; i++)
                assert_int_equal(ring_pick(ring, hash_at(i, 100)), 0);
            assert_int_equal(ring_pick(ring, 0), 0);
            assert_int_equal(ring_pick(ring, UINT64_MAX), 0);
            assert_true(fabs(ring_share(ring, 0) - 1) < 1e-9);
            ring_free(ring);
            free(fleet);
        }
    }
}

static void test_extreme_weights_are_clamped(void **state)
{
    (void)state;
    struct fleet *a = fleet_equal(2, 1);
    struct fleet *b = fleet_equal(2, 1);
    a->nodes[0].weight = 1e300;
    a->nodes[1].weight = 1e-300;
    b->nodes[0].weight = 65536;
    b->nodes[1].weight = 1.0 / 65536;
    struct ring *ring_a = ring_of(&kinds[0], a);
    struct ring *ring_b = ring_of(&kinds[0], b);
    assert_same_ring(ring_a, a, ring_b, b, PARTS);
    assert_true(ring_share(ring_a, 0) > 0.999);
    ring_free(ring_a);
    ring_free(ring_b);
    free(a);
    free(b);
}

static void test_bad_options_and_nodes_are_refused(void **state)
{
    (void)state;
    static const struct ring_options bad[] = {
        {.kind = RING_SLOTS, .slots = 0},
        {.kind = RING_SLOTS, .slots = 512},
        {.kind = RING_SLOTS, .slots = 3000},
        {.kind = RING_SLOTS, .slots = 1u << 23},
        {.kind = RING_VNODES, .points = 0},
        {.kind = RING_VNODES, .points = 65537},
        {.kind = (enum ring_kind)99, .slots = 4096, .points = 1},
    };
    struct fleet *fleet = fleet_equal(3, 1);
    struct ring *ring = NULL;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(ring_new(&bad[i], fleet->nodes, fleet->n, &ring), -EINVAL);
    assert_int_equal(ring_new(&kinds[0], fleet->nodes, RING_MAX_NODES + 1, &ring), -EINVAL);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        fleet->nodes[2] = fleet->nodes[0];
        assert_int_equal(ring_new(&kinds[k], fleet->nodes, fleet->n, &ring), -EINVAL);
        struct ring *old;
        assert_int_equal(ring_new(&kinds[k], fleet->nodes, 2, &old), 0);
        assert_int_equal(ring_derive(old, fleet->nodes, fleet->n, &ring), -EINVAL);
        ring_free(old);
    }
    assert_null(ring);
    free(fleet);
}

static void test_too_many_points_are_refused(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_equal(2, 1);
    struct ring_options options = {.kind = RING_VNODES, .points = 65536};
    struct ring *ring = NULL;
    fleet->nodes[1].weight = 1000;
    assert_int_equal(ring_new(&options, fleet->nodes, 2, &ring), -E2BIG);
    struct ring *old;
    assert_int_equal(ring_new(&options, fleet->nodes, 1, &old), 0);
    assert_int_equal(ring_derive(old, fleet->nodes, 2, &ring), -E2BIG);
    assert_null(ring);
    ring_free(old);
    free(fleet);
}

static void assert_digests(const struct ring_options *options_a, const struct fleet *a,
                           const struct ring_options *options_b, const struct fleet *b,
                           bool are_equal)
{
    uint8_t digest_a[16];
    uint8_t digest_b[16];
    struct ring *ring_a = ring_of(options_a, a);
    struct ring *ring_b = ring_of(options_b, b);
    ring_digest(ring_a, digest_a);
    ring_digest(ring_b, digest_b);
    assert_int_equal(memcmp(digest_a, digest_b, sizeof digest_a) == 0, are_equal);
    ring_free(ring_a);
    ring_free(ring_b);
}

static void test_digests_tell_views_apart(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct fleet *a = fleet_equal(20, 1);
        struct fleet *b = fleet_copy(a);
        struct ring_options other = kinds[k];
        fleet_shuffle(b);
        assert_digests(&kinds[k], a, &kinds[k], b, true);
        other.seed++;
        assert_digests(&kinds[k], a, &other, b, false);
        other = kinds[k];
        other.slots *= 2;
        other.points *= 2;
        assert_digests(&kinds[k], a, &other, b, false);
        b->nodes[3].weight = 1 + 1e-9; /* rounds to 1 */
        assert_digests(&kinds[k], a, &kinds[k], b, true);
        b->nodes[3].weight = 1 + 1.0 / 65536;
        assert_digests(&kinds[k], a, &kinds[k], b, false);
        b->nodes[3].weight = 1;
        fleet_remove(b, 3);
        assert_digests(&kinds[k], a, &kinds[k], b, false);
        free(a);
        free(b);
    }
    struct fleet *fleet = fleet_equal(20, 1);
    assert_digests(&kinds[0], fleet, &kinds[1], fleet, false);
    free(fleet);
}

static void test_ids_may_be_any_bytes(void **state)
{
    (void)state;
    static const char bytes[] = "a\0b\0c";
    struct ring_node nodes[] = {
        {bytes, 1, 1, 0}, {bytes, 2, 1, 1}, {bytes, 3, 1, 2}, {bytes, 5, 1, 3}, {NULL, 0, 1, 4}};
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct ring *ring;
        assert_int_equal(ring_new(&kinds[k], nodes, COUNT(nodes), &ring), 0);
        for (uint32_t i = 0; i < COUNT(nodes); i++)
            assert_true(ring_share(ring, i) > 0.05);
        ring_free(ring);
    }
}

static void test_options_are_kept(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct fleet *fleet = fleet_equal(3, 1);
        struct ring *ring = ring_of(&kinds[k], fleet);
        struct ring *derived = ring_derived(ring, fleet);
        assert_memory_equal(ring_options_of(ring), &kinds[k], sizeof kinds[k]);
        assert_memory_equal(ring_options_of(derived), &kinds[k], sizeof kinds[k]);
        ring_free(ring);
        ring_free(derived);
        free(fleet);
    }
    ring_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_arrival_does_not_matter),
        cmocka_unit_test(test_a_derived_ring_equals_a_new_one),
        cmocka_unit_test(test_many_small_derivations_stay_exact),
        cmocka_unit_test(test_removing_or_adding_a_node_moves_only_its_keys),
        cmocka_unit_test(test_raising_a_weight_moves_keys_only_to_that_node),
        cmocka_unit_test(test_a_walk_that_misses_the_leaving_node_stays_as_it_is),
        cmocka_unit_test(test_a_walk_begins_with_the_owner_and_owners_have_weight),
        cmocka_unit_test(test_shares_are_what_picks_see_and_sum_to_one),
        cmocka_unit_test(test_a_walk_meets_every_weighted_node),
        cmocka_unit_test(test_two_nodes_are_each_others_second_choice),
        cmocka_unit_test(test_without_weight_there_is_no_candidate),
        cmocka_unit_test(test_a_single_node_owns_everything),
        cmocka_unit_test(test_extreme_weights_are_clamped),
        cmocka_unit_test(test_bad_options_and_nodes_are_refused),
        cmocka_unit_test(test_too_many_points_are_refused),
        cmocka_unit_test(test_digests_tell_views_apart),
        cmocka_unit_test(test_ids_may_be_any_bytes),
        cmocka_unit_test(test_options_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
