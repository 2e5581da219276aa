/* Plans: what a change of endpoints moves, counted key by key beside them; and the way through JSON
 * that they come by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "balancer/explain/describe.h"
#include "balancer/explain/recall.h"
#include "policy_support.h"

enum { MAX = 12 };

static struct plan_endpoint endpoints[MAX];
static char ids[MAX][32];

static struct ring_options options_of(enum ring_kind kind)
{
    return (struct ring_options){.kind = kind,
                                 .slots = 1u << 14,
                                 .points = 160,
                                 .table_size = 65537,
                                 .min_ring = 1024,
                                 .haproxy_avalanche = true};
}

/* n equal endpoints, the same before and after. */
static void begin(uint32_t n)
{
    memset(endpoints, 0, sizeof endpoints);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "10.0.0.%u:80", (unsigned)i);
        const struct plan_side side = {.is_there = true, .weight = 1, .position = i};
        endpoints[i] = (struct plan_endpoint){.id = ids[i], .before = side, .after = side};
    }
}

static struct plan make(enum ring_kind kind, uint32_t n)
{
    struct plan plan;
    const struct ring_options options = options_of(kind);
    assert_int_equal(plan_make(&options, endpoints, n, NULL, 0, &plan), 0);
    return plan;
}

static void assert_near(double a, double b, double slack)
{
    if (fabs(a - b) > slack)
        print_error("%.9f is not %.9f\n", a, b);
    assert_true(fabs(a - b) <= slack);
}

static void assert_sums_to_one(uint32_t n)
{
    double sums[4] = {0};
    for (uint32_t i = 0; i < n; i++) {
        sums[0] += endpoints[i].before.share;
        sums[1] += endpoints[i].after.share;
        sums[2] += endpoints[i].before.load;
        sums[3] += endpoints[i].after.load;
    }
    for (size_t i = 0; i < 4; i++)
        assert_near(sums[i], 1, 1e-9);
}

static void test_nothing_moves_without_a_change(void **state)
{
    (void)state;
    for (enum ring_kind kind = RING_SLOTS; kind <= RING_JUMP; kind++) {
        begin(6);
        struct plan plan = make(kind, 6);
        assert_true(plan.moved == 0 && plan.necessary == 0 && plan.moved_traffic == 0);
        assert_int_equal(plan.is_exact, kind == RING_SLOTS);
        assert_int_equal(plan.n_tried, kind == RING_SLOTS ? 1u << 14 : PLAN_SAMPLES);
        assert_sums_to_one(6);
    }
}

/* Our own kinds give up just what the newcomer takes; the samples see its exact share. */
static void test_a_newcomer_takes_its_share(void **state)
{
    (void)state;
    for (enum ring_kind kind = RING_SLOTS; kind <= RING_JUMP; kind++) {
        begin(7);
        endpoints[6].before.is_there = false;
        struct plan plan = make(kind, 7);
        assert_near(plan.necessary, endpoints[6].after.share, kind == RING_SLOTS ? 1e-12 : 0.03);
        assert_true(plan.moved >= plan.necessary);
        if (kind == RING_SLOTS || kind == RING_VNODES)
            assert_true(plan.moved == plan.necessary);
        assert_sums_to_one(7);
    }
}

static void test_removing_the_only_endpoint_moves_all(void **state)
{
    (void)state;
    begin(1);
    endpoints[0].after.is_there = false;
    struct plan plan = make(RING_SLOTS, 1);
    assert_true(plan.moved == 1 && plan.necessary == 1 && plan.moved_traffic == 1);
    assert_true(endpoints[0].after.share == 0);
}

static void test_a_hot_key_is_traffic_where_it_is(void **state)
{
    (void)state;
    const struct ring_options options = options_of(RING_SLOTS);
    const struct plan_hot_key key = {
        .hash = ring_hash(0, "/hot", 4), .share = 0.5, .alternatives = 1};
    struct plan plan;
    begin(4);
    assert_int_equal(plan_make(&options, endpoints, 4, &key, 1, &plan), 0);
    uint32_t home = 0;
    for (uint32_t i = 1; i < 4; i++)
        home = endpoints[i].before.load > endpoints[home].before.load ? i : home;
    assert_near(endpoints[home].before.load, 0.5 + 0.5 * endpoints[home].before.share, 1e-12);
    assert_sums_to_one(4);

    endpoints[home].after.is_there = false;
    assert_int_equal(plan_make(&options, endpoints, 4, &key, 1, &plan), 0);
    assert_near(plan.moved_traffic, 0.5 + 0.5 * plan.moved, 1e-12);
    assert_sums_to_one(4);
}

/* Divided by weight among the first of its walk; when one of them leaves, its part moves. */
static void test_a_spread_hot_key_is_divided(void **state)
{
    (void)state;
    const struct ring_options options = options_of(RING_SLOTS);
    const struct plan_hot_key key = {
        .hash = ring_hash(0, "/hot", 4), .share = 1, .alternatives = 3};
    struct plan plan;
    begin(6);
    assert_int_equal(plan_make(&options, endpoints, 6, &key, 1, &plan), 0);
    uint32_t n_loaded = 0, one = 0;
    for (uint32_t i = 0; i < 6; i++) {
        if (endpoints[i].before.load > 0) {
            assert_near(endpoints[i].before.load, 1.0 / 3, 1e-12);
            n_loaded++;
            one = i;
        }
    }
    assert_int_equal(n_loaded, 3);
    endpoints[one].after.is_there = false;
    assert_int_equal(plan_make(&options, endpoints, 6, &key, 1, &plan), 0);
    assert_near(plan.moved_traffic, 1.0 / 3, 1e-12);
}

static void test_what_makes_no_ring_is_an_error(void **state)
{
    (void)state;
    struct plan plan;
    struct ring_options options = options_of(RING_SLOTS);
    begin(2);
    options.slots = 3;
    assert_int_equal(plan_make(&options, endpoints, 2, NULL, 0, &plan), -EINVAL);
    options = options_of(RING_SLOTS);
    endpoints[1].id = endpoints[0].id;
    assert_int_equal(plan_make(&options, endpoints, 2, NULL, 0, &plan), -EINVAL);
    options = options_of(RING_VNODES);
    begin(2);
    endpoints[0].after.weight = 65536;
    options.points = 65536;
    assert_int_equal(plan_make(&options, endpoints, 2, NULL, 0, &plan), -E2BIG);
}

/* ---- through JSON ---- */

static void fill_pool(struct pool *pool, struct bench *bench)
{
    bench->conf.seed = UINT64_C(0xfedcba9876543210);
    bench->conf.compat.haproxy_hash = CONF_HAPROXY_WT6;
    assert_int_equal(pool_init(pool, &bench->conf, BENCH_WORKERS), 0);
    /* Anew, so that the ring has this seed. */
    struct snapshot *snapshot;
    assert_int_equal(snapshot_build(&bench->conf, bench->members, bench->n, NULL, &snapshot), 0);
    pool_publish(pool, snapshot);
}

static void test_a_ring_is_the_same_after_a_way_through_json(void **state)
{
    (void)state;
    static const double weights[] = {1, 0.1, 1.0 / 3, 0, 65536, 7};
    static struct bench bench;
    for (int i = CONF_ALGORITHM_HASH; i <= CONF_ALGORITHM_JUMP; i++) {
        struct pool pool;
        struct ring_options options;
        bench_init(&bench, (enum conf_algorithm)i, 6, weights);
        bench.members[4].weight = 3; /* 65536 asks for too many points of some kinds */
        fill_pool(&pool, &bench);
        json_t *described = describe_pool(&pool);
        char *text = json_dumps(described, 0);
        json_t *json = json_loads(text, 0, NULL);
        int rc = recall_options(json, &options);
        if (!pool.has_ring) {
            assert_int_equal(rc, -ENOENT);
        } else {
            char digest[RECALL_DIGEST_SIZE];
            assert_int_equal(rc, 0);
            memset(endpoints, 0, sizeof endpoints);
            assert_int_equal(recall_endpoints(json, endpoints), 0);
            assert_int_equal(recall_digest(&options, endpoints, 6, digest), 0);
            assert_string_equal(digest, json_string_value(json_object_get(
                                            json_object_get(json, "ring"), "digest")));
        }
        free(text);
        json_decref(json);
        json_decref(described);
        pool_fini(&pool);
        bench_fini(&bench);
    }
}

static void test_other_json_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{\"algorithm\": \"hash\"}",
        "{\"algorithm\": \"none\", \"ring\": null}",
        "{\"algorithm\": \"hash\", \"ring\": {\"version\": 99}}",
        "{\"algorithm\": \"hash\", \"ring\": {\"version\": 1, \"seed\": \"12\"}}",
        "{\"algorithm\": \"hash\", \"ring\": {\"version\": 1, \"seed\": \"000000000000000g\"}}",
        "{\"algorithm\": \"hash\", \"ring\": {\"version\": 1, \"seed\": \"0000000000000000\"}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ring_options options;
        json_t *json = json_loads(texts[i], 0, NULL);
        assert_non_null(json);
        assert_int_equal(recall_options(json, &options), -EPROTO);
        json_decref(json);
    }
    json_t *json = json_loads("{\"endpoints\": [{\"id\": 5, \"weight\": 1}]}", 0, NULL);
    assert_int_equal(recall_endpoints(json, endpoints), -EPROTO);
    json_decref(json);
    struct plan_hot_key key;
    json = json_loads("{\"keys\": [{\"hash\": \"5\", \"share\": 1}]}", 0, NULL);
    assert_int_equal(recall_hot_keys(json, &key), -EPROTO);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_moves_without_a_change),
        cmocka_unit_test(test_a_newcomer_takes_its_share),
        cmocka_unit_test(test_removing_the_only_endpoint_moves_all),
        cmocka_unit_test(test_a_hot_key_is_traffic_where_it_is),
        cmocka_unit_test(test_a_spread_hot_key_is_divided),
        cmocka_unit_test(test_what_makes_no_ring_is_an_error),
        cmocka_unit_test(test_a_ring_is_the_same_after_a_way_through_json),
        cmocka_unit_test(test_other_json_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
