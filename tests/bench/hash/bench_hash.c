/*
 * Times the rings: nanoseconds per pick and per step of a walk, milliseconds per build and per
 * derivation. Best of several rounds: the machine may be busy. And counts the keys that move when a
 * node in the middle of the list is taken out: in all, and those that were not on it.
 *
 *   bench_hash [slots]      default 1048576
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hashring/hash.h"
#include "hashring/ring.h"

enum { ROUNDS = 5, PICKS = 2000000, KEYS = 500000, ID_BYTES = 32 };

struct fleet {
    struct ring_node *nodes;
    char (*ids)[ID_BYTES];
    size_t n;
};

static volatile uint64_t sink; /* keeps the compiler from dropping the work */

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_hash: %s\n", what);
    exit(1);
}

static struct fleet fleet_new(size_t n)
{
    struct fleet fleet = {
        .nodes = calloc(n, sizeof fleet.nodes[0]),
        .ids = calloc(n, sizeof fleet.ids[0]),
        .n = n,
    };
    if (fleet.nodes == NULL || fleet.ids == NULL)
        die("out of memory");
    for (size_t i = 0; i < n; i++) {
        int len =
            snprintf(fleet.ids[i], ID_BYTES, "10.%zu.%zu.%zu:8080", i >> 16, i >> 8 & 255, i & 255);
        fleet.nodes[i] = (struct ring_node){
            .id = fleet.ids[i], .id_len = (size_t)len, .weight = 1, .position = (uint32_t)i};
    }
    return fleet;
}

static void fleet_free(struct fleet *fleet)
{
    free(fleet->nodes);
    free(fleet->ids);
}

static double best(double a, double b)
{
    return a == 0 || b < a ? b : a;
}

static double time_build(const struct ring_options *options, const struct fleet *fleet, size_t n,
                         struct ring **ret_ring)
{
    double ms = 0;
    struct ring *ring = NULL;
    for (int i = 0; i < ROUNDS; i++) {
        ring_free(ring);
        double start = now_ms();
        if (ring_new(options, fleet->nodes, n, &ring) < 0)
            die("ring_new failed");
        ms = best(ms, now_ms() - start);
    }
    *ret_ring = ring;
    return ms;
}

static double time_derive(const struct ring *old, const struct ring_node *nodes, size_t n)
{
    double ms = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct ring *ring;
        double start = now_ms();
        if (ring_derive(old, nodes, n, &ring) < 0)
            die("ring_derive failed");
        ms = best(ms, now_ms() - start);
        ring_free(ring);
    }
    return ms;
}

static double time_picks(const struct ring *ring)
{
    double ms = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t sum = 0;
        double start = now_ms();
        for (uint64_t k = 0; k < PICKS; k++)
            sum += ring_pick(ring, k * HASH_STEP);
        ms = best(ms, now_ms() - start);
        sink = sum;
    }
    return ms * 1e6 / PICKS;
}

/* Steps beyond the owner. */
static double time_steps(const struct ring *ring)
{
    enum { STEPS = 4 };
    double ms = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t sum = 0;
        double start = now_ms();
        for (uint64_t k = 0; k < PICKS / STEPS; k++) {
            struct ring_walk walk;
            ring_walk_start(&walk, ring, k * HASH_STEP);
            for (int step = 0; step <= STEPS; step++)
                sum += ring_walk_next(&walk);
        }
        ms = best(ms, now_ms() - start);
        sink = sum;
    }
    return ms * 1e6 / PICKS - time_picks(ring) / STEPS;
}

static double peak_to_average(const struct ring *ring, size_t n)
{
    double peak = 0;
    for (uint32_t i = 0; i < n; i++)
        peak = ring_share(ring, i) > peak ? ring_share(ring, i) : peak;
    return peak * (double)n;
}

/* In per cent of all keys. */
struct moves {
    double all, needless;
};

/* The nodes behind the one that is taken out move up one place, as a pool's do. */
static struct moves count_moves(const struct ring *before, const struct fleet *fleet, size_t n)
{
    struct fleet rest = fleet_new(n);
    uint32_t gone = (uint32_t)(n / 2), all = 0, needless = 0;
    struct ring *after;
    for (uint32_t i = gone; i + 1 < n; i++) {
        rest.nodes[i] = fleet->nodes[i + 1];
        rest.nodes[i].position = i;
    }
    if (ring_derive(before, rest.nodes, n - 1, &after) < 0)
        die("ring_derive failed");
    for (uint64_t k = 0; k < KEYS; k++) {
        uint32_t from = ring_pick(before, mix64(k)), to = ring_pick(after, mix64(k));
        bool has_moved = from != to + (to >= gone);
        all += has_moved;
        needless += has_moved && from != gone;
    }
    ring_free(after);
    fleet_free(&rest);
    return (struct moves){100.0 * all / KEYS, 100.0 * needless / KEYS};
}

static void bench(const char *name, const struct ring_options *options, size_t n)
{
    struct fleet fleet = fleet_new(n + 1);
    struct ring *ring;
    struct ring *larger;
    double build = time_build(options, &fleet, n, &ring);
    if (ring_new(options, fleet.nodes, n + 1, &larger) < 0)
        die("ring_new failed");
    double add = time_derive(ring, fleet.nodes, n + 1);
    double remove = time_derive(larger, fleet.nodes, n);
    struct moves moves = count_moves(ring, &fleet, n);
    fleet.nodes[n / 2].weight = 1.25;
    double raise = time_derive(ring, fleet.nodes, n);
    fleet.nodes[n / 2].weight = 0.75;
    double lower = time_derive(ring, fleet.nodes, n);

    printf("%-7s %6zu %8.1f %8.1f %9.2f %9.3f %9.3f %9.3f %9.3f %9.3f %8.3f %9.3f %9zu\n", name, n,
           time_picks(ring), time_steps(ring), build, add, remove, raise, lower,
           peak_to_average(ring, n), moves.all, moves.needless, ring_size_bytes(ring) / 1024);
    fflush(stdout);
    ring_free(ring);
    ring_free(larger);
    fleet_free(&fleet);
}

/* All kinds; libmemcached's others differ little from these two. */
static const struct {
    const char *name;
    struct ring_options options;
} kinds[] = {
    {"slots", {.kind = RING_SLOTS, .slots = 1u << 20}},
    {"vnodes", {.kind = RING_VNODES, .points = 160}},
    {"nginx", {.kind = RING_NGINX}},
    {"memc", {.kind = RING_LIBMEMCACHED}},
    {"memc-w", {.kind = RING_LIBMEMCACHED_WEIGHTED}},
    {"haproxy", {.kind = RING_HAPROXY, .haproxy_avalanche = true}},
    {"maglev", {.kind = RING_ENVOY_MAGLEV, .table_size = 65537}},
    {"envoy", {.kind = RING_ENVOY_RING, .min_ring = 1024}},
    {"jump", {.kind = RING_JUMP}},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* Nanoseconds to hash a key of about the length of a path. */
static double time_hashes(const struct ring_options *options)
{
    static const char key[] = "/assets/images/2024/11/a-picture-of-something-000000.jpg";
    enum { HASHES = 200000 };
    double ms = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t sum = 0;
        double start = now_ms();
        for (uint64_t k = 0; k < HASHES; k++)
            sum += ring_key_hash(options, key, sizeof key - 1 - (sum & 1));
        ms = best(ms, now_ms() - start);
        sink = sum;
    }
    return ms * 1e6 / HASHES;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {3, 10, 20, 100, 1000, 10000};
    uint32_t slots = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;

    for (size_t k = 0; k < KINDS; k++) {
        struct ring_options options = kinds[k].options;
        if (options.kind == RING_SLOTS && slots != 0)
            options.slots = slots;
        printf("%s: a key of 56 bytes is hashed in %.1f ns\n", kinds[k].name,
               time_hashes(&options));
        printf("%-7s %6s %8s %8s %9s %9s %9s %9s %9s %9s %8s %9s %9s\n", "kind", "nodes", "pick ns",
               "step ns", "build ms", "add ms", "remove ms", "raise ms", "lower ms", "peak/avg",
               "moved %", "beyond %", "KiB");
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            bench(kinds[k].name, &options, sizes[i]);
    }
    return 0;
}
