/* From good text to a configuration: every option, its default, and the short forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "conf/load.h"

/* Loads text, which must be right. */
static struct conf *load(const char *text)
{
    struct conf_errors errors = {0};
    struct conf *conf = conf_load_text("test.yaml", text, strlen(text), &errors);
    conf_errors_print(&errors, stderr);
    assert_int_equal(errors.n, 0);
    assert_false(errors.is_incomplete);
    assert_non_null(conf);
    conf_errors_fini(&errors);
    return conf;
}

static void assert_number(double found, double expected)
{
    assert_true(found > expected - 1e-9 && found < expected + 1e-9);
}

static const char smallest[] = "listeners: ':8080'\n"
                               "pools: { images: { endpoints: '127.0.0.1:8081' } }\n";

static void test_the_smallest_file_has_all_defaults(void **state)
{
    (void)state;
    struct conf *conf = load(smallest);
    assert_int_equal(conf->n_listeners, 1);
    assert_null(conf->listeners[0].host);
    assert_int_equal(conf->listeners[0].port, 8080);
    assert_int_equal(conf->listeners[0].backlog, 4096);
    assert_false(conf->listeners[0].defer_accept);
    assert_false(conf->has_admin);
    assert_in_range(conf->workers, 1, 256);
    assert_int_equal(conf->buffer_bytes, 32768);
    assert_int_equal(conf->drain_ms, 30000);
    assert_false(conf->take_over);
    assert_true(conf->memory_bytes == CONF_AUTO_SIZE);

    assert_int_equal(conf->client.header_timeout_ms, 10000);
    assert_int_equal(conf->client.keepalive_timeout_ms, 60000);
    assert_int_equal(conf->client.body_timeout_ms, 30000);
    assert_int_equal(conf->client.send_timeout_ms, 30000);
    assert_int_equal(conf->client.max_head_bytes, 16384);
    assert_int_equal(conf->client.max_target_bytes, 8192);
    assert_int_equal(conf->client.max_fields, 100);
    assert_int_equal(conf->client.max_body_bytes, 0);
    assert_int_equal(conf->client.max_connections, 0);
    assert_int_equal(conf->client.max_connections_per_address, CONF_AUTO_NUMBER);
    assert_int_equal(conf->client.max_requests, 10000);
    assert_int_equal(conf->client.min_body_rate, 256);
    assert_int_equal(conf->client.min_send_rate, 256);

    assert_int_equal(conf->consul.n_addresses, 1);
    assert_string_equal(conf->consul.addresses[0], "http://127.0.0.1:8500");
    assert_null(conf->consul.token);
    assert_null(conf->consul.token_file);
    assert_null(conf->consul.ca_file);
    assert_null(conf->consul.cert_file);
    assert_null(conf->consul.key_file);
    assert_int_equal(conf->consul.wait_ms, 60000);
    assert_int_equal(conf->consul.connect_timeout_ms, 2000);
    assert_true(conf->consul.stale);
    assert_int_equal(conf->consul.max_stale_ms, 10000);
    assert_int_equal(conf->consul.hold_ms, 30000);
    assert_int_equal(conf->consul.backoff_min_ms, 250);
    assert_int_equal(conf->consul.backoff_max_ms, 30000);

    assert_int_equal(conf->log.level, CONF_LOG_INFO);
    assert_int_equal(conf->log.format, CONF_LOG_TEXT);
    assert_null(conf->log.access_file);
    assert_int_equal(conf->log.access_format, CONF_ACCESS_JSON);
    conf_free(conf);
}

static void test_a_pool_has_all_defaults(void **state)
{
    (void)state;
    struct conf *conf = load(smallest);
    assert_int_equal(conf->n_pools, 1);
    const struct conf_pool *pool = &conf->pools[0];
    assert_string_equal(pool->name, "images");
    assert_int_equal(pool->n_endpoints, 1);
    assert_string_equal(pool->endpoints[0].host, "127.0.0.1");
    assert_int_equal(pool->endpoints[0].port, 8081);
    assert_number(pool->endpoints[0].weight, 1);
    assert_null(pool->service.name);
    assert_int_equal(pool->algorithm, CONF_ALGORITHM_HASH);
    assert_int_equal(pool->identity.source, CONF_IDENTITY_ADDRESS);
    assert_int_equal(pool->key.source, CONF_KEY_PATH);
    assert_int_equal(pool->key_fallback.source, CONF_KEY_CLIENT);
    assert_int_equal(pool->slots, 262144);
    assert_int_equal(pool->points, 160);
    assert_int_equal(pool->seed, 0);
    assert_int_equal(pool->ramp_ms, 0);
    assert_int_equal(pool->compat.haproxy_hash, CONF_HAPROXY_SDBM);
    assert_true(pool->compat.haproxy_avalanche);
    assert_int_equal(pool->compat.table_size, 65537);
    assert_int_equal(pool->compat.min_ring, 1024);
    assert_null(pool->endpoints[0].id);
    assert_int_equal(pool->retries, 2);
    assert_int_equal(pool->retry.conditions, CONF_RETRY_FAILURE);
    assert_false(pool->retry.non_idempotent);
    assert_int_equal(pool->retry.timeout_ms, 0);
    assert_int_equal(pool->retry.hedge_ms, 0);
    assert_number(pool->retry.budget, 0.2);
    assert_int_equal(pool->retry.budget_min, 20);
    assert_int_equal(pool->max_idle, 256);
    assert_int_equal(pool->max_connection_age_ms, 0);
    assert_int_equal(pool->max_connection_requests, 0);
    assert_int_equal(pool->max_connections, 0);
    assert_int_equal(pool->queue, 1024);
    assert_int_equal(pool->timeouts.queue_ms, 5000);
    assert_int_equal(pool->timeouts.connect_ms, 2000);
    assert_int_equal(pool->timeouts.response_ms, 30000);
    assert_int_equal(pool->timeouts.idle_ms, 60000);
    assert_int_equal(pool->timeouts.total_ms, 0);
    assert_int_equal(pool->timeouts.tunnel_ms, 3600000);
    assert_int_equal(pool->timeouts.keepalive_ms, 30000);
    assert_int_equal(pool->check.type, CONF_CHECK_NONE);
    conf_free(conf);
}

static void test_a_single_pool_without_routes_takes_everything(void **state)
{
    (void)state;
    struct conf *conf = load(smallest);
    assert_int_equal(conf->n_routes, 1);
    assert_null(conf->routes[0].host);
    assert_string_equal(conf->routes[0].path, "/");
    assert_int_equal(conf->routes[0].pool, 0);
    assert_string_equal(conf->routes[0].pool_name, "images");
    conf_free(conf);
}

static void test_an_empty_health_check_asks_for_the_root_by_http(void **state)
{
    (void)state;
    struct conf *conf = load("listeners: ':8080'\n"
                             "pools: { a: { service: a, health_check: {} } }\n");
    const struct conf_check *check = &conf->pools[0].check;
    assert_int_equal(check->type, CONF_CHECK_HTTP);
    assert_null(check->grpc_service);
    assert_string_equal(check->path, "/");
    assert_null(check->host);
    assert_string_equal(check->method, "GET");
    assert_int_equal(check->n_expect, 1);
    assert_int_equal(check->expect[0].low, 200);
    assert_int_equal(check->expect[0].high, 399);
    assert_int_equal(check->interval_ms, 2000);
    assert_int_equal(check->timeout_ms, 1000);
    assert_int_equal(check->rise, 2);
    assert_int_equal(check->fall, 3);
    assert_int_equal(check->port, 0);
    assert_int_equal(check->initial, CONF_INITIAL_UP);
    conf_free(conf);
}

static const char everything[] =
    "workers: 3\n"
    "buffer_size: 1m\n"
    "drain_timeout: 5s\n"
    "take_over: true\n"
    "memory_limit: 1g\n"
    "listeners:\n"
    "  - address: ':8080'\n"
    "  - { address: '[::1]:8081', backlog: 10, defer_accept: true,\n"
    "      max_connections: 500 }\n"
    "admin: { address: '127.0.0.1:9090', backlog: 5 }\n"
    "client: { header_timeout: 1s, keepalive_timeout: 2s, body_timeout: 3s, send_timeout: 4s,\n"
    "          max_head_size: 32k, max_target_size: 4k, max_fields: 50, max_body_size: 5g,\n"
    "          max_connections: 1000, max_connections_per_address: 20, max_requests: 7,\n"
    "          min_body_rate: 1k, min_send_rate: 0 }\n"
    "consul: { address: ['http://127.0.0.1:8500/', 'https://consul.internal'],\n"
    "          token: secret, ca_file: /ca, cert_file: /cert, key_file: /key, wait: 5m,\n"
    "          connect_timeout: 1s, stale: false, max_stale: 1s, hold: 0, backoff_min: 1s,\n"
    "          backoff_max: 1s }\n"
    "log: { level: debug, format: json, access: '-', access_format: combined }\n"
    "routes:\n"
    "  - { host: Images.Example.COM, path: /img, pool: b.2 }\n"
    "  - { host: '*.example.com', pool: a }\n"
    "  - { pool: a }\n"
    "pools:\n"
    "  a:\n"
    "    endpoints: ['Origin.internal:80', { address: '[2001:db8::1]:81', weight: 2.5, id: b1 }]\n"
    "    service: { name: a, datacenter: dc2, tag: v2, filter: 'Node.Meta.x == \"y\"',\n"
    "               warning: skip }\n"
    "    algorithm: ring\n"
    "    hash_key: header:X-User\n"
    "    hash_key_fallback: query:id\n"
    "    identity: meta:shard_1\n"
    "    slots: 1024\n"
    "    ramp: 15s\n"
    "    points: 1\n"
    "    haproxy_hash: crc32\n"
    "    haproxy_avalanche: false\n"
    "    table_size: 7\n"
    "    min_ring: 8388608\n"
    "    seed: 18446744073709551615\n"
    "    retries: 15\n"
    "    retry: { on: [reset, timeout, 503], non_idempotent: true, timeout: 2s, hedge: 1s,\n"
    "             budget: 1, budget_min: 0 }\n"
    "    max_idle: 0\n"
    "    max_connection_age: 1h\n"
    "    max_connection_requests: 1000\n"
    "    max_connections: 50\n"
    "    queue: 0\n"
    "    timeouts: { connect: 1ms, response: 2ms, idle: 3ms, total: 4ms, tunnel: 168h,\n"
    "                keepalive: 6ms, queue: 7ms }\n"
    "    health_check: { type: tcp, path: /h, host: h.example, method: HEAD,\n"
    "                    expect: [200, 204-299], interval: 1s, timeout: 2s, rise: 1, fall: 1,\n"
    "                    port: 99, initial: down }\n"
    "  b.2: { service: b }\n";

static void test_a_grpc_check_may_ask_about_a_service(void **state)
{
    (void)state;
    struct conf *conf = load("listeners: ':8080'\n"
                             "pools: { a: { service: a, health_check: { type: grpc,\n"
                             "    grpc_service: shop.v1.Cart } } }\n");
    assert_int_equal(conf->pools[0].check.type, CONF_CHECK_GRPC);
    assert_string_equal(conf->pools[0].check.grpc_service, "shop.v1.Cart");
    conf_free(conf);
}

static void test_the_top_level_is_read_as_written(void **state)
{
    (void)state;
    struct conf *conf = load(everything);
    assert_int_equal(conf->workers, 3);
    assert_int_equal(conf->buffer_bytes, 1048576);
    assert_int_equal(conf->drain_ms, 5000);
    assert_true(conf->take_over);
    assert_true(conf->memory_bytes == UINT64_C(1) << 30);
    assert_int_equal(conf->n_listeners, 2);
    assert_string_equal(conf->listeners[1].host, "::1");
    assert_int_equal(conf->listeners[1].port, 8081);
    assert_int_equal(conf->listeners[1].backlog, 10);
    assert_true(conf->listeners[1].defer_accept);
    assert_int_equal(conf->listeners[1].max_connections, 500);
    assert_true(conf->has_admin);
    assert_string_equal(conf->admin.host, "127.0.0.1");
    assert_int_equal(conf->admin.port, 9090);
    assert_int_equal(conf->admin.backlog, 5);
    assert_int_equal(conf->client.header_timeout_ms, 1000);
    assert_int_equal(conf->client.keepalive_timeout_ms, 2000);
    assert_int_equal(conf->client.body_timeout_ms, 3000);
    assert_int_equal(conf->client.send_timeout_ms, 4000);
    assert_int_equal(conf->client.max_head_bytes, 32768);
    assert_int_equal(conf->client.max_target_bytes, 4096);
    assert_int_equal(conf->client.max_fields, 50);
    assert_true(conf->client.max_body_bytes == UINT64_C(5) << 30);
    assert_int_equal(conf->client.max_connections, 1000);
    assert_int_equal(conf->client.max_connections_per_address, 20);
    assert_int_equal(conf->client.max_requests, 7);
    assert_int_equal(conf->client.min_body_rate, 1024);
    assert_int_equal(conf->client.min_send_rate, 0);
    assert_int_equal(conf->log.level, CONF_LOG_DEBUG);
    assert_int_equal(conf->log.format, CONF_LOG_JSON);
    assert_string_equal(conf->log.access_file, "-");
    assert_int_equal(conf->log.access_format, CONF_ACCESS_COMBINED);
    conf_free(conf);
}

static void test_consul_is_read_as_written(void **state)
{
    (void)state;
    struct conf *conf = load(everything);
    const struct conf_consul *consul = &conf->consul;
    assert_int_equal(consul->n_addresses, 2);
    assert_string_equal(consul->addresses[0], "http://127.0.0.1:8500");
    assert_string_equal(consul->addresses[1], "https://consul.internal");
    assert_string_equal(consul->token, "secret");
    assert_string_equal(consul->ca_file, "/ca");
    assert_string_equal(consul->cert_file, "/cert");
    assert_string_equal(consul->key_file, "/key");
    assert_int_equal(consul->wait_ms, 300000);
    assert_int_equal(consul->connect_timeout_ms, 1000);
    assert_false(consul->stale);
    assert_int_equal(consul->max_stale_ms, 1000);
    assert_int_equal(consul->hold_ms, 0);
    assert_int_equal(consul->backoff_min_ms, 1000);
    assert_int_equal(consul->backoff_max_ms, 1000);
    conf_free(conf);
}

static void test_routes_find_their_pools(void **state)
{
    (void)state;
    struct conf *conf = load(everything);
    assert_int_equal(conf->n_routes, 3);
    assert_string_equal(conf->routes[0].host, "images.example.com");
    assert_string_equal(conf->routes[0].path, "/img");
    assert_int_equal(conf->routes[0].pool, 1);
    assert_string_equal(conf->routes[1].host, "*.example.com");
    assert_string_equal(conf->routes[1].path, "/");
    assert_int_equal(conf->routes[1].pool, 0);
    assert_null(conf->routes[2].host);
    conf_free(conf);
}

static void test_a_pool_is_read_as_written(void **state)
{
    (void)state;
    struct conf *conf = load(everything);
    const struct conf_pool *pool = &conf->pools[0];
    assert_int_equal(pool->n_endpoints, 2);
    assert_string_equal(pool->endpoints[0].host, "origin.internal");
    assert_string_equal(pool->endpoints[1].host, "2001:db8::1");
    assert_int_equal(pool->endpoints[1].port, 81);
    assert_number(pool->endpoints[1].weight, 2.5);
    assert_string_equal(pool->service.name, "a");
    assert_string_equal(pool->service.datacenter, "dc2");
    assert_string_equal(pool->service.tag, "v2");
    assert_string_equal(pool->service.filter, "Node.Meta.x == \"y\"");
    assert_false(pool->service.use_warning);
    assert_int_equal(pool->algorithm, CONF_ALGORITHM_RING);
    assert_int_equal(pool->key.source, CONF_KEY_HEADER);
    assert_string_equal(pool->key.name, "X-User");
    assert_int_equal(pool->key_fallback.source, CONF_KEY_QUERY);
    assert_string_equal(pool->key_fallback.name, "id");
    assert_int_equal(pool->identity.source, CONF_IDENTITY_META);
    assert_string_equal(pool->identity.meta_key, "shard_1");
    assert_int_equal(pool->ramp_ms, 15000);
    assert_int_equal(pool->slots, 1024);
    assert_int_equal(pool->points, 1);
    assert_int_equal(pool->compat.haproxy_hash, CONF_HAPROXY_CRC32);
    assert_false(pool->compat.haproxy_avalanche);
    assert_int_equal(pool->compat.table_size, 7);
    assert_int_equal(pool->compat.min_ring, 8388608);
    assert_string_equal(pool->endpoints[1].id, "b1");
    assert_true(pool->seed == UINT64_MAX);
    assert_int_equal(pool->retries, 15);
    assert_int_equal(pool->retry.conditions,
                     CONF_RETRY_RESET | CONF_RETRY_TIMEOUT | CONF_RETRY_503);
    assert_true(pool->retry.non_idempotent);
    assert_int_equal(pool->retry.timeout_ms, 2000);
    assert_int_equal(pool->retry.hedge_ms, 1000);
    assert_number(pool->retry.budget, 1);
    assert_int_equal(pool->retry.budget_min, 0);
    assert_int_equal(pool->max_idle, 0);
    assert_int_equal(pool->max_connection_age_ms, 3600000);
    assert_int_equal(pool->max_connection_requests, 1000);
    assert_int_equal(pool->max_connections, 50);
    assert_int_equal(pool->queue, 0);
    assert_int_equal(pool->timeouts.queue_ms, 7);
    conf_free(conf);
}

static void test_a_pools_deadlines_and_check_are_read_as_written(void **state)
{
    (void)state;
    struct conf *conf = load(everything);
    const struct conf_pool *pool = &conf->pools[0];
    assert_int_equal(pool->timeouts.connect_ms, 1);
    assert_int_equal(pool->timeouts.response_ms, 2);
    assert_int_equal(pool->timeouts.idle_ms, 3);
    assert_int_equal(pool->timeouts.total_ms, 4);
    assert_int_equal(pool->timeouts.tunnel_ms, 168 * 3600 * 1000);
    assert_int_equal(pool->timeouts.keepalive_ms, 6);
    assert_int_equal(pool->check.type, CONF_CHECK_TCP);
    assert_string_equal(pool->check.path, "/h");
    assert_string_equal(pool->check.host, "h.example");
    assert_string_equal(pool->check.method, "HEAD");
    assert_int_equal(pool->check.n_expect, 2);
    assert_int_equal(pool->check.expect[0].low, 200);
    assert_int_equal(pool->check.expect[0].high, 200);
    assert_int_equal(pool->check.expect[1].low, 204);
    assert_int_equal(pool->check.expect[1].high, 299);
    assert_int_equal(pool->check.interval_ms, 1000);
    assert_int_equal(pool->check.timeout_ms, 2000);
    assert_int_equal(pool->check.rise, 1);
    assert_int_equal(pool->check.fall, 1);
    assert_int_equal(pool->check.port, 99);
    assert_int_equal(pool->check.initial, CONF_INITIAL_DOWN);
    conf_free(conf);
}

static void test_json_is_read_as_yaml(void **state)
{
    (void)state;
    struct conf *conf = load("{\n"
                             "\t\"workers\": 2,\n"
                             "\t\"listeners\": [{ \"address\": \"127.0.0.1:80\" }],\n"
                             "\t\"consul\": { \"stale\": false, \"token\": null },\n"
                             "\t\"pools\": { \"a\": { \"endpoints\": [\"127.0.0.1:81\"] } }\n"
                             "}\n");
    assert_int_equal(conf->workers, 2);
    assert_string_equal(conf->listeners[0].host, "127.0.0.1");
    assert_false(conf->consul.stale);
    assert_null(conf->consul.token);
    conf_free(conf);
}

static void test_every_hash_key_has_its_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
        enum conf_key_source source;
    } keys[] = {
        {"none", NULL, CONF_KEY_NONE},
        {"path", NULL, CONF_KEY_PATH},
        {"uri", NULL, CONF_KEY_URI},
        {"query:a%20b", "a%20b", CONF_KEY_QUERY},
        {"header:X-Id", "X-Id", CONF_KEY_HEADER},
        {"cookie:sid", "sid", CONF_KEY_COOKIE},
        {"client", NULL, CONF_KEY_CLIENT},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        char text[200];
        snprintf(text, sizeof(text), "{listeners: ':1', pools: {a: {service: a, hash_key: '%s'}}}",
                 keys[i].text);
        struct conf *conf = load(text);
        assert_int_equal(conf->pools[0].key.source, keys[i].source);
        if (keys[i].name == NULL)
            assert_null(conf->pools[0].key.name);
        else
            assert_string_equal(conf->pools[0].key.name, keys[i].name);
        conf_free(conf);
    }
}

static void test_trusted_proxies_are_ranges_of_addresses(void **state)
{
    (void)state;
    struct conf *conf = load("{listeners: ':1', pools: {a: {service: a}}, client: {trusted_proxies:"
                             " [10.0.0.0/8, '2001:db8::/33', 192.0.2.1, '::ffff:10.0.0.0/104',"
                             " '::/0']}}");
    static const struct conf_cidr expected[] = {
        {.bits = 8, .address = {10}},
        {.is_v6 = true, .bits = 33, .address = {0x20, 0x01, 0x0d, 0xb8}},
        {.bits = 32, .address = {192, 0, 2, 1}},
        {.bits = 8, .address = {10}},
        {.is_v6 = true, .bits = 0},
    };
    assert_int_equal(conf->client.n_trusted_proxies, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(conf->client.trusted_proxies[i].is_v6, expected[i].is_v6);
        assert_int_equal(conf->client.trusted_proxies[i].bits, expected[i].bits);
        assert_memory_equal(conf->client.trusted_proxies[i].address, expected[i].address, 16);
    }
    conf_free(conf);
}

static void test_nobody_is_trusted_without_being_named(void **state)
{
    (void)state;
    struct conf *conf = load("{listeners: ':1', pools: {a: {service: a}}}");
    assert_int_equal(conf->client.n_trusted_proxies, 0);
    assert_null(conf->client.trusted_proxies);
    conf_free(conf);
}

static void test_null_is_the_default(void **state)
{
    (void)state;
    struct conf *conf = load("listeners: ':8080'\n"
                             "admin:\n"
                             "client: ~\n"
                             "workers: null\n"
                             "log: { access: null }\n"
                             "pools: { a: { service: a, retries: null, health_check: } }\n");
    assert_false(conf->has_admin);
    assert_int_equal(conf->client.max_fields, 100);
    assert_null(conf->log.access_file);
    assert_int_equal(conf->pools[0].retries, 2);
    assert_int_equal(conf->pools[0].check.type, CONF_CHECK_NONE);
    conf_free(conf);
}

static void test_an_alias_repeats_what_its_anchor_says(void **state)
{
    (void)state;
    struct conf *conf = load("listeners: ':8080'\n"
                             "pools:\n"
                             "  a: { service: a, timeouts: &quick { connect: 50ms } }\n"
                             "  b: { service: b, timeouts: *quick }\n"
                             "routes: [{ pool: a }, { path: /b, pool: b }]\n");
    assert_int_equal(conf->pools[0].timeouts.connect_ms, 50);
    assert_int_equal(conf->pools[1].timeouts.connect_ms, 50);
    conf_free(conf);
}

static void test_single_values_stand_for_lists_and_sections(void **state)
{
    (void)state;
    struct conf *conf = load("listeners: { address: ':8080' }\n"
                             "admin: ':9090'\n"
                             "routes: { path: /x, pool: a }\n"
                             "pools: { a: { service: images, health_check: { expect: 200 } } }\n");
    assert_int_equal(conf->listeners[0].port, 8080);
    assert_true(conf->has_admin);
    assert_int_equal(conf->admin.port, 9090);
    assert_int_equal(conf->admin.backlog, 64);
    assert_string_equal(conf->routes[0].path, "/x");
    assert_string_equal(conf->pools[0].service.name, "images");
    assert_true(conf->pools[0].service.use_warning);
    assert_int_equal(conf->pools[0].check.expect[0].high, 200);
    conf_free(conf);
}

static void test_the_example_loads(void **state)
{
    (void)state;
    struct conf_errors errors = {0};
    struct conf *conf = conf_load_file(SOURCE_DIR "/conf/quoit.yaml", &errors);
    conf_errors_print(&errors, stderr);
    assert_non_null(conf);
    assert_int_equal(conf->n_pools, 3);
    conf_errors_fini(&errors);
    conf_free(conf);
}

static void test_freeing_nothing_is_fine(void **state)
{
    (void)state;
    struct conf_errors errors = {0};
    conf_free(NULL);
    conf_errors_fini(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_smallest_file_has_all_defaults),
        cmocka_unit_test(test_a_pool_has_all_defaults),
        cmocka_unit_test(test_a_single_pool_without_routes_takes_everything),
        cmocka_unit_test(test_an_empty_health_check_asks_for_the_root_by_http),
        cmocka_unit_test(test_a_grpc_check_may_ask_about_a_service),
        cmocka_unit_test(test_the_top_level_is_read_as_written),
        cmocka_unit_test(test_consul_is_read_as_written),
        cmocka_unit_test(test_routes_find_their_pools),
        cmocka_unit_test(test_a_pool_is_read_as_written),
        cmocka_unit_test(test_a_pools_deadlines_and_check_are_read_as_written),
        cmocka_unit_test(test_json_is_read_as_yaml),
        cmocka_unit_test(test_every_hash_key_has_its_spelling),
        cmocka_unit_test(test_trusted_proxies_are_ranges_of_addresses),
        cmocka_unit_test(test_nobody_is_trusted_without_being_named),
        cmocka_unit_test(test_null_is_the_default),
        cmocka_unit_test(test_an_alias_repeats_what_its_anchor_says),
        cmocka_unit_test(test_single_values_stand_for_lists_and_sections),
        cmocka_unit_test(test_the_example_loads),
        cmocka_unit_test(test_freeing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
