/*
 * The layouts of RING_VERSION, written down once: a ring that differs from them would send the
 * keys of a fleet in which old and new balancers run side by side to different endpoints.
 *
 *   test_ring_vectors --write      prints the vectors of both kinds, for a new RING_VERSION
 *
 * Rows of tests/vectors/ring_v1_*.tsv, by scenario: a key, its hash and its first six candidates;
 * "table" and a hash over every candidate of the whole ring; "digest" and the ring's digest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <inttypes.h>

#include "ring_support.h"

enum { KEYS = 40, CANDIDATES = 6, LINE_BYTES = 512 };

struct scenario {
    const char *name;
    struct ring_options options;
    size_t n;
    double (*weight)(size_t i);
};

static double equal(size_t i)
{
    (void)i;
    return 1;
}

static double ones_to_ten(size_t i)
{
    return (double)(i % 10) + 1;
}

static double fractions(size_t i)
{
    return 0.05 + (double)i * 0.37;
}

static double extremes(size_t i)
{
    static const double weights[] = {0, 1e-9, 1, 300, 1e9, -1};
    return weights[i % 6];
}

static const struct scenario scenarios[] = {
    {"slots_equal1", {.kind = RING_SLOTS, .slots = 1u << 10}, 1, equal},
    {"slots_equal3", {.kind = RING_SLOTS, .slots = 1u << 10}, 3, equal},
    {"slots_equal10", {.kind = RING_SLOTS, .slots = 1u << 16}, 10, equal},
    {"slots_equal300", {.kind = RING_SLOTS, .slots = 1u << 14}, 300, equal},
    {"slots_ten", {.kind = RING_SLOTS, .slots = 1u << 12}, 20, ones_to_ten},
    {"slots_fractions", {.kind = RING_SLOTS, .slots = 1u << 17, .seed = 99}, 17, fractions},
    {"slots_extremes", {.kind = RING_SLOTS, .slots = 1u << 11, .seed = UINT64_MAX}, 12, extremes},
    {"slots_largest", {.kind = RING_SLOTS, .slots = 1u << 22, .seed = 5}, 4, ones_to_ten},
    {"vnodes_equal1", {.kind = RING_VNODES, .points = 1}, 1, equal},
    {"vnodes_equal3", {.kind = RING_VNODES, .points = 160}, 3, equal},
    {"vnodes_equal300", {.kind = RING_VNODES, .points = 40, .seed = 7}, 300, equal},
    {"vnodes_fractions", {.kind = RING_VNODES, .points = 100, .seed = 99}, 17, fractions},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

typedef void row_fn(void *context, const char *row);

static uint64_t table_hash(const struct ring *ring, const struct fleet *fleet)
{
    enum { PARTS = 1 << 16 };
    uint64_t sum = 0;
    uint64_t parts = ring_options_of(ring)->slots > PARTS ? ring_options_of(ring)->slots : PARTS;
    for (uint64_t i = 0; i < parts; i++) {
        struct ring_walk walk;
        ring_walk_start(&walk, ring, hash_at(i, parts));
        for (int step = 0; step < 2; step++) {
            uint32_t node = ring_walk_next(&walk);
            sum = mix64(sum + (node == RING_NONE ? 1 : ring_hash(0, fleet->ids[node], 12)));
        }
    }
    return sum;
}

static void key_rows(const struct scenario *scenario, const struct ring *ring,
                     const struct fleet *fleet, row_fn *emit, void *context)
{
    for (int k = 0; k < KEYS; k++) {
        char key[32];
        char row[LINE_BYTES];
        int key_len = snprintf(key, sizeof key, "/images/%d.jpg", k * k);
        uint64_t hash = ring_hash(scenario->options.seed, key, (size_t)key_len);
        int len = snprintf(row, sizeof row, "%s\t%s\t%016" PRIx64, scenario->name, key, hash);
        struct ring_walk walk;
        ring_walk_start(&walk, ring, hash);
        for (int i = 0; i < CANDIDATES; i++)
            len += snprintf(row + len, sizeof row - (size_t)len, "\t%s",
                            fleet_name(fleet, ring_walk_next(&walk)));
        emit(context, row);
    }
}

static void scenario_rows(const struct scenario *scenario, row_fn *emit, void *context)
{
    char row[LINE_BYTES];
    uint8_t digest[16];
    struct fleet *fleet = fleet_equal(scenario->n, 0);
    for (size_t i = 0; i < fleet->n; i++)
        fleet->nodes[i].weight = scenario->weight(i);
    struct ring *ring = ring_of(&scenario->options, fleet);
    ring_digest(ring, digest);

    key_rows(scenario, ring, fleet, emit, context);
    snprintf(row, sizeof row, "%s\ttable\t%016" PRIx64, scenario->name, table_hash(ring, fleet));
    emit(context, row);
    int len = snprintf(row, sizeof row, "%s\tdigest\t", scenario->name);
    for (size_t i = 0; i < sizeof digest; i++)
        len += snprintf(row + len, sizeof row - (size_t)len, "%02x", digest[i]);
    emit(context, row);
    ring_free(ring);
    free(fleet);
}

static void compare_row(void *context, const char *row)
{
    FILE *file = context;
    char line[LINE_BYTES];
    assert_non_null(fgets(line, sizeof line, file));
    line[strcspn(line, "\n")] = '\0';
    assert_string_equal(row, line);
}

static void compare_file(const char *path, enum ring_kind kind)
{
    char line[LINE_BYTES];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file)); /* the names of the columns */
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        if (scenarios[i].options.kind == kind)
            scenario_rows(&scenarios[i], compare_row, file);
    }
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
}

static void test_the_slot_layout_of_version_1_is_kept(void **state)
{
    (void)state;
    assert_int_equal(RING_VERSION, 1);
    compare_file(SOURCE_DIR "/tests/vectors/ring_v1_slots.tsv", RING_SLOTS);
}

static void test_the_points_of_version_1_are_kept(void **state)
{
    (void)state;
    compare_file(SOURCE_DIR "/tests/vectors/ring_v1_vnodes.tsv", RING_VNODES);
}

static void print_row(void *context, const char *row)
{
    (void)context;
    puts(row);
}

static int print_vectors(void)
{
    puts("scenario\tkey\thash\tfirst\tsecond\tthird\tfourth\tfifth\tsixth");
    for (size_t i = 0; i < COUNT(scenarios); i++)
        scenario_rows(&scenarios[i], print_row, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_slot_layout_of_version_1_is_kept),
        cmocka_unit_test(test_the_points_of_version_1_are_kept),
    };
    if (argc == 2 && strcmp(argv[1], "--write") == 0)
        return print_vectors();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
