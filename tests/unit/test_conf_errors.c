/* Every kind of mistake, with its exact place, key and words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/load.h"

/* What the loader prints about text, which must be wrong. The caller frees it. */
static char *errors_of(const char *text, size_t n)
{
    struct conf_errors errors = {0};
    char *printed = NULL;
    size_t length = 0;
    struct conf *conf = conf_load_text("f", text, n, &errors);
    FILE *out = open_memstream(&printed, &length);
    assert_non_null(out);
    conf_errors_print(&errors, out);
    fclose(out);
    conf_errors_fini(&errors);
    assert_null(conf);
    return printed;
}

static void assert_errors(const char *text, const char *expected)
{
    char *printed = errors_of(text, strlen(text));
    assert_string_equal(printed, expected);
    free(printed);
}

/* What stands around one option, so that nothing else is wrong. */
static void assert_error_at_top(const char *line, const char *expected)
{
    char text[1024];
    snprintf(text, sizeof(text), "listeners: ':80'\npools: { a: { service: a } }\n%s\n", line);
    assert_errors(text, expected);
}

static void assert_error_in_pool(const char *line, const char *expected)
{
    char text[1024];
    snprintf(text, sizeof(text), "listeners: ':80'\npools:\n  a:\n    service: a\n    %s\n", line);
    assert_errors(text, expected);
}

static void test_a_ramp_is_not_for_the_algorithms_of_other_programs(void **state)
{
    (void)state;
    assert_error_in_pool(
        "algorithm: envoy_maglev\n    ramp: 30s",
        "f:6:11: pools.a.ramp: found a ramp with the algorithm of another program, "
        "expected none: weights on their way would change its layout\n");
}

static void test_retries_are_for_known_conditions_only(void **state)
{
    (void)state;
    assert_error_in_pool(
        "retry: { on: [reset, 500] }",
        "f:5:26: pools.a.retry.on.1: found \"500\", expected `failure`, `connect`, "
        "`refused`, `reset`, `timeout`, `502`, `503` or `504`\n");
    assert_error_in_pool("retry: { on: refused, timeout: 1s }",
                         "f:5:36: pools.a.retry.timeout: found no timeout in retry.on, expected it "
                         "there\n");
}

static void test_the_service_of_a_grpc_check_has_a_longest_name(void **state)
{
    (void)state;
    char line[400];
    snprintf(line, sizeof(line), "health_check: { type: grpc, grpc_service: %0256d }", 1);
    assert_error_in_pool(line,
                         "f:5:47: pools.a.health_check.grpc_service: found 256 bytes, expected "
                         "at most 255\n");
}

static void test_a_service_is_for_grpc_checks_only(void **state)
{
    (void)state;
    assert_error_in_pool("health_check: { grpc_service: shop.v1.Cart }",
                         "f:5:35: pools.a.health_check.grpc_service: found it with another type of "
                         "check, expected type: grpc\n");
}

static void test_an_identity_is_a_word_or_a_key_of_metadata(void **state)
{
    (void)state;
    static const char *const wrong[] = {"meta", "'meta:'", "'meta:a b'", "node", "meta:schlüssel"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char line[64], expected[160];
        const char *value = wrong[i][0] == '\'' ? wrong[i] + 1 : wrong[i];
        snprintf(line, sizeof(line), "identity: %s", wrong[i]);
        snprintf(expected, sizeof(expected),
                 "f:5:15: pools.a.identity: found \"%.*s\", expected `address`, `service` or "
                 "`meta:KEY`\n",
                 (int)strcspn(value, "'"), value);
        assert_error_in_pool(line, expected);
    }
}

static void test_an_unknown_key_suggests_the_nearest(void **state)
{
    (void)state;
    assert_error_at_top("drain_timeot: 3s",
                        "f:3:1: drain_timeot: unknown key, did you mean \"drain_timeout\"?\n");
    assert_error_in_pool("retrie: 3",
                         "f:5:5: pools.a.retrie: unknown key, did you mean \"retries\"?\n");
    assert_error_in_pool("timeouts: { conect: 1s }",
                         "f:5:17: pools.a.timeouts.conect: unknown key, did you mean "
                         "\"connect\"?\n");
}

static void test_an_unknown_key_without_a_near_one_lists_what_there_is(void **state)
{
    (void)state;
    assert_error_at_top("log: { colour: blue }",
                        "f:3:8: log.colour: unknown key, expected one of level, format, access, "
                        "access_format\n");
    assert_error_at_top("admin: { address: ':1', a_name_that_is_longer_than_any_option_of_ours: 1}",
                        "f:3:25: admin.a_name_that_is_longer_than_any_option_of_ours: unknown key, "
                        "expected one of address, backlog\n");
}

static void test_a_key_that_is_there_twice_names_the_first(void **state)
{
    (void)state;
    assert_error_at_top("workers: 2\nworkers: 3",
                        "f:4:1: workers: found the key again, it stands in line 3 already\n");
    assert_error_in_pool("timeouts: { idle: 1s, idle: 2s, idle: 3s }",
                         "f:5:27: pools.a.timeouts.idle: found the key again, it stands in line 5 "
                         "already\n"
                         "f:5:37: pools.a.timeouts.idle: found the key again, it stands in line 5 "
                         "already\n");
    assert_errors("listeners: ':80'\npools:\n  a: { service: a }\n  a: { service: a }\n"
                  "routes: { pool: a }",
                  "f:4:3: pools.a: found the key again, it stands in line 3 already\n");
}

static void test_wrong_numbers(void **state)
{
    (void)state;
    assert_error_at_top("workers: 0", "f:3:10: workers: found \"0\", expected `auto` or a whole "
                                      "number from 1 to 256\n");
    assert_error_at_top("workers: [2]", "f:3:10: workers: found a list, expected `auto` or a whole "
                                        "number from 1 to 256\n");
    assert_error_at_top("client: { max_fields: 257 }",
                        "f:3:23: client.max_fields: found \"257\", expected a whole number from 1 "
                        "to 256\n");
    assert_error_in_pool("retries: -1", "f:5:14: pools.a.retries: found \"-1\", expected a whole "
                                        "number from 0 to 15\n");
    assert_error_in_pool("slots: 1000", "f:5:12: pools.a.slots: found \"1000\", expected a power "
                                        "of two from 1024 to 4194304\n");
    static const char *const not_primes[] = {"65536", "1", "5000021", "18446744073709551557"};
    for (size_t i = 0; i < 4; i++) {
        char option[64];
        char error[128];
        snprintf(option, sizeof option, "table_size: %s", not_primes[i]);
        snprintf(error, sizeof error,
                 "f:5:17: pools.a.table_size: found \"%s\", expected a prime number from 2 to "
                 "5000011\n",
                 not_primes[i]);
        assert_error_in_pool(option, error);
    }
    assert_error_in_pool("endpoints: [{ address: 'h:1', weight: -2 }]",
                         "f:5:43: pools.a.endpoints.0.weight: found \"-2\", expected a number from "
                         "0 to 65536\n");
    assert_error_in_pool("endpoints: [{ address: 'h:1', weight: 65536.5 }]",
                         "f:5:43: pools.a.endpoints.0.weight: found \"65536.5\", expected a number "
                         "from 0 to 65536\n");
}

static void test_wrong_sizes_and_durations(void **state)
{
    (void)state;
    assert_error_at_top("buffer_size: 64q",
                        "f:3:14: buffer_size: found \"64q\", expected a size with its unit (b, k, "
                        "m, g) from 8k to 16m\n");
    assert_error_at_top("buffer_size: 65536",
                        "f:3:14: buffer_size: found \"65536\", expected a size with its unit (b, "
                        "k, m, g) from 8k to 16m\n");
    assert_error_at_top("drain_timeout: 30",
                        "f:3:16: drain_timeout: found \"30\", expected a duration with its unit "
                        "(ms, s, m, h) from 1ms to 24h\n");
    assert_error_at_top("consul: { wait: 11m }",
                        "f:3:17: consul.wait: found \"11m\", expected a duration with its unit "
                        "(ms, s, m, h) from 1s to 10m\n");
}

static void test_wrong_words(void **state)
{
    (void)state;
    assert_error_at_top("consul: { stale: yes }",
                        "f:3:18: consul.stale: found \"yes\", expected `true` or `false`\n");
    assert_error_at_top("log: { level: loud }",
                        "f:3:15: log.level: found \"loud\", expected `debug`, `info`, `warn` or "
                        "`error`\n");
    assert_error_in_pool("health_check: { method: POST }",
                         "f:5:29: pools.a.health_check.method: found \"POST\", expected `GET` or "
                         "`HEAD`\n");
}

static void test_wrong_texts_paths_and_hosts(void **state)
{
    (void)state;
    assert_error_at_top("log: { access: \"a\\nb\" }",
                        "f:3:16: log.access: found \"a\\x0ab\", expected text without control "
                        "characters\n");
    assert_error_in_pool(
        "health_check: { path: health }",
        "f:5:27: pools.a.health_check.path: found \"health\", expected a path that "
        "begins with / and has no spaces\n");
    assert_error_in_pool("health_check: { path: '/a b' }",
                         "f:5:27: pools.a.health_check.path: found \"/a b\", expected a path that "
                         "begins with / and has no spaces\n");
    static const char *const hosts[] = {"a:80", "*.", "*", "a b", "*.1.2.3.4", "::1"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        char line[100];
        char expected[200];
        snprintf(line, sizeof(line), "routes: [{ host: '%s', pool: a }]", hosts[i]);
        snprintf(expected, sizeof(expected),
                 "f:3:18: routes.0.host: found \"%s\", expected a host name without port, such as "
                 "`images.example.com` or `*.example.com`\n",
                 hosts[i]);
        assert_error_at_top(line, expected);
    }
}

static void test_wrong_addresses(void **state)
{
    (void)state;
    assert_error_at_top("admin: localhost:9090",
                        "f:3:8: admin: found \"localhost:9090\", expected a numeric address with "
                        "its port: `127.0.0.1:8080`, `[::1]:8080`, or `:8080` for all addresses\n");
    assert_error_in_pool("endpoints: ':80'",
                         "f:5:16: pools.a.endpoints: found \":80\", expected a host with its port: "
                         "`10.0.0.1:80`, `[2001:db8::1]:80` or `images.internal:80`\n");
    static const char *const urls[] = {"localhost",  "ftp://x",      "http://",
                                       "http:///",   "http://:8500", "http://a/b",
                                       "http://a:0", "http://u@h",   "https://a b:1"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
        char line[100];
        char expected[300];
        snprintf(line, sizeof(line), "consul: { address: ['http://a', '%s'] }", urls[i]);
        snprintf(expected, sizeof(expected),
                 "f:3:33: consul.address.1: found \"%s\", expected an address such as "
                 "`http://127.0.0.1:8500` or `https://consul.internal:8501`, or a list of them\n",
                 urls[i]);
        assert_error_at_top(line, expected);
    }
}

static void test_wrong_ranges_of_addresses(void **state)
{
    (void)state;
    static const char *const ranges[] = {
        "10.0.0.1/8", "10.0.0.0/33",    "10.0.0.0/",   "10.0.0.0/-1", "10.0.0.0/8/8",  "10.0.0",
        "[::1]",      "2001:db8::/129", "proxy.local", "::/+0",       "2001:db8::1/64"};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
        char line[100];
        char expected[300];
        snprintf(line, sizeof(line), "client: { trusted_proxies: ['::1', '%s'] }", ranges[i]);
        snprintf(
            expected, sizeof(expected),
            "f:3:36: client.trusted_proxies.1: found \"%s\", expected an address or a range of "
            "them without bits behind its prefix, such as `10.0.0.0/8` or `2001:db8::/32`, or "
            "a list of them\n",
            ranges[i]);
        assert_error_at_top(line, expected);
    }
}

static void test_wrong_hash_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {"moon",     "header",     "header:",   "header:a b",
                                       "path:x",   "query:",     "query:a&b", "cookie:a=b",
                                       "cookie:é", "header:a\tb"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        char line[100];
        snprintf(line, sizeof(line), "hash_key: \"%s\"", keys[i]);
        char text[300];
        snprintf(text, sizeof(text), "listeners: ':80'\npools:\n  a:\n    service: a\n    %s\n",
                 line);
        char *printed = errors_of(text, strlen(text));
        assert_non_null(strstr(printed, "f:5:15: pools.a.hash_key: found"));
        free(printed);
    }
    assert_error_in_pool("hash_key: moon",
                         "f:5:15: pools.a.hash_key: found \"moon\", expected `path`, "
                         "`path:COUNT`, `uri`, `query`, `query:NAME`, `header:NAME`, "
                         "`cookie:NAME`, `host`, `method`, `client`, `client/BITS`, `forwarded`, "
                         "`forwarded/BITS`, `json:NAME.NAME`, `form:NAME`, `none`, or a template "
                         "of them with the filters `lower`, `sorted` and `optional`, such as "
                         "`{host}{path:2|lower}`\n");
}

static void test_wrong_status_codes(void **state)
{
    (void)state;
    static const char *const codes[] = {"99",  "600",  "20",      "2000", "200-199",  "200-600",
                                        "2xx", "200-", "200-20x", "-200", "200 - 300"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        char line[100];
        char expected[300];
        snprintf(line, sizeof(line), "health_check: { expect: [200, '%s'] }", codes[i]);
        snprintf(expected, sizeof(expected),
                 "f:5:35: pools.a.health_check.expect.1: found \"%s\", expected a status code or "
                 "range from 100 to 599, such as `200` or `200-399`, or a list of them\n",
                 codes[i]);
        assert_error_in_pool(line, expected);
    }
    assert_error_in_pool("health_check: { expect: [] }",
                         "f:5:29: pools.a.health_check.expect: found an empty list, expected a "
                         "status code or range from 100 to 599, such as `200` or `200-399`, or a "
                         "list of them\n");
}

static void test_values_of_the_wrong_shape(void **state)
{
    (void)state;
    assert_error_at_top("client: 7", "f:3:9: client: found \"7\", expected a map of options\n");
    assert_error_at_top("client: []", "f:3:9: client: found a list, expected a map of options\n");
    assert_error_at_top("log: { level: { a: b } }", "f:3:15: log.level: found a map, expected "
                                                    "`debug`, `info`, `warn` or `error`\n");
    assert_error_in_pool("health_check: { expect: [null] }",
                         "f:5:30: pools.a.health_check.expect.0: found null, expected a status "
                         "code or range from 100 to 599, such as `200` or `200-399`, or a list of "
                         "them\n");
    assert_errors("listeners: ':80'\npools: []\n",
                  "f:2:8: pools: found a list, expected a map from names to sections; each section "
                  "is a map of options\n");
    assert_errors("listeners: ':80'\npools: { a: x }\n",
                  "f:2:13: pools.a: found \"x\", expected a map of options\n");
}

static void test_what_is_missing_is_named(void **state)
{
    (void)state;
    static const char nothing[] =
        "f:1:1: listeners: missing, expected a list; each entry is a map of options, or the "
        "`address` alone\n"
        "f:1:1: pools: missing, expected a map from names to sections; each section is a map of "
        "options\n";
    assert_errors("", nothing);
    assert_errors("# only a comment\n", nothing);
    assert_errors("{}", nothing);
    assert_errors("---\nnull\n", nothing);
    assert_error_at_top("routes: [{ path: /x }]",
                        "f:3:10: routes.0.pool: missing, expected text without control "
                        "characters\n");
    assert_error_at_top("admin: {}",
                        "f:3:1: admin.address: missing, expected a numeric address with its port: "
                        "`127.0.0.1:8080`, `[::1]:8080`, or `:8080` for all addresses\n");
    assert_errors("listeners: [null]\npools: { a: { service: { tag: x } } }\n",
                  "f:1:13: listeners.0.address: missing, expected a numeric address with its port: "
                  "`127.0.0.1:8080`, `[::1]:8080`, or `:8080` for all addresses\n"
                  "f:2:15: pools.a.service.name: missing, expected text without control "
                  "characters\n");
}

static void test_empty_lists_of_what_must_be_there(void **state)
{
    (void)state;
    assert_errors("listeners: []\npools: {}\n",
                  "f:1:12: listeners: found an empty list, expected at least one listener\n"
                  "f:2:8: pools: found an empty map, expected at least one pool\n");
    assert_errors("listeners: ':80'\npools:\n  a:\n  b: { endpoints: [] }\nroutes: { pool: a }\n",
                  "f:3:3: pools.a: found neither endpoints nor a service, expected one of them or "
                  "both\n"
                  "f:4:3: pools.b: found neither endpoints nor a service, expected one of them or "
                  "both\n");
}

static void test_a_route_to_an_unknown_pool_lists_the_known(void **state)
{
    (void)state;
    assert_error_at_top("routes:\n  - { path: /x, pool: b }",
                        "f:4:23: routes.0.pool: found \"b\", known pools: a\n");
}

static void test_several_pools_need_routes(void **state)
{
    (void)state;
    assert_errors("listeners: ':80'\npools: { a: { service: a }, b: { service: b } }\n",
                  "f:1:1: routes: missing, expected at least one route because there are 2 "
                  "pools\n");
}

static void test_a_pool_name_has_plain_characters(void **state)
{
    (void)state;
    assert_errors("listeners: ':80'\npools: { 'a b': { service: a } }\n",
                  "f:2:10: pools.a b: found a name with other characters than letters, digits, _ . "
                  "and -\n");
}

static void test_nothing_may_be_there_twice(void **state)
{
    (void)state;
    assert_errors("listeners: [':80', '[::1]:80', { address: '[0:0::1]:80' }, ':80']\n"
                  "admin: '[::1]:80'\npools: { a: { service: a } }\n",
                  "f:1:43: listeners.2.address: found the address of listeners.1 again\n"
                  "f:1:60: listeners.3.address: found the address of listeners.0 again\n"
                  "f:2:8: admin.address: found the address of listeners.1 again\n"
                  "f:2:8: admin.address: found the address of listeners.2 again\n");
    assert_error_in_pool("endpoints: [A:1, b:1, { address: a:1 }, a:2]",
                         "f:5:38: pools.a.endpoints.2: found the address of endpoint 0 again\n");
    assert_error_in_pool(
        "endpoints: [{ address: 'a:1', id: x }, { address: 'a:2', id: x }, { address: 'a:3' }]",
        "f:5:66: pools.a.endpoints.1: found the id of endpoint 0 again\n");
    assert_error_in_pool("endpoints: [{ address: 'a:1' }, { address: '[::1]:2', id: 'a:1' }]",
                         "f:5:63: pools.a.endpoints.1: found the id of endpoint 0 again\n");
    assert_error_in_pool("endpoints: [{ address: '[::1]:1' }, { address: 'a:2', id: '[::1]:1' }]",
                         "f:5:63: pools.a.endpoints.1: found the id of endpoint 0 again\n");
    assert_error_at_top(
        "routes: [{ host: A, pool: a }, { pool: a }, { host: a, path: /, pool: a }]",
        "f:3:45: routes.2: found the host and path of routes.0 again\n");
}

static void test_memory_is_for_sixteen_buffers_of_each_worker_at_least(void **state)
{
    (void)state;
    assert_error_at_top("memory_limit: 1m\nworkers: 3",
                        "f:3:15: memory_limit: found 1048576 bytes, expected at least 1572864: "
                        "16 of buffer_size for each worker\n");
}

static void test_a_buffer_holds_a_head_and_4k_more(void **state)
{
    (void)state;
    assert_error_at_top("buffer_size: 19k",
                        "f:3:14: buffer_size: found a buffer_size of 19456 bytes and a "
                        "client.max_head_size of 16384, expected the first to be at least 4k "
                        "larger\n");
    assert_error_at_top("client: { max_head_size: 29k }",
                        "f:3:26: client.max_head_size: found a buffer_size of 32768 bytes and a "
                        "client.max_head_size of 29696, expected the first to be at least 4k "
                        "larger\n");
}

static void test_consul_settings_that_contradict_each_other(void **state)
{
    (void)state;
    assert_error_at_top("consul: { backoff_min: 2s, backoff_max: 1s }",
                        "f:3:41: consul.backoff_max: found less than backoff_min, expected at "
                        "least that\n");
    assert_error_at_top("consul: { backoff_min: 31s }",
                        "f:3:9: consul.backoff_max: found less than backoff_min, expected at least "
                        "that\n");
    assert_error_at_top("consul: { token: a, token_file: b }",
                        "f:3:33: consul.token_file: found token and token_file, expected one of "
                        "them\n");
    assert_error_at_top("consul: { key_file: b }",
                        "f:3:21: consul.key_file: found one of cert_file and key_file, expected "
                        "both\n");
    assert_error_at_top("consul: { cert_file: b }",
                        "f:3:22: consul.cert_file: found one of cert_file and key_file, expected "
                        "both\n");
}

static void test_a_secret_is_not_repeated(void **state)
{
    (void)state;
    assert_error_at_top("consul: { token: \"hush\\n\" }",
                        "f:3:18: consul.token: found a value not shown here, expected text without "
                        "control characters\n");
}

static void test_all_mistakes_come_at_once_in_the_order_of_the_file(void **state)
{
    (void)state;
    assert_errors("pools:\n"
                  "  a: { service: a, retries: x, algorithm: y }\n"
                  "colour: blue\n"
                  "workers: many\n",
                  "f:1:1: listeners: missing, expected a list; each entry is a map of options, or "
                  "the `address` alone\n"
                  "f:2:29: pools.a.retries: found \"x\", expected a whole number from 0 to 15\n"
                  "f:2:43: pools.a.algorithm: found \"y\", expected `hash`, `ring`, `round_robin`, "
                  "`least_requests`, `random_two`, `nginx`, `libmemcached`, `libmemcached_md5`, "
                  "`libmemcached_weighted`, `libmemcached_spy`, `haproxy`, `envoy_maglev`, "
                  "`envoy_ring` or `jump`\n"
                  "f:3:1: colour: unknown key, expected one of workers, buffer_size, "
                  "memory_limit, take_over, drain_timeout, traceparent, listeners, admin, client, "
                  "forwarded_headers, "
                  "request_id, consul, acme, log, routes, pools\n"
                  "f:4:10: workers: found \"many\", expected `auto` or a whole number from 1 to "
                  "256\n");
}

static void test_long_and_strange_values_are_shortened_and_escaped(void **state)
{
    (void)state;
    char line[300] = "log: { level: \"\\\"\\\\";
    memset(line + strlen(line), 'x', 200);
    strncat(line, "\" }", 4);
    char text[1024];
    snprintf(text, sizeof(text), "listeners: ':80'\npools: { a: { service: a } }\n%s\n", line);
    char *printed = errors_of(text, strlen(text));
    assert_non_null(strstr(printed, "found \"\\\"\\\\xxxx"));
    assert_non_null(strstr(printed, "xxx...\", expected"));
    assert_true(strlen(printed) < 200);
    free(printed);
}

static void test_broken_yaml_has_its_place(void **state)
{
    (void)state;
    assert_errors("a: [1,\nb: 2\n", "f:3:1: while parsing a flow sequence: did not find expected "
                                    "',' or ']'\n");
    assert_errors("a: 'x\n", "f:2:1: while scanning a quoted scalar: found unexpected end of "
                             "stream\n");
    assert_errors("a: *b\n", "f:1:4: found undefined alias\n");
    assert_errors("a: 1\nb: \xff\n", "f:2:4: invalid leading UTF-8 octet\n");
}

static void test_text_that_is_no_map_of_options(void **state)
{
    (void)state;
    assert_errors("hello\n", "f:1:1: found text, expected a map of options\n");
    assert_errors("- a\n", "f:1:1: found a list, expected a map of options\n");
    assert_errors("{ [a]: b }\n",
                  "f:1:1: listeners: missing, expected a list; each entry is a map of options, or "
                  "the `address` alone\n"
                  "f:1:1: pools: missing, expected a map from names to sections; each section is "
                  "a map of options\n"
                  "f:1:3: found a list or map as a key, expected a name\n");
}

static void test_a_second_document_is_refused(void **state)
{
    (void)state;
    assert_errors("listeners: ':80'\npools: { a: { service: a } }\n---\nworkers: 2\n",
                  "f:4:1: found a second document, expected one\n");
}

static void test_a_nul_character_is_refused(void **state)
{
    (void)state;
    assert_error_at_top("log: { access: \"a\\0b\" }",
                        "f:3:16: found a NUL character, expected text without one\n");
    assert_error_at_top("\"workers\\0x\": 2", "f:3:1: found a NUL character in a key\n");
}

static void test_aliases_that_grow_without_end_are_refused(void **state)
{
    (void)state;
    char *printed = errors_of("a: &a [*a]\n", 11);
    assert_non_null(strstr(printed, "found more than 32 levels, aliases followed\n"));
    free(printed);
    char bomb[2000] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 8; i++) {
        char line[200];
        snprintf(line, sizeof(line), "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        strncat(bomb, line, sizeof(bomb) - strlen(bomb) - 1);
    }
    printed = errors_of(bomb, strlen(bomb));
    assert_non_null(strstr(printed, "found more than a million values, aliases followed\n"));
    free(printed);
}

static void test_a_file_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct conf_errors errors = {0};
    assert_null(conf_load_file("/nonexistent/quoit.yaml", &errors));
    assert_null(conf_load_file("/", &errors));
    assert_int_equal(errors.n, 2);
    assert_string_equal(errors.list[0].file, "/nonexistent/quoit.yaml");
    assert_int_equal(errors.list[0].line, 0);
    assert_string_equal(errors.list[0].text, "cannot be read: No such file or directory");
    assert_string_equal(errors.list[1].text, "cannot be read: Is a directory");
    conf_errors_fini(&errors);
}

/* The place that a mistake about key gets which is found later. */
static void assert_found_later(const char *path, const char *key, const char *expected)
{
    struct conf_errors errors = {0};
    char place[32];
    conf_errors_add_later(&errors, path, key, "wrong");
    assert_int_equal(errors.n, 1);
    assert_string_equal(errors.list[0].file, path);
    assert_string_equal(errors.list[0].key, key);
    assert_string_equal(errors.list[0].text, "wrong");
    snprintf(place, sizeof(place), "%u:%u", errors.list[0].line, errors.list[0].column);
    assert_string_equal(place, expected);
    conf_errors_fini(&errors);
}

static void test_a_mistake_that_is_found_later_has_its_place_too(void **state)
{
    (void)state;
    static const char text[] = "listeners:\n"
                               "  - ':80'\n"
                               "  - { tls: { certificates: a.pem } }\n"
                               "pools:\n"
                               "  a: { tls: { cert: x } }\n"
                               "  a.b: { tls: { cert: y } }\n";
    char path[] = "/tmp/quoit-test-XXXXXX";
    int fd = mkstemp(path);
    assert_int_not_equal(fd, -1);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_found_later(path, "listeners.1.tls.certificates", "3:28");
    assert_found_later(path, "listeners.1.tls.certificates.0.key", "3:28");
    assert_found_later(path, "listeners.1.tls.curves", "3:12");
    assert_found_later(path, "pools.a.tls.cert", "5:21");
    assert_found_later(path, "pools.a.b.tls.cert", "6:23");
    assert_found_later(path, "acme.ca_file", "1:1");
    unlink(path);
    assert_found_later(path, "pools", "0:0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retries_are_for_known_conditions_only),
        cmocka_unit_test(test_an_unknown_key_suggests_the_nearest),
        cmocka_unit_test(test_the_service_of_a_grpc_check_has_a_longest_name),
        cmocka_unit_test(test_an_identity_is_a_word_or_a_key_of_metadata),
        cmocka_unit_test(test_a_ramp_is_not_for_the_algorithms_of_other_programs),
        cmocka_unit_test(test_an_unknown_key_without_a_near_one_lists_what_there_is),
        cmocka_unit_test(test_a_key_that_is_there_twice_names_the_first),
        cmocka_unit_test(test_wrong_numbers),
        cmocka_unit_test(test_wrong_sizes_and_durations),
        cmocka_unit_test(test_wrong_words),
        cmocka_unit_test(test_wrong_texts_paths_and_hosts),
        cmocka_unit_test(test_wrong_addresses),
        cmocka_unit_test(test_wrong_ranges_of_addresses),
        cmocka_unit_test(test_wrong_hash_keys),
        cmocka_unit_test(test_wrong_status_codes),
        cmocka_unit_test(test_values_of_the_wrong_shape),
        cmocka_unit_test(test_what_is_missing_is_named),
        cmocka_unit_test(test_empty_lists_of_what_must_be_there),
        cmocka_unit_test(test_a_route_to_an_unknown_pool_lists_the_known),
        cmocka_unit_test(test_several_pools_need_routes),
        cmocka_unit_test(test_a_pool_name_has_plain_characters),
        cmocka_unit_test(test_nothing_may_be_there_twice),
        cmocka_unit_test(test_memory_is_for_sixteen_buffers_of_each_worker_at_least),
        cmocka_unit_test(test_a_buffer_holds_a_head_and_4k_more),
        cmocka_unit_test(test_consul_settings_that_contradict_each_other),
        cmocka_unit_test(test_a_secret_is_not_repeated),
        cmocka_unit_test(test_all_mistakes_come_at_once_in_the_order_of_the_file),
        cmocka_unit_test(test_long_and_strange_values_are_shortened_and_escaped),
        cmocka_unit_test(test_broken_yaml_has_its_place),
        cmocka_unit_test(test_text_that_is_no_map_of_options),
        cmocka_unit_test(test_a_second_document_is_refused),
        cmocka_unit_test(test_a_nul_character_is_refused),
        cmocka_unit_test(test_aliases_that_grow_without_end_are_refused),
        cmocka_unit_test(test_a_file_that_cannot_be_read_is_an_error),
        cmocka_unit_test(test_a_service_is_for_grpc_checks_only),
        cmocka_unit_test(test_a_mistake_that_is_found_later_has_its_place_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
