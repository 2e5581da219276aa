/* Explanations of requests: each way and each verdict, and what a question may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "balancer/explain/explain.h"
#include "policy_support.h"

/* A balancer with one pool, a bench's, that takes all requests. */
struct world {
    struct bench bench;
    struct conf conf;
    struct conf_route route;
    struct pool pool;
    struct explain_source source;
    struct route_table *routes;
};

static struct world world;

static void publish(void)
{
    pool_publish(&world.pool, snapshot_ref(world.bench.snapshot));
}

static void world_init(enum conf_algorithm algorithm, uint32_t n, const double *weights)
{
    memset(&world, 0, sizeof world);
    bench_init(&world.bench, algorithm, n, weights);
    struct conf_pool *pool = &world.bench.conf;
    pool->key.source = CONF_KEY_PATH;
    pool->affinity = CONF_AFFINITY_CACHE;
    pool->hot_key_share = 0.05;
    world.route = (struct conf_route){.path = (char *)"/"};
    world.conf = (struct conf){
        .pools = pool,
        .n_pools = 1,
        .routes = &world.route,
        .n_routes = 1,
        .client = {.max_head_bytes = 4096, .max_target_bytes = 2048, .max_fields = 20}};
    assert_int_equal(pool_init(&world.pool, pool, BENCH_WORKERS), 0);
    publish();
    world.routes = route_table_new(world.conf.routes, world.conf.n_routes);
    world.source =
        (struct explain_source){.conf = &world.conf, .routes = world.routes, .pools = &world.pool};
}

static void world_fini(void)
{
    route_table_free(world.routes);
    pool_fini(&world.pool);
    bench_fini(&world.bench);
}

static json_t *ask(const struct explain_question *question, enum explain_outcome expected)
{
    json_t *answer = NULL;
    assert_int_equal(explain(&world.source, question, &answer), expected);
    assert_non_null(answer);
    char *text = json_dumps(answer, 0); /* it can be written: all of it is valid */
    assert_non_null(text);
    free(text);
    return answer;
}

static json_t *ask_for(const char *target)
{
    char head[256];
    int n = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: a.example\r\n\r\n", target);
    const struct explain_question question = {.request = {(const uint8_t *)head, (size_t)n}};
    return ask(&question, EXPLAIN_DONE);
}

static const char *text_of(const json_t *answer, const char *name)
{
    return json_string_value(json_object_get(answer, name));
}

static const json_t *candidate(const json_t *answer, size_t i)
{
    const json_t *found = json_array_get(json_object_get(answer, "candidates"), i);
    assert_non_null(found);
    return found;
}

/* The bench's number of an endpoint named in JSON: "e0007". */
static uint32_t number_of(const json_t *endpoint)
{
    return (uint32_t)strtoul(text_of(endpoint, "id") + 1, NULL, 10);
}

static uint32_t chosen_of(const json_t *answer)
{
    return number_of(json_object_get(answer, "choice"));
}

static void assert_way(const json_t *answer, const char *way, const char *why)
{
    assert_string_equal(text_of(answer, "way"), way);
    assert_non_null(strstr(text_of(answer, "why"), why));
}

static void assert_verdict(const json_t *answer, size_t i, const char *verdict)
{
    assert_string_equal(text_of(candidate(answer, i), "verdict"), verdict);
}

static void test_a_key_is_at_home(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_HASH, 5, NULL);
    json_t *answer = ask_for("/a?b=c");
    uint64_t hash = ring_hash(0, "/a", 2);
    char digits[17];
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)hash);
    assert_way(answer, "home", "the first in the key's order");
    assert_string_equal(text_of(answer, "hash"), digits);
    assert_int_equal(json_integer_value(json_object_get(answer, "slot")), hash >> 50);
    assert_int_equal(json_integer_value(json_object_get(answer, "slots")), 1 << 14);
    assert_int_equal(chosen_of(answer), ring_pick(world.bench.snapshot->ring, hash));
    assert_string_equal(text_of(json_object_get(answer, "key"), "source"), "path");
    assert_int_equal(json_array_size(json_object_get(answer, "candidates")), 1);
    assert_verdict(answer, 0, "chosen");
    json_decref(answer);
    world_fini();
}

static void test_an_unusable_endpoint_is_passed_by(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_HASH, 5, NULL);
    json_t *before = ask_for("/a");
    bench_take_down(&world.bench, chosen_of(before));
    json_t *after = ask_for("/a");
    assert_way(after, "next", "is probe_down");
    assert_int_equal(number_of(candidate(after, 0)), chosen_of(before));
    assert_verdict(after, 0, "unusable");
    assert_string_equal(text_of(candidate(after, 0), "state"), "probe_down");
    assert_verdict(after, 1, "chosen");
    assert_int_equal(number_of(candidate(after, 1)), chosen_of(after));
    json_decref(before);
    json_decref(after);
    world_fini();
}

static void test_an_endpoint_over_its_bound_overflows(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_HASH, 5, NULL);
    world.bench.conf.balance_factor = 1.25;
    json_t *before = ask_for("/a");
    bench_set_in_flight(&world.bench, chosen_of(before), 30);
    atomic_store(&world.pool.locals[0].in_flight, 39); /* fair: 8; bound: 10 */
    json_t *after = ask_for("/a");
    assert_way(after, "overflow", "over its bound (30 requests in flight, limit 10)");
    assert_verdict(after, 0, "over_bound");
    assert_int_equal(json_integer_value(json_object_get(candidate(after, 0), "in_flight")), 30);
    assert_true(json_number_value(json_object_get(candidate(after, 0), "limit")) == 10);
    assert_int_not_equal(chosen_of(after), chosen_of(before));
    json_decref(before);
    json_decref(after);
    world_fini();
}

static void test_a_full_endpoint_is_passed_by_while_another_has_room(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_HASH, 2, NULL);
    world.bench.conf.max_connections = 1;
    json_t *before = ask_for("/a");
    uint32_t home = chosen_of(before);
    assert_true(json_is_false(json_object_get(before, "waits")));
    assert_true(endpoint_take_room(world.bench.members[home].endpoint, 1));
    json_t *after = ask_for("/a");
    assert_way(after, "next", "has as many connections in use as it may");
    assert_verdict(after, 0, "full");
    assert_int_equal(chosen_of(after), 1 - home);
    assert_true(endpoint_take_room(world.bench.members[1 - home].endpoint, 1));
    json_t *last = ask_for("/a");
    assert_way(last, "home", "first");
    assert_int_equal(chosen_of(last), home);
    assert_true(json_is_true(json_object_get(last, "waits")));
    for (uint32_t i = 0; i < 2; i++)
        endpoint_give_room(world.bench.members[i].endpoint);
    json_decref(before);
    json_decref(after);
    json_decref(last);
    world_fini();
}

/* The key of /hot brings nearly all requests. */
static void make_hot(void)
{
    const struct span key = SPAN("/hot");
    for (int i = 0; i < 9000; i++)
        (void)heat_count(world.pool.locals[1].heat, ring_hash(0, key.p, key.n), key, 1);
}

static void test_a_hot_key_goes_to_the_least_busy(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_HASH, 5, NULL);
    make_hot();
    json_t *before = ask_for("/hot");
    bench_set_in_flight(&world.bench, chosen_of(before), 50);
    json_t *after = ask_for("/hot");
    assert_way(after, "hot", "the key is hot, with 100.0 %");
    assert_true(json_integer_value(json_object_get(after, "alternatives")) > 1);
    assert_true(json_real_value(json_object_get(after, "key_share")) > 0.99);
    assert_verdict(after, 0, "busier");
    assert_int_equal(number_of(candidate(after, 0)), chosen_of(before));
    assert_int_not_equal(chosen_of(after), chosen_of(before));
    json_decref(before);
    json_decref(after);
    world_fini();
}

static void test_nobody_is_left(void **state)
{
    (void)state;
    static const double weights[] = {1, 1, 0};
    world_init(CONF_ALGORITHM_HASH, 3, weights);
    bench_take_down(&world.bench, 0);
    bench_take_down(&world.bench, 1);
    json_t *answer = ask_for("/a");
    assert_way(answer, "nobody", "quoit answers 503 (no_endpoint)");
    assert_true(json_is_null(json_object_get(answer, "choice")));
    assert_int_equal(json_array_size(json_object_get(answer, "candidates")), 3);
    for (size_t i = 0; i < 3; i++)
        assert_verdict(answer, i, number_of(candidate(answer, i)) == 2 ? "weightless" : "unusable");
    json_decref(answer);
    world_fini();
}

static void test_a_walk_that_meets_nobody_is_followed_by_a_scan(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_HASH, 500, NULL);
    for (uint32_t i = 0; i < 500; i++)
        if (i != 123)
            bench_take_down(&world.bench, i);
    json_t *answer = NULL;
    for (int i = 0; i < 50; i++) { /* some keys' walks come to it */
        char target[16];
        snprintf(target, sizeof target, "/%d", i);
        json_decref(answer);
        answer = ask_for(target);
        assert_int_equal(chosen_of(answer), 123);
        if (strcmp(text_of(answer, "way"), "scan") == 0)
            break;
    }
    assert_way(answer, "scan", "the key's walk met nobody");
    json_decref(answer);
    world_fini();
}

static void test_turns_are_not_told(void **state)
{
    (void)state;
    static const double weights[] = {1, 0, 2, 1};
    world_init(CONF_ALGORITHM_ROUND_ROBIN, 4, weights);
    bench_take_down(&world.bench, 3);
    json_t *answer = ask_for("/a");
    static const char *const verdicts[] = {"eligible", "weightless", "eligible", "unusable"};
    assert_way(answer, "turn", "endpoints take turns");
    assert_true(json_is_null(json_object_get(answer, "choice")));
    assert_true(json_is_null(json_object_get(answer, "key")));
    for (size_t i = 0; i < 4; i++)
        assert_verdict(answer, i, verdicts[number_of(candidate(answer, i))]);
    json_decref(answer);
    world_fini();
}

static void test_the_fewest_requests_are_told(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_LEAST_REQUESTS, 3, NULL);
    bench_set_in_flight(&world.bench, 0, 3);
    bench_set_in_flight(&world.bench, 2, 2);
    json_t *answer = ask_for("/a");
    assert_way(answer, "turn", "the fewest requests in flight");
    assert_int_equal(chosen_of(answer), 1);
    assert_verdict(answer, 1, "chosen");
    assert_verdict(answer, 2, "eligible");
    json_decref(answer);
    world_fini();
}

/* Whoever asks leaves no trace: heat, loads and the workers' schedules stay. */
static void test_asking_changes_nothing(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_HASH, 4, NULL);
    make_hot();
    double share = pool_key_share(&world.pool, ring_hash(0, "/hot", 4));
    uint64_t generation = atomic_load(&world.pool.generation);
    for (int i = 0; i < 100; i++)
        json_decref(ask_for(i % 2 == 0 ? "/hot" : "/cold"));
    double after = pool_key_share(&world.pool, ring_hash(0, "/hot", 4));
    assert_memory_equal(&after, &share, sizeof share);
    assert_int_equal(pool_in_flight(&world.pool), 0);
    assert_int_equal(atomic_load(&world.pool.generation), generation);
    assert_int_equal(atomic_load(&world.bench.snapshot->references), 2);
    world_fini();
}

static void expect_refusal(const struct explain_question *question, enum explain_outcome outcome,
                           const char *error)
{
    json_t *answer = ask(question, outcome);
    assert_int_equal(json_object_size(answer), 1);
    assert_string_equal(text_of(answer, "error"), error);
    json_decref(answer);
}

static void test_questions_without_sense_are_refused(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_HASH, 2, NULL);
    expect_refusal(&(struct explain_question){.request = SPAN("GET / HTTP/1.1\r\n")},
                   EXPLAIN_MISTAKEN, "the request's head does not end");
    expect_refusal(&(struct explain_question){.request = SPAN("GET / HTTP/1.1\r\n\r\n")},
                   EXPLAIN_MISTAKEN,
                   "the request is no valid HTTP/1.1: quoit answers 400 (bad_request)");
    expect_refusal(&(struct explain_question){.key = SPAN("a"), .client = SPAN("1.2.3\n")},
                   EXPLAIN_MISTAKEN, "the client 1.2.3\\x0a is no IP address");
    expect_refusal(&(struct explain_question){.pool = SPAN("ben\xff")}, EXPLAIN_UNKNOWN,
                   "there is no pool ben\\xff");
    world.conf.n_pools = 2; /* a key alone says nothing then */
    expect_refusal(&(struct explain_question){.key = SPAN("a")}, EXPLAIN_MISTAKEN,
                   "a key alone does not say which pool; name one, or give a request");
    world.conf.n_pools = 1;
    world_fini();
}

static void test_a_request_without_a_route_is_told(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_HASH, 2, NULL);
    route_table_free(world.routes);
    world.route.path = (char *)"/img";
    world.source.routes = world.routes = route_table_new(world.conf.routes, 1);
    json_t *answer = ask_for("/image");
    assert_true(json_is_null(json_object_get(answer, "pool")));
    assert_non_null(strstr(text_of(answer, "why"), "404 (no_route)"));
    json_decref(answer);
    answer = ask_for("/x/../%69mg/a"); /* routes see the normal form */
    assert_string_equal(text_of(json_object_get(answer, "route"), "path"), "/img");
    json_decref(answer);
    world_fini();
}

static void test_a_fallback_key_says_that_it_is_one(void **state)
{
    (void)state;
    world_init(CONF_ALGORITHM_RING, 3, NULL);
    world.bench.conf.key = (struct conf_key){.source = CONF_KEY_HEADER, .name = (char *)"x-user"};
    world.bench.conf.key_fallback.source = CONF_KEY_CLIENT;
    const struct explain_question question = {.request = SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                                              .client = SPAN("::FFFF:10.0.0.1")};
    json_t *answer = ask(&question, EXPLAIN_DONE);
    const json_t *key = json_object_get(answer, "key");
    assert_string_equal(text_of(key, "text"), "10.0.0.1");
    assert_string_equal(text_of(key, "from"), "hash_key_fallback");
    assert_string_equal(text_of(key, "source"), "client");
    json_decref(answer);
    /* Without the client's address there is no key at all. */
    answer = ask(&(struct explain_question){.request = question.request}, EXPLAIN_DONE);
    assert_way(answer, "turn", "has no key");
    json_decref(answer);
    world_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_at_home),
        cmocka_unit_test(test_an_unusable_endpoint_is_passed_by),
        cmocka_unit_test(test_an_endpoint_over_its_bound_overflows),
        cmocka_unit_test(test_a_full_endpoint_is_passed_by_while_another_has_room),
        cmocka_unit_test(test_a_hot_key_goes_to_the_least_busy),
        cmocka_unit_test(test_nobody_is_left),
        cmocka_unit_test(test_a_walk_that_meets_nobody_is_followed_by_a_scan),
        cmocka_unit_test(test_turns_are_not_told),
        cmocka_unit_test(test_the_fewest_requests_are_told),
        cmocka_unit_test(test_asking_changes_nothing),
        cmocka_unit_test(test_questions_without_sense_are_refused),
        cmocka_unit_test(test_a_request_without_a_route_is_told),
        cmocka_unit_test(test_a_fallback_key_says_that_it_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
