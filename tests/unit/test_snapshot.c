/* Endpoints, snapshots and pools: who holds what, and what is where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdint.h>

#include "balancer/pool/pool.h"
#include "policy_support.h"

static uint32_t references_of(struct endpoint *endpoint)
{
    return atomic_load(&endpoint->references);
}

static void test_a_new_endpoint_is_up_and_idle(void **state)
{
    (void)state;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
    char id[] = "dc1/node/web-1";
    struct endpoint *endpoint =
        endpoint_new(id, "[::1]:443", (const struct sockaddr *)&address, sizeof address, 3);
    struct endpoint *next = bench_endpoint(1);
    id[0] = 'x'; /* the endpoint has its own copy */
    assert_string_equal(endpoint->id, "dc1/node/web-1");
    assert_string_equal(endpoint->address, "[::1]:443");
    assert_memory_equal(&endpoint->sockaddr, &address, sizeof address);
    assert_int_equal(endpoint->sockaddr_len, sizeof address);
    assert_int_equal(endpoint->n_locals, 3);
    assert_int_equal(references_of(endpoint), 1);
    assert_int_equal(endpoint_in_flight(endpoint), 0);
    assert_true(endpoint_is_usable(endpoint));
    assert_true(next->serial > endpoint->serial && endpoint->serial > 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal((uintptr_t)&endpoint->locals[i] % 64, 0);
        assert_true(LIST_EMPTY(&endpoint->locals[i].idle));
        assert_true(LIST_EMPTY(&endpoint->locals[i].active));
        assert_int_equal(counter_get(&endpoint->locals[i].stats.attempts), 0);
    }
    endpoint_unref(endpoint);
    endpoint_unref(next);
    endpoint_unref(NULL);
}

static void test_the_two_views_of_an_endpoint_combine_by_the_written_rule(void **state)
{
    (void)state;
    static const struct {
        enum endpoint_source source;
        enum endpoint_probe probe;
        bool is_usable;
        const char *word;
    } rules[] = {
        {ENDPOINT_SOURCE_UP, ENDPOINT_PROBE_NONE, true, "up"},
        {ENDPOINT_SOURCE_UP, ENDPOINT_PROBE_UP, true, "up"},
        {ENDPOINT_SOURCE_UP, ENDPOINT_PROBE_DOWN, false, "probe_down"},
        {ENDPOINT_SOURCE_WARNING, ENDPOINT_PROBE_NONE, true, "warning"},
        {ENDPOINT_SOURCE_WARNING, ENDPOINT_PROBE_UP, true, "warning"},
        {ENDPOINT_SOURCE_WARNING, ENDPOINT_PROBE_DOWN, false, "probe_down"},
        {ENDPOINT_SOURCE_NODE_CRITICAL, ENDPOINT_PROBE_NONE, false, "node_critical"},
        {ENDPOINT_SOURCE_NODE_CRITICAL, ENDPOINT_PROBE_UP, true, "node_critical_probe_up"},
        {ENDPOINT_SOURCE_NODE_CRITICAL, ENDPOINT_PROBE_DOWN, false, "node_critical"},
        {ENDPOINT_SOURCE_CRITICAL, ENDPOINT_PROBE_NONE, false, "critical"},
        {ENDPOINT_SOURCE_CRITICAL, ENDPOINT_PROBE_UP, false, "critical"},
        {ENDPOINT_SOURCE_CRITICAL, ENDPOINT_PROBE_DOWN, false, "critical"},
        {ENDPOINT_SOURCE_MAINTENANCE, ENDPOINT_PROBE_NONE, false, "maintenance"},
        {ENDPOINT_SOURCE_MAINTENANCE, ENDPOINT_PROBE_UP, false, "maintenance"},
        {ENDPOINT_SOURCE_MAINTENANCE, ENDPOINT_PROBE_DOWN, false, "maintenance"},
        {ENDPOINT_SOURCE_DRAINING, ENDPOINT_PROBE_NONE, true, "draining"},
        {ENDPOINT_SOURCE_DRAINING, ENDPOINT_PROBE_UP, true, "draining"},
        {ENDPOINT_SOURCE_DRAINING, ENDPOINT_PROBE_DOWN, false, "probe_down"},
        {ENDPOINT_SOURCE_REMOVED, ENDPOINT_PROBE_NONE, false, "removed"},
        {ENDPOINT_SOURCE_REMOVED, ENDPOINT_PROBE_UP, false, "removed"},
        {ENDPOINT_SOURCE_REMOVED, ENDPOINT_PROBE_DOWN, false, "removed"},
    };
    struct endpoint *endpoint = bench_endpoint(0);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        atomic_store(&endpoint->source, (uint8_t)rules[i].source);
        atomic_store(&endpoint->probe, (uint8_t)rules[i].probe);
        assert_int_equal(endpoint_is_usable(endpoint), rules[i].is_usable);
        assert_int_equal(endpoint_state_is_usable(rules[i].source, rules[i].probe),
                         rules[i].is_usable);
        assert_string_equal(endpoint_state_word(endpoint), rules[i].word);
    }
    endpoint_unref(endpoint);
}

static void test_a_snapshot_holds_its_endpoints_as_long_as_it_lives(void **state)
{
    (void)state;
    struct conf_pool conf = bench_conf(CONF_ALGORITHM_HASH);
    struct member members[] = {{bench_endpoint(1), 1}, {bench_endpoint(0), 2}};
    struct snapshot *snapshot;
    assert_int_equal(snapshot_build(&conf, members, 2, NULL, &snapshot), 0);
    assert_int_equal(references_of(members[0].endpoint), 2);
    snapshot_ref(snapshot);
    snapshot_unref(snapshot);
    assert_int_equal(references_of(members[0].endpoint), 2);
    snapshot_unref(snapshot);
    snapshot_unref(NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(references_of(members[i].endpoint), 1);
        endpoint_unref(members[i].endpoint);
    }
}

static void test_members_are_sorted_and_numbered_as_the_rings_nodes(void **state)
{
    (void)state;
    enum { N = 50 };
    struct conf_pool conf = bench_conf(CONF_ALGORITHM_HASH);
    struct member members[N];
    struct snapshot *snapshot;
    for (uint32_t i = 0; i < N; i++)
        members[i] = (struct member){bench_endpoint((i * 37 + 11) % N), 1 + i};
    assert_int_equal(snapshot_build(&conf, members, N, NULL, &snapshot), 0);
    assert_int_equal(snapshot->number, 1);
    assert_int_equal(snapshot->n, N);
    assert_ptr_equal(snapshot->conf, &conf);
    for (uint32_t i = 0; i < N; i++) {
        double share = snapshot->members[i].weight / (N * (N + 1) / 2.0);
        if (i > 0)
            assert_true(strcmp(snapshot->members[i - 1].endpoint->id,
                               snapshot->members[i].endpoint->id) < 0);
        assert_true(ring_share(snapshot->ring, i) < share * 1.6 + 0.003);
        assert_true(ring_share(snapshot->ring, i) > share * 0.6 - 0.003);
    }
    snapshot_unref(snapshot);
    for (uint32_t i = 0; i < N; i++)
        endpoint_unref(members[i].endpoint);
}

static void assert_digest_equal(const struct snapshot *a, const struct snapshot *b)
{
    uint8_t digest_a[16];
    uint8_t digest_b[16];
    ring_digest(a->ring, digest_a);
    ring_digest(b->ring, digest_b);
    assert_memory_equal(digest_a, digest_b, sizeof digest_a);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(ring_pick(a->ring, mix64(i)), ring_pick(b->ring, mix64(i)));
}

/* The snapshot after first is the same as one from nothing. */
static void check_successor(const struct conf_pool *conf, const struct member *members, size_t n,
                            const struct snapshot *first)
{
    struct snapshot *next;
    struct snapshot *fresh;
    assert_int_equal(snapshot_build(conf, members, n, first, &next), 0);
    assert_int_equal(snapshot_build(conf, members, n, NULL, &fresh), 0);
    assert_digest_equal(next, fresh);
    assert_int_equal(next->number, first->number + 1);
    snapshot_unref(next);
    snapshot_unref(fresh);
}

static void test_a_snapshot_after_another_is_as_if_it_were_the_first(void **state)
{
    (void)state;
    static const enum conf_algorithm algorithms[] = {CONF_ALGORITHM_HASH, CONF_ALGORITHM_RING};
    for (size_t a = 0; a < 2; a++) {
        struct conf_pool conf = bench_conf(algorithms[a]);
        struct conf_pool reseeded = conf;
        struct conf_pool resized = conf;
        struct conf_pool denser = conf;
        struct conf_pool other = conf;
        struct member members[20];
        struct snapshot *first;
        reseeded.seed = 5;
        resized.slots *= 2;
        denser.points *= 2;
        other.algorithm = algorithms[1 - a];
        for (uint32_t i = 0; i < 20; i++)
            members[i] = (struct member){bench_endpoint(i), 1};
        assert_int_equal(snapshot_build(&conf, members, 20, NULL, &first), 0);
        check_successor(&conf, members + 2, 18, first);
        check_successor(&reseeded, members, 20, first);
        check_successor(&resized, members, 20, first);
        check_successor(&denser, members, 20, first);
        check_successor(&other, members, 20, first);
        snapshot_unref(first);
        for (uint32_t i = 0; i < 20; i++)
            endpoint_unref(members[i].endpoint);
    }
}

/* Each option of the other programs' algorithms makes another ring, of which an old one is no part.
 */
static void test_a_snapshot_follows_the_options_of_its_algorithm(void **state)
{
    (void)state;
    struct conf_pool confs[] = {
        bench_conf(CONF_ALGORITHM_HAPROXY),      bench_conf(CONF_ALGORITHM_HAPROXY),
        bench_conf(CONF_ALGORITHM_HAPROXY),      bench_conf(CONF_ALGORITHM_ENVOY_MAGLEV),
        bench_conf(CONF_ALGORITHM_ENVOY_MAGLEV), bench_conf(CONF_ALGORITHM_ENVOY_RING),
        bench_conf(CONF_ALGORITHM_ENVOY_RING),   bench_conf(CONF_ALGORITHM_NGINX),
        bench_conf(CONF_ALGORITHM_JUMP),
    };
    confs[1].compat.haproxy_hash = CONF_HAPROXY_WT6;
    confs[2].compat.haproxy_avalanche = true;
    confs[4].compat.table_size = 5003;
    confs[6].compat.min_ring = 65536;
    struct member members[20];
    struct snapshot *first;
    for (uint32_t i = 0; i < 20; i++)
        members[i] = (struct member){bench_endpoint(i), 1};
    assert_int_equal(snapshot_build(&confs[0], members, 20, NULL, &first), 0);
    for (size_t i = 0; i < sizeof confs / sizeof confs[0]; i++)
        check_successor(&confs[i], members, 20, first);
    snapshot_unref(first);
    for (uint32_t i = 0; i < 20; i++)
        endpoint_unref(members[i].endpoint);
}

static void test_only_hashing_algorithms_have_a_ring(void **state)
{
    (void)state;
    for (int a = CONF_ALGORITHM_HASH; a <= CONF_ALGORITHM_JUMP; a++) {
        struct conf_pool conf = bench_conf((enum conf_algorithm)a);
        struct member member = {bench_endpoint(0), 1};
        struct snapshot *snapshot;
        assert_int_equal(snapshot_build(&conf, &member, 1, NULL, &snapshot), 0);
        assert_int_equal(snapshot->ring != NULL, policy_for((enum conf_algorithm)a)->uses_ring);
        snapshot_unref(snapshot);
        endpoint_unref(member.endpoint);
    }
}

static void test_a_refused_snapshot_gives_its_references_back(void **state)
{
    (void)state;
    struct conf_pool conf = bench_conf(CONF_ALGORITHM_ROUND_ROBIN);
    struct member members[] = {{bench_endpoint(4), 1}, {bench_endpoint(4), 1}};
    struct snapshot *snapshot = NULL;
    assert_int_equal(snapshot_build(&conf, members, 2, NULL, &snapshot), -EINVAL);
    conf.algorithm = CONF_ALGORITHM_RING;
    conf.points = 65536;
    members[0].weight = 1000;
    assert_int_equal(snapshot_build(&conf, members, 1, NULL, &snapshot), -E2BIG);
    assert_null(snapshot);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(references_of(members[i].endpoint), 1);
        endpoint_unref(members[i].endpoint);
    }
}

static void test_a_pool_begins_with_an_empty_snapshot(void **state)
{
    (void)state;
    struct conf_pool conf = bench_conf(CONF_ALGORITHM_HASH);
    struct pool pool;
    assert_int_equal(pool_init(&pool, &conf, 2), 0);
    struct snapshot *snapshot = pool_acquire(&pool);
    assert_int_equal(snapshot->number, 0);
    assert_int_equal(snapshot->n, 0);
    assert_null(snapshot->ring);
    assert_int_equal((uintptr_t)&pool.locals[1] % 64, 0);
    assert_int_equal(counter_get(&pool.locals[1].stats.retries), 0);
    snapshot_unref(snapshot);
    pool_fini(&pool);
}

static void test_publishing_replaces_the_snapshot_and_raises_the_generation(void **state)
{
    (void)state;
    struct conf_pool conf = bench_conf(CONF_ALGORITHM_HASH);
    struct member member = {bench_endpoint(0), 1};
    struct pool pool;
    assert_int_equal(pool_init(&pool, &conf, 1), 0);
    uint64_t generation = atomic_load(&pool.generation);
    struct snapshot *old = pool_acquire(&pool);
    struct snapshot *next;
    assert_int_equal(snapshot_build(&conf, &member, 1, old, &next), 0);
    pool_publish(&pool, next);
    assert_int_not_equal(atomic_load(&pool.generation), generation);
    assert_int_equal(old->n, 0); /* its holder still has it */
    struct snapshot *now = pool_acquire(&pool);
    assert_ptr_equal(now, next);
    snapshot_unref(old);
    snapshot_unref(now);
    pool_fini(&pool);
    assert_int_equal(references_of(member.endpoint), 1);
    endpoint_unref(member.endpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_endpoint_is_up_and_idle),
        cmocka_unit_test(test_the_two_views_of_an_endpoint_combine_by_the_written_rule),
        cmocka_unit_test(test_a_snapshot_holds_its_endpoints_as_long_as_it_lives),
        cmocka_unit_test(test_members_are_sorted_and_numbered_as_the_rings_nodes),
        cmocka_unit_test(test_a_snapshot_after_another_is_as_if_it_were_the_first),
        cmocka_unit_test(test_a_snapshot_follows_the_options_of_its_algorithm),
        cmocka_unit_test(test_only_hashing_algorithms_have_a_ring),
        cmocka_unit_test(test_a_refused_snapshot_gives_its_references_back),
        cmocka_unit_test(test_a_pool_begins_with_an_empty_snapshot),
        cmocka_unit_test(test_publishing_replaces_the_snapshot_and_raises_the_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
