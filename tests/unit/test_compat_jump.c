/* Jump consistent hash, against rows of the paper's algorithm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The largest column has more buckets than a ring: the algorithm itself is tested. */
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "hashring/jump.c"

#include "compat_support.h"

static const uint32_t n_buckets[] = {1, 2, 3, 5, 10, 50, 100, 1000, 1000003};

enum { SIZES = sizeof n_buckets / sizeof n_buckets[0] };

static const struct ring_options options = {.kind = RING_JUMP};

static struct fleet *fleets[SIZES];
static struct ring *rings[SIZES];

static void check_row(void *context, char *const *columns, size_t n)
{
    (void)context;
    assert_int_equal(n, 2 + SIZES);
    uint64_t hash = number_in(columns[1]);
    if (strcmp(columns[0], "#u64") != 0)
        assert_int_equal(ring_key_hash(&options, columns[0], strlen(columns[0])), hash);
    for (size_t i = 0; i < SIZES; i++) {
        uint64_t bucket = number_in(columns[2 + i]);
        assert_int_equal(jump(hash, n_buckets[i]), bucket);
        if (rings[i] != NULL)
            assert_int_equal(ring_pick(rings[i], hash), bucket);
    }
}

static void test_keys_meet_the_buckets_of_the_paper(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES && n_buckets[i] <= FLEET_MAX; i++) {
        fleets[i] = fleet_equal(n_buckets[i], 0);
        rings[i] = ring_of(&options, fleets[i]);
    }
    assert_int_equal(check_rows("jump.tsv", check_row, NULL), 400);
    for (size_t i = 0; i < SIZES; i++) {
        ring_free(rings[i]);
        free(fleets[i]);
    }
}

static void test_a_key_without_its_bucket_jumps_again_and_the_others_stay(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_equal(10, 0);
    struct fleet *drained = fleet_copy(fleet);
    drained->nodes[3].weight = 0;
    struct ring *ring = ring_of(&options, fleet);
    struct ring *without = ring_of(&options, drained);
    uint32_t gained[10] = {0};
    for (uint64_t i = 0; i < 20000; i++) {
        uint32_t before = ring_pick(ring, mix64(i));
        uint32_t after = ring_pick(without, mix64(i));
        assert_int_not_equal(after, 3);
        if (before != 3)
            assert_int_equal(after, before);
        else
            gained[after]++;
    }
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(i == 3, gained[i] < 120); /* of about 222 */
    ring_free(ring);
    ring_free(without);
    free(fleet);
    free(drained);
}

static void test_few_with_weight_among_many_share_alike(void **state)
{
    (void)state;
    enum { HASHES = 30000 };
    struct fleet *fleet = fleet_equal(1000, 0);
    for (size_t i = 0; i < fleet->n; i++)
        fleet->nodes[i].weight = i % 400 == 0;
    struct ring *ring = ring_of(&options, fleet);
    uint32_t counts[3] = {0};
    for (uint64_t i = 0; i < HASHES; i++) {
        uint32_t node = ring_pick(ring, mix64(i));
        assert_int_equal(node % 400, 0);
        counts[node / 400 % 3]++;
    }
    for (size_t i = 0; i < 3; i++)
        assert_true(counts[i] > HASHES / 3 - 500 && counts[i] < HASHES / 3 + 500);
    ring_free(ring);
    free(fleet);
}

static void test_positions_may_have_gaps(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_equal(10, 0);
    struct fleet *gaps = fleet_copy(fleet);
    for (uint32_t i = 0; i < 10; i++)
        gaps->nodes[i].position = i * 7 + 3;
    struct ring *a = ring_of(&options, fleet);
    struct ring *b = ring_of(&options, gaps);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(ring_pick(a, mix64(i)), ring_pick(b, mix64(i)));
    ring_free(a);
    ring_free(b);
    free(fleet);
    free(gaps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_meet_the_buckets_of_the_paper),
        cmocka_unit_test(test_a_key_without_its_bucket_jumps_again_and_the_others_stay),
        cmocka_unit_test(test_few_with_weight_among_many_share_alike),
        cmocka_unit_test(test_positions_may_have_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
