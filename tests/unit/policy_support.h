/*
 * Pools of endpoints without a network, for the tests of policies and snapshots. Include after
 * <cmocka.h>.
 */
#ifndef QUOIT_TESTS_POLICY_SUPPORT_H
#define QUOIT_TESTS_POLICY_SUPPORT_H

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "balancer/control/snapshot_build.h"
#include "balancer/policy/policy.h"
#include "hashring/hash.h"

enum { BENCH_MAX = 1000, BENCH_WORKERS = 4 };

/* A pool on the workbench: one snapshot, one worker's state, and the endpoints themselves. */
struct bench {
    struct conf_pool conf;
    struct member members[BENCH_MAX];
    uint32_t n;
    struct snapshot *snapshot;
    struct policy_state *state;
    uint64_t random;
    uint32_t counts[BENCH_MAX]; /* picks, by member */
};

static inline struct conf_pool bench_conf(enum conf_algorithm algorithm)
{
    return (struct conf_pool){
        .name = (char *)"bench",
        .algorithm = algorithm,
        .slots = 1u << 14,
        .points = 100,
        .compat = {.table_size = 65537, .min_ring = 1024},
    };
}

/* "e0007": sorted as numbered. */
static inline struct endpoint *bench_endpoint(uint32_t number)
{
    char id[32];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    snprintf(id, sizeof id, "e%04u", number);
    struct endpoint *endpoint = endpoint_new(id, "127.0.0.1:80", (const struct sockaddr *)&address,
                                             sizeof address, BENCH_WORKERS);
    assert_non_null(endpoint);
    return endpoint;
}

static inline void bench_publish(struct bench *bench)
{
    struct snapshot *snapshot;
    assert_int_equal(
        snapshot_build(&bench->conf, bench->members, bench->n, bench->snapshot, &snapshot), 0);
    if (bench->snapshot != NULL)
        policy_state_free(bench->snapshot, bench->state);
    snapshot_unref(bench->snapshot);
    bench->snapshot = snapshot;
    bench->state = policy_state_new(snapshot, bench->random);
}

/* n endpoints; weights may be NULL: all 1. */
static inline void bench_init(struct bench *bench, enum conf_algorithm algorithm, uint32_t n,
                              const double *weights)
{
    assert_true(n <= BENCH_MAX);
    memset(bench, 0, sizeof *bench);
    bench->conf = bench_conf(algorithm);
    bench->n = n;
    for (uint32_t i = 0; i < n; i++)
        bench->members[i] = (struct member){bench_endpoint(i), weights != NULL ? weights[i] : 1};
    bench_publish(bench);
}

static inline void bench_fini(struct bench *bench)
{
    policy_state_free(bench->snapshot, bench->state);
    snapshot_unref(bench->snapshot);
    for (uint32_t i = 0; i < bench->n; i++)
        endpoint_unref(bench->members[i].endpoint);
}

static inline uint64_t bench_random(struct bench *bench)
{
    bench->random += HASH_STEP;
    return mix64(bench->random);
}

static inline void bench_set_probe(struct bench *bench, uint32_t i, enum endpoint_probe probe)
{
    atomic_store(&bench->members[i].endpoint->probe, (uint8_t)probe);
}

static inline void bench_take_down(struct bench *bench, uint32_t i)
{
    bench_set_probe(bench, i, ENDPOINT_PROBE_DOWN);
}

static inline void bench_bring_up(struct bench *bench, uint32_t i)
{
    bench_set_probe(bench, i, ENDPOINT_PROBE_UP);
}

static inline void bench_set_in_flight(struct bench *bench, uint32_t i, uint32_t n)
{
    atomic_store(&bench->members[i].endpoint->locals[0].in_flight, n);
}

static inline struct pick bench_choice(struct bench *bench)
{
    return (struct pick){
        .snapshot = bench->snapshot, .state = bench->state, .random = bench_random(bench)};
}

static inline struct pick bench_keyed_choice(struct bench *bench, uint64_t key)
{
    struct pick pick = bench_choice(bench);
    pick.has_key = true;
    pick.hash = mix64(key);
    return pick;
}

#define BENCH_NOBODY UINT32_MAX

/* The member's number, or BENCH_NOBODY. */
static inline uint32_t bench_number(const struct bench *bench, const struct endpoint *endpoint)
{
    for (uint32_t i = 0; i < bench->n; i++) {
        if (bench->members[i].endpoint == endpoint)
            return i;
    }
    assert_null(endpoint);
    return BENCH_NOBODY;
}

static inline uint32_t bench_pick(struct bench *bench)
{
    struct pick pick = bench_choice(bench);
    return bench_number(bench, policy_pick(&pick));
}

static inline uint32_t bench_pick_key(struct bench *bench, uint64_t key)
{
    struct pick pick = bench_keyed_choice(bench, key);
    return bench_number(bench, policy_pick(&pick));
}

/* Picks n times and counts; every pick must find somebody. */
static inline void bench_count(struct bench *bench, uint32_t n)
{
    memset(bench->counts, 0, sizeof bench->counts);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t number = bench_pick(bench);
        assert_int_not_equal(number, BENCH_NOBODY);
        bench->counts[number]++;
    }
}

#endif
