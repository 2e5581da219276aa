/* How evenly, and how faithfully to the weights, the rings share out the keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>

#include "ring_support.h"

static double peak_to_average(const struct ring *ring, const struct fleet *fleet)
{
    double peak = 0;
    for (uint32_t i = 0; i < fleet->n; i++)
        peak = fmax(peak, ring_share(ring, i));
    return peak * (double)fleet->n;
}

static void assert_peak(const struct ring_options *options, size_t n, double limit)
{
    struct fleet *fleet = fleet_equal(n, 1);
    struct ring *ring = ring_of(options, fleet);
    double peak = peak_to_average(ring, fleet);
    if (!(peak >= 1 && peak <= limit))
        fail_msg("%zu nodes: peak is %.4f of the average, not %.4f", n, peak, limit);
    ring_free(ring);
    free(fleet);
}

static void test_equal_nodes_own_equal_shares_of_a_large_table(void **state)
{
    (void)state;
    const struct ring_options options = {.kind = RING_SLOTS, .slots = 1u << 20};
    assert_peak(&options, 2, 1.005);
    assert_peak(&options, 10, 1.01);
    assert_peak(&options, 100, 1.03);
    assert_peak(&options, 1000, 1.12);
}

static void test_small_tables_are_as_even_as_their_size_allows(void **state)
{
    (void)state;
    const struct ring_options options = {.kind = RING_SLOTS, .slots = 1u << 16};
    assert_peak(&options, 3, 1.02);
    assert_peak(&options, 10, 1.03);
    assert_peak(&options, 100, 1.08);
}

static void test_equal_nodes_share_a_circle_of_points(void **state)
{
    (void)state;
    const struct ring_options options = {.kind = RING_VNODES, .points = 1000};
    assert_peak(&options, 10, 1.08);
    assert_peak(&options, 100, 1.12);
}

/* The root mean square of the relative errors of the shares. */
static double weight_error(const struct ring_options *options, struct fleet *fleet)
{
    struct ring *ring = ring_of(options, fleet);
    double total = 0;
    double squares = 0;
    for (size_t i = 0; i < fleet->n; i++)
        total += fleet->nodes[i].weight;
    for (uint32_t i = 0; i < fleet->n; i++) {
        double error = ring_share(ring, i) * total / fleet->nodes[i].weight - 1;
        squares += error * error;
    }
    ring_free(ring);
    return sqrt(squares / (double)fleet->n);
}

static void test_shares_follow_weights(void **state)
{
    (void)state;
    const struct ring_options slots = {.kind = RING_SLOTS, .slots = 1u << 20};
    const struct ring_options points = {.kind = RING_VNODES, .points = 1000};
    struct fleet *fleet = fleet_equal(20, 1);
    for (size_t i = 0; i < fleet->n; i++)
        fleet->nodes[i].weight = (double)(i % 10) + 1;
    assert_true(weight_error(&slots, fleet) < 0.01);
    assert_true(weight_error(&points, fleet) < 0.04);
    /* The scale does not matter, fractions do not either. */
    for (size_t i = 0; i < fleet->n; i++)
        fleet->nodes[i].weight = 0.01 + (double)i / 13;
    fleet_remove(fleet, 0);
    assert_true(weight_error(&slots, fleet) < 0.01);
    for (size_t i = 0; i < fleet->n; i++)
        fleet->nodes[i].weight *= 1000;
    assert_true(weight_error(&slots, fleet) < 0.01);
    free(fleet);
}

/* Averaged over many small tables the error goes to zero: the shares are not biased. */
static void test_weights_are_not_biased(void **state)
{
    (void)state;
    enum { TRIALS = 300 };
    static const double weights[] = {0.1, 0.5, 1, 3, 5.4};
    double sums[5] = {0};
    struct fleet *fleet = fleet_equal(5, 1);
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        const struct ring_options options = {
            .kind = RING_SLOTS, .slots = RING_MIN_SLOTS, .seed = trial};
        for (size_t i = 0; i < 5; i++)
            fleet->nodes[i].weight = weights[i];
        struct ring *ring = ring_of(&options, fleet);
        for (uint32_t i = 0; i < 5; i++)
            sums[i] += ring_share(ring, i);
        ring_free(ring);
    }
    for (size_t i = 0; i < 5; i++) {
        double expected = weights[i] / 10;
        double deviation = sqrt(expected / (RING_MIN_SLOTS * (double)TRIALS));
        assert_true(fabs(sums[i] / TRIALS - expected) < 4 * deviation);
    }
    free(fleet);
}

/* The keys of a node that fails spread over the others by weight. */
static void test_second_choices_follow_weights(void **state)
{
    (void)state;
    enum { SLOTS = 1 << 18 };
    const struct ring_options options = {.kind = RING_SLOTS, .slots = SLOTS};
    struct fleet *fleet = fleet_equal(5, 1);
    fleet->nodes[4].weight = 2;
    struct ring *ring = ring_of(&options, fleet);
    double seconds[5] = {0};
    double total = 0;
    for (uint64_t i = 0; i < SLOTS; i++) {
        struct ring_walk walk;
        ring_walk_start(&walk, ring, hash_at(i, SLOTS));
        if (ring_walk_next(&walk) != 0)
            continue;
        seconds[ring_walk_next(&walk)] += 1;
        total += 1;
    }
    assert_true(seconds[0] == 0);
    for (size_t i = 1; i < 5; i++)
        assert_true(fabs(seconds[i] / total - fleet->nodes[i].weight / 5) < 0.01);
    ring_free(ring);
    free(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_nodes_own_equal_shares_of_a_large_table),
        cmocka_unit_test(test_small_tables_are_as_even_as_their_size_allows),
        cmocka_unit_test(test_equal_nodes_share_a_circle_of_points),
        cmocka_unit_test(test_shares_follow_weights),
        cmocka_unit_test(test_weights_are_not_biased),
        cmocka_unit_test(test_second_choices_follow_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
