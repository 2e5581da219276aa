/*
 * Times what choosing costs a request with affinity `cache`: a pick while all endpoints have room,
 * one whose first endpoint is over its bound where a tenth of them are, one of a hot key, and the
 * counting of a key. Nanoseconds, best of several rounds: the machine may be busy.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "balancer/control/snapshot_build.h"
#include "balancer/policy/policy.h"
#include "balancer/pool/heat.h"
#include "hashring/hash.h"

enum { ROUNDS = 5, PICKS = 1000000, KEYS = 1 << 16, FAIR = 10, HOT_ENDPOINTS = 4 };

static const struct conf_pool conf = {
    .name = (char *)"bench",
    .algorithm = CONF_ALGORITHM_HASH,
    .slots = 1u << 20,
    .affinity = CONF_AFFINITY_CACHE,
    .balance_factor = 1.5,
    .balance_slack = 3,
    .hot_key_share = 0.05,
};

static volatile uintptr_t sink; /* keeps the compiler from dropping the work */

static void die(const char *what)
{
    fprintf(stderr, "bench_policy: %s\n", what);
    exit(1);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* n endpoints with FAIR requests in flight each. */
static struct snapshot *make_snapshot(uint32_t n)
{
    struct member *members = calloc(n, sizeof members[0]);
    struct snapshot *snapshot;
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (members == NULL)
        die("out of memory");
    for (uint32_t i = 0; i < n; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "10.%u.%u.%u:8080", i >> 16, i >> 8 & 255, i & 255);
        members[i].weight = 1;
        members[i].endpoint =
            endpoint_new(id, id, (const struct sockaddr *)&address, sizeof address, 1);
        if (members[i].endpoint == NULL)
            die("out of memory");
        endpoint_add_in_flight(members[i].endpoint, 0, FAIR);
    }
    if (snapshot_build(&conf, members, n, NULL, &snapshot) < 0)
        die("snapshot_build failed");
    for (uint32_t i = 0; i < n; i++)
        endpoint_unref(members[i].endpoint);
    free(members);
    return snapshot;
}

/* Each tenth endpoint is far over its bound. */
static void saturate(struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->n; i += 10)
        endpoint_add_in_flight(snapshot->members[i].endpoint, 0, 1000 * FAIR);
}

/* Hashes of keys whose first endpoint is saturated, or is not. */
static void find_keys(const struct snapshot *snapshot, bool saturated, uint64_t *ret_hashes)
{
    uint64_t next = 0;
    for (uint32_t n = 0; n < KEYS; next++) {
        bool is_saturated = ring_pick(snapshot->ring, mix64(next)) % 10 == 0;
        if (is_saturated == saturated)
            ret_hashes[n++] = mix64(next);
    }
}

static double time_picks(const struct snapshot *snapshot, const uint64_t *hashes, double share)
{
    double best = 0;
    struct pick pick = {
        .snapshot = snapshot, .has_key = true, .key_share = share, .in_flight = FAIR * snapshot->n};
    for (int round = 0; round < ROUNDS; round++) {
        uintptr_t sum = 0;
        double start = now_ns();
        for (uint32_t i = 0; i < PICKS; i++) {
            pick.hash = hashes[i % KEYS];
            sum += (uintptr_t)policy_pick(&pick);
        }
        double ns = (now_ns() - start) / PICKS;
        best = round == 0 || ns < best ? ns : best;
        sink = sum;
    }
    return best;
}

static double time_heat(const uint64_t *hashes)
{
    double best = 0;
    struct heat *heat = heat_new();
    if (heat == NULL)
        die("out of memory");
    for (int round = 0; round < ROUNDS; round++) {
        double sum = 0, start = now_ns();
        for (uint32_t i = 0; i < PICKS; i++)
            sum += heat_count(heat, hashes[i % KEYS], (struct span){NULL, 0}, i + 1);
        double ns = (now_ns() - start) / PICKS;
        best = round == 0 || ns < best ? ns : best;
        sink = (uintptr_t)sum;
    }
    heat_free(heat);
    return best;
}

static void bench(uint32_t n)
{
    static uint64_t hashes[KEYS];
    struct snapshot *snapshot = make_snapshot(n);
    find_keys(snapshot, false, hashes);
    double free_ns = time_picks(snapshot, hashes, 0);
    double hot_ns = time_picks(snapshot, hashes, HOT_ENDPOINTS * conf.hot_key_share / n);
    saturate(snapshot);
    find_keys(snapshot, true, hashes);
    printf("%9u %9.1f %9.1f %12.1f\n", n, free_ns, hot_ns, time_picks(snapshot, hashes, 0));
    if (n == 10)
        printf("heat_count: %.1f ns\n", time_heat(hashes));
    snapshot_unref(snapshot);
}

int main(void)
{
    static const uint32_t sizes[] = {10, 100, 1000, 10000};
    printf("%9s %9s %9s %12s  (ns a pick)\n", "endpoints", "room", "hot of 4", "overflow");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        bench(sizes[i]);
    return 0;
}
