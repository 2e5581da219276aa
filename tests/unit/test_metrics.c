#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ctype.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/admin/metrics.h"

enum { WORKERS = 2, MAX_SAMPLES = 4096 };

/* A page taken apart by the rules of the text format 0.0.4, more strictly than they ask. */
struct sample {
    char name[80], labels[300];
    double value;
};

struct parsed {
    struct sample samples[MAX_SAMPLES];
    size_t n;
};

static struct parsed parsed;

static const char *parse_name(const char *p)
{
    assert_true(isalpha((unsigned char)*p) || *p == '_');
    while (isalnum((unsigned char)*p) || *p == '_')
        p++;
    return p;
}

/* From after '{' to after '}'. */
static const char *parse_labels(const char *p)
{
    for (;;) {
        p = parse_name(p);
        assert_memory_equal(p, "=\"", 2);
        for (p += 2; *p != '"'; p++) {
            assert_true(*p != '\0' && *p != '\n');
            if (*p == '\\') {
                p++;
                assert_true(*p == 'n' || *p == '\\' || *p == '"');
            }
        }
        p++;
        if (*p == '}')
            return p + 1;
        assert_int_equal(*p++, ',');
    }
}

static void copy(char *to, size_t size, const char *from, const char *end)
{
    assert_true((size_t)(end - from) < size);
    memcpy(to, from, (size_t)(end - from));
    to[end - from] = '\0';
}

/* The metric a sample belongs to. */
static bool belongs(const char *sample, const char *metric, const char *type)
{
    size_t n = strlen(metric);
    if (strncmp(sample, metric, n) != 0)
        return false;
    if (strcmp(type, "histogram") != 0)
        return sample[n] == '\0';
    return strcmp(sample + n, "_bucket") == 0 || strcmp(sample + n, "_sum") == 0 ||
           strcmp(sample + n, "_count") == 0;
}

static const char *parse_sample(const char *p, const char *metric, const char *type)
{
    assert_true(parsed.n < MAX_SAMPLES);
    struct sample *sample = &parsed.samples[parsed.n++];
    const char *end = parse_name(p);
    copy(sample->name, sizeof sample->name, p, end);
    if (!belongs(sample->name, metric, type))
        fail_msg("%s stands under %s", sample->name, metric);
    p = end;
    if (*p == '{')
        end = parse_labels(p + 1);
    copy(sample->labels, sizeof sample->labels, p, end);
    assert_int_equal(*end, ' ');
    char *rest;
    sample->value = strtod(end + 1, &rest);
    assert_true(rest > end + 1);
    assert_int_equal(*rest, '\n');
    for (size_t i = 0; i + 1 < parsed.n; i++)
        if (strcmp(parsed.samples[i].name, sample->name) == 0 &&
            strcmp(parsed.samples[i].labels, sample->labels) == 0)
            fail_msg("%s%s stands twice", sample->name, sample->labels);
    return rest + 1;
}

static bool has_prefix(const char *p, const char *prefix)
{
    return strncmp(p, prefix, strlen(prefix)) == 0;
}

static bool has_suffix(const char *p, const char *suffix)
{
    size_t n = strlen(p), k = strlen(suffix);
    return n >= k && strcmp(p + n - k, suffix) == 0;
}

/* Takes prefix, then a word that ends with end; returns what follows it. */
static const char *take_word(const char *p, const char *prefix, char end, char *word, size_t size)
{
    assert_true(has_prefix(p, prefix));
    p += strlen(prefix);
    const char *stop = strpbrk(p, " \n");
    assert_non_null(stop);
    assert_int_equal(*stop, end);
    size_t n = (size_t)(stop - p);
    assert_in_range(n, 1, size - 1);
    memcpy(word, p, n);
    word[n] = '\0';
    return stop + 1;
}

/* HELP, TYPE and all samples of one metric. */
static const char *parse_metric(const char *p)
{
    char metric[80], again[80], type[16];
    p = take_word(p, "# HELP ", ' ', metric, sizeof metric);
    assert_true(*p != '\n');
    p = strchr(p, '\n');
    assert_non_null(p);
    p = take_word(p + 1, "# TYPE ", ' ', again, sizeof again);
    assert_string_equal(again, metric);
    p = take_word(p, "", '\n', type, sizeof type);
    assert_true(has_prefix(metric, "quoit_"));
    assert_true(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 ||
                strcmp(type, "histogram") == 0);
    assert_int_equal(has_suffix(metric, "_total"), strcmp(type, "counter") == 0);
    while (*p != '\0' && *p != '#')
        p = parse_sample(p, metric, type);
    return p;
}

static void parse(const char *text)
{
    parsed.n = 0;
    while (*text != '\0')
        text = parse_metric(text);
}

static double value_of(const char *name, const char *labels)
{
    for (size_t i = 0; i < parsed.n; i++)
        if (strcmp(parsed.samples[i].name, name) == 0 &&
            strcmp(parsed.samples[i].labels, labels) == 0)
            return parsed.samples[i].value;
    fail_msg("no sample %s%s", name, labels);
    return 0;
}

static bool has_sample(const char *name, const char *labels)
{
    for (size_t i = 0; i < parsed.n; i++)
        if (strcmp(parsed.samples[i].name, name) == 0 &&
            strcmp(parsed.samples[i].labels, labels) == 0)
            return true;
    return false;
}

/* Two pools, of which the second follows a service, and two workers. */
struct world {
    struct conf_pool confs[2];
    struct pool pools[2];
    struct worker_stats *workers[WORKERS];
    struct metrics_source source;
};

static struct endpoint *make_endpoint(const char *id, const char *address)
{
    struct sockaddr_in sockaddr = {.sin_family = AF_INET};
    struct endpoint *endpoint =
        endpoint_new(id, address, (struct sockaddr *)&sockaddr, sizeof sockaddr, WORKERS);
    assert_non_null(endpoint);
    return endpoint;
}

/* Publishes a snapshot of these endpoints, whose references it takes. */
static void publish(struct pool *pool, uint64_t number, struct endpoint *const *endpoints,
                    uint32_t n)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot + n * sizeof snapshot->members[0]);
    assert_non_null(snapshot);
    snapshot->conf = pool->conf;
    snapshot->number = number;
    snapshot->n = n;
    atomic_init(&snapshot->references, 1);
    for (uint32_t i = 0; i < n; i++)
        snapshot->members[i] = (struct member){endpoints[i], i == 0 ? 1.5 : 0};
    pool_publish(pool, snapshot);
}

static int make_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world; /* whatever fails below, the teardown frees it */
    world->confs[0].name = (char *)"images";
    world->confs[1].name = (char *)"odd\"\\\nname";
    world->confs[1].service.name = (char *)"api";
    for (size_t i = 0; i < 2; i++)
        if (pool_init(&world->pools[i], &world->confs[i], WORKERS) != 0)
            return -1;
    for (size_t i = 0; i < WORKERS; i++)
        world->workers[i] = calloc(1, sizeof *world->workers[i]);
    world->source = (struct metrics_source){.pools = world->pools,
                                            .n_pools = 2,
                                            .workers = world->workers,
                                            .n_workers = WORKERS,
                                            .start_time_s = 1795205280,
                                            .now_us = 90000000,
                                            .log_lost = 3};
    return 0;
}

static int free_world(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 2; i++)
        pool_fini(&world->pools[i]);
    for (size_t i = 0; i < WORKERS; i++)
        free(world->workers[i]);
    free(world);
    return 0;
}

static void render(struct world *world)
{
    char *text;
    size_t n;
    assert_int_equal(metrics_render(&world->source, &text, &n), 0);
    assert_int_equal(strlen(text), n);
    parse(text);
    free(text);
}

static void test_a_fresh_process_has_a_valid_page(void **state)
{
    struct world *world = *state;
    render(world);
    assert_true(value_of("quoit_build_info", "{version=\"" QUOIT_VERSION "\"}") == 1);
    assert_true(value_of("quoit_start_time_seconds", "") == 1795205280);
    assert_true(value_of("quoit_workers", "") == WORKERS);
    assert_true(value_of("quoit_access_log_lost_lines_total", "") == 3);
    assert_true(value_of("quoit_pool_endpoints", "{pool=\"images\"}") == 0);
}

static void test_counters_are_summed_over_workers(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < WORKERS; i++) {
        counter_add(&world->workers[i]->accepted, 10 + i);
        counter_add(&world->workers[i]->closed, 4);
        counter_add(&world->workers[i]->unrouted[REASON_NO_ROUTE], 2);
        counter_add(&world->pools[0].locals[i].stats.retries, 7);
        counter_add(&world->pools[0].locals[i].stats.reasons[REASON_CONNECT_FAILED], 1 + i);
        counter_add(&world->pools[0].locals[i].stats.statuses[2], 100);
    }
    render(world);
    assert_true(value_of("quoit_client_connections_total", "") == 21);
    assert_true(value_of("quoit_client_connections_open", "") == 13);
    assert_true(value_of("quoit_unrouted_requests_total", "{reason=\"no_route\"}") == 4);
    assert_true(value_of("quoit_pool_retries_total", "{pool=\"images\"}") == 14);
    assert_true(
        value_of("quoit_pool_requests_total", "{pool=\"images\",reason=\"connect_failed\"}") == 3);
    assert_true(value_of("quoit_pool_responses_total", "{pool=\"images\",code=\"2xx\"}") == 200);
    assert_true(value_of("quoit_pool_responses_total", "{pool=\"images\",code=\"none\"}") == 0);
}

static void test_statuses_of_grpc_are_those_of_pools_that_have_had_a_call(void **state)
{
    struct world *world = *state;
    render(world);
    assert_false(has_sample("quoit_pool_grpc_responses_total", "{pool=\"images\",code=\"OK\"}"));
    for (unsigned i = 0; i < WORKERS; i++)
        counter_add(&world->pools[0].locals[i].stats.grpc_codes[GRPC_UNAVAILABLE], 2);
    render(world);
    assert_true(value_of("quoit_pool_grpc_responses_total",
                         "{pool=\"images\",code=\"UNAVAILABLE\"}") == 2 * WORKERS);
    assert_true(value_of("quoit_pool_grpc_responses_total", "{pool=\"images\",code=\"OK\"}") == 0);
}

static void test_orders_of_certificates_are_counted_where_there_may_be_some(void **state)
{
    struct world *world = *state;
    static const struct metrics_acme acme = {
        .orders_ok = 1, .orders_failed = 2, .renewals_ok = 3, .renewals_failed = 4};
    static const char name[] = "quoit_acme_orders_total";
    render(world);
    assert_false(has_sample(name, "{kind=\"first\",result=\"ok\"}"));
    world->source.acme = &acme;
    render(world);
    assert_true(value_of(name, "{kind=\"first\",result=\"ok\"}") == 1);
    assert_true(value_of(name, "{kind=\"first\",result=\"failed\"}") == 2);
    assert_true(value_of(name, "{kind=\"renewal\",result=\"ok\"}") == 3);
    assert_true(value_of(name, "{kind=\"renewal\",result=\"failed\"}") == 4);
}

static void test_open_connections_never_fall_below_zero(void **state)
{
    struct world *world = *state;
    counter_add(&world->workers[0]->closed, 1);
    render(world);
    assert_true(value_of("quoit_client_connections_open", "") == 0);
}

static void test_label_values_are_escaped(void **state)
{
    struct world *world = *state;
    render(world);
    assert_true(has_sample("quoit_pool_endpoints", "{pool=\"odd\\\"\\\\\\nname\"}"));
}

static void test_histograms_are_cumulative_seconds(void **state)
{
    struct world *world = *state;
    histogram_add(&world->pools[0].locals[0].stats.latency, 100);
    histogram_add(&world->pools[0].locals[1].stats.latency, 700);
    histogram_add(&world->pools[0].locals[1].stats.latency, 20000000);
    render(world);
    static const char bucket[] = "quoit_pool_request_duration_seconds_bucket";
    assert_true(value_of(bucket, "{pool=\"images\",le=\"0.0001\"}") == 1);
    assert_true(value_of(bucket, "{pool=\"images\",le=\"0.0005\"}") == 1);
    assert_true(value_of(bucket, "{pool=\"images\",le=\"0.001\"}") == 2);
    assert_true(value_of(bucket, "{pool=\"images\",le=\"10\"}") == 2);
    assert_true(value_of(bucket, "{pool=\"images\",le=\"+Inf\"}") == 3);
    assert_true(value_of("quoit_pool_request_duration_seconds_count", "{pool=\"images\"}") == 3);
    assert_true(fabs(value_of("quoit_pool_request_duration_seconds_sum", "{pool=\"images\"}") -
                     20.0008) < 1e-9);
}

static void test_endpoints_stand_with_their_counters_and_state(void **state)
{
    struct world *world = *state;
    struct endpoint *a = make_endpoint("10.0.0.1:80", "10.0.0.1:80");
    struct endpoint *b = make_endpoint("dc1/n/web-1", "[::1]:80");
    for (unsigned i = 0; i < WORKERS; i++) {
        counter_add(&a->locals[i].stats.attempts, 5);
        counter_add(&a->locals[i].stats.statuses[5], 1);
        histogram_add(&b->locals[i].stats.latency, 1500);
    }
    endpoint_add_in_flight(a, 0, 3);
    atomic_store(&b->source, ENDPOINT_SOURCE_MAINTENANCE);
    publish(&world->pools[0], 42, (struct endpoint *[]){a, b}, 2);
    render(world);
    static const char of_a[] = "{pool=\"images\",endpoint=\"10.0.0.1:80\"}";
    static const char of_b[] = "{pool=\"images\",endpoint=\"[::1]:80\",id=\"dc1/n/web-1\"}";
    assert_true(value_of("quoit_endpoint_attempts_total", of_a) == 10);
    assert_true(value_of("quoit_endpoint_responses_total",
                         "{pool=\"images\",endpoint=\"10.0.0.1:80\",code=\"5xx\"}") == 2);
    assert_true(value_of("quoit_endpoint_requests_in_flight", of_a) == 3);
    assert_true(value_of("quoit_endpoint_request_duration_seconds_count", of_b) == 2);
    assert_true(value_of("quoit_endpoint_up", of_a) == 1);
    assert_true(value_of("quoit_endpoint_up", of_b) == 0);
    assert_true(value_of("quoit_endpoint_weight", of_a) == 1.5);
    assert_true(value_of("quoit_endpoint_state", "{pool=\"images\",endpoint=\"10.0.0.1:80\","
                                                 "state=\"up\"}") == 1);
    assert_true(value_of("quoit_endpoint_state",
                         "{pool=\"images\",endpoint=\"[::1]:80\",id=\"dc1/n/web-1\","
                         "state=\"maintenance\"}") == 1);
    assert_true(value_of("quoit_pool_snapshot_number", "{pool=\"images\"}") == 42);
    assert_true(value_of("quoit_pool_endpoints", "{pool=\"images\"}") == 2);
    assert_true(value_of("quoit_pool_usable_endpoints", "{pool=\"images\"}") == 1);
}

static void test_two_endpoints_at_one_address_are_told_apart(void **state)
{
    struct world *world = *state;
    struct endpoint *a = make_endpoint("dc1/n/web-1", "10.0.0.1:80");
    struct endpoint *b = make_endpoint("dc1/n/web-2", "10.0.0.1:80");
    publish(&world->pools[0], 1, (struct endpoint *[]){a, b}, 2);
    render(world); /* finds samples that stand twice */
}

static void test_a_removed_endpoint_leaves_the_page(void **state)
{
    struct world *world = *state;
    static const char labels[] = "{pool=\"images\",endpoint=\"10.0.0.1:80\"}";
    struct endpoint *a = make_endpoint("10.0.0.1:80", "10.0.0.1:80");
    publish(&world->pools[0], 1, &a, 1);
    render(world);
    assert_true(has_sample("quoit_endpoint_up", labels));
    publish(&world->pools[0], 2, NULL, 0);
    render(world);
    assert_false(has_sample("quoit_endpoint_up", labels));
}

static void test_discovery_stands_only_with_pools_that_follow_a_service(void **state)
{
    struct world *world = *state;
    static const char labels[] = "{pool=\"odd\\\"\\\\\\nname\"}";
    render(world);
    assert_false(has_sample("quoit_discovery_errors_total", "{pool=\"images\"}"));
    assert_true(isinf(value_of("quoit_discovery_last_contact_age_seconds", labels)));

    struct pool_source_stats *stats = &world->pools[1].source;
    atomic_store(&stats->last_contact_us, 88500000);
    atomic_store(&stats->updates, 4);
    atomic_store(&stats->errors, 5);
    atomic_store(&stats->held, 6);
    atomic_store(&stats->index, 777);
    atomic_store(&stats->is_held, 1);
    render(world);
    assert_true(value_of("quoit_discovery_last_contact_age_seconds", labels) == 1.5);
    assert_true(value_of("quoit_discovery_updates_total", labels) == 4);
    assert_true(value_of("quoit_discovery_errors_total", labels) == 5);
    assert_true(value_of("quoit_discovery_held_total", labels) == 6);
    assert_true(value_of("quoit_discovery_index", labels) == 777);
    assert_true(value_of("quoit_discovery_is_held", labels) == 1);
}

static char *read_manual(void)
{
    FILE *file = fopen(SOURCE_DIR "/docs/observability.md", "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    assert_true(n > 0);
    return text;
}

static void test_every_metric_stands_in_the_manual(void **state)
{
    struct world *world = *state;
    struct endpoint *a = make_endpoint("10.0.0.1:80", "10.0.0.1:80");
    publish(&world->pools[0], 1, &a, 1);
    world->source.acme = &(struct metrics_acme){.orders_ok = 1};
    render(world);
    char *manual = read_manual();
    for (size_t i = 0; i < parsed.n; i++) {
        char word[96];
        int n = snprintf(word, sizeof word, "`%s", parsed.samples[i].name);
        static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
        for (size_t j = 0; j < 3; j++) /* of histograms, the metric's own name stands there */
            if (strstr(word, "_duration_") != NULL && has_suffix(word, suffixes[j]))
                word[n - (int)strlen(suffixes[j])] = '\0';
        strncat(word, "`", sizeof word - strlen(word) - 1);
        if (strstr(manual, word) == NULL)
            fail_msg("%s is not described", word);
    }
    free(manual);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_a_fresh_process_has_a_valid_page),
        IN_WORLD(test_counters_are_summed_over_workers),
        IN_WORLD(test_statuses_of_grpc_are_those_of_pools_that_have_had_a_call),
        IN_WORLD(test_orders_of_certificates_are_counted_where_there_may_be_some),
        IN_WORLD(test_open_connections_never_fall_below_zero),
        IN_WORLD(test_label_values_are_escaped),
        IN_WORLD(test_histograms_are_cumulative_seconds),
        IN_WORLD(test_endpoints_stand_with_their_counters_and_state),
        IN_WORLD(test_two_endpoints_at_one_address_are_told_apart),
        IN_WORLD(test_a_removed_endpoint_leaves_the_page),
        IN_WORLD(test_every_metric_stands_in_the_manual),
        IN_WORLD(test_discovery_stands_only_with_pools_that_follow_a_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
