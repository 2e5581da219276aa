/* Settings from the command line: alone, and over a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/load.h"

#define N(array) (sizeof(array) / sizeof(*(array)))

static struct conf *load(const struct conf_setting *settings, size_t n)
{
    struct conf_errors errors = {0};
    struct conf *conf = conf_load_settings(settings, n, &errors);
    conf_errors_print(&errors, stderr);
    assert_int_equal(errors.n, 0);
    assert_non_null(conf);
    conf_errors_fini(&errors);
    return conf;
}

/* A file with this text; the caller unlinks it. */
static void write_file(char path[static 32], const char *text)
{
    snprintf(path, 32, "/tmp/test_conf.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static struct conf *load_over(const char *text, const struct conf_setting *settings, size_t n)
{
    char path[32];
    struct conf_errors errors = {0};
    write_file(path, text);
    struct conf *conf = conf_load_file_with(path, settings, n, &errors);
    unlink(path);
    conf_errors_print(&errors, stderr);
    assert_non_null(conf);
    conf_errors_fini(&errors);
    return conf;
}

static void assert_error(const struct conf_setting *settings, size_t n, const char *expected)
{
    struct conf_errors errors = {0};
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_null(conf_load_settings(settings, n, &errors));
    conf_errors_print(&errors, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
    conf_errors_fini(&errors);
}

static void test_settings_alone_make_a_configuration(void **state)
{
    (void)state;
    const struct conf_setting settings[] = {
        {"--listen", "listeners.0.address", ":8080"},
        {"--listen", "listeners.1.address", "127.0.0.1:8081"},
        {"--backend", "pools.default.endpoints.0.address", "127.0.0.1:1"},
        {"--backend", "pools.default.endpoints.1.address", "127.0.0.1:2"},
        {"--backend", "pools.default.endpoints.1.weight", "2.5"},
        {NULL, "pools.default.health_check.path", "/health"},
    };
    struct conf *conf = load(settings, N(settings));
    assert_int_equal(conf->n_listeners, 2);
    assert_int_equal(conf->listeners[1].port, 8081);
    assert_int_equal(conf->n_pools, 1);
    assert_string_equal(conf->pools[0].name, "default");
    assert_int_equal(conf->pools[0].n_endpoints, 2);
    assert_true(conf->pools[0].endpoints[1].weight > 2.4);
    assert_int_equal(conf->pools[0].check.type, CONF_CHECK_HTTP);
    assert_string_equal(conf->pools[0].check.path, "/health");
    assert_int_equal(conf->n_routes, 1);
    conf_free(conf);
}

static void test_the_last_setting_of_a_key_counts(void **state)
{
    (void)state;
    const struct conf_setting settings[] = {
        {NULL, "listeners", ":8080"},
        {NULL, "pools.a.service", "a"},
        {NULL, "workers", "3"},
        {NULL, "workers", "4"},
    };
    struct conf *conf = load(settings, N(settings));
    assert_int_equal(conf->workers, 4);
    conf_free(conf);
}

static void test_a_number_turns_a_single_value_into_a_list(void **state)
{
    (void)state;
    const struct conf_setting settings[] = {
        {NULL, "listeners", ":8080"},
        {NULL, "pools.a.service", "a"},
        {NULL, "consul.address", "http://127.0.0.1:1"},
        {NULL, "consul.address.1", "http://127.0.0.1:2"},
    };
    struct conf *conf = load(settings, N(settings));
    assert_int_equal(conf->consul.n_addresses, 2);
    assert_string_equal(conf->consul.addresses[0], "http://127.0.0.1:1");
    assert_string_equal(conf->consul.addresses[1], "http://127.0.0.1:2");
    conf_free(conf);
}

static void test_a_backslash_keeps_a_dot_in_a_name(void **state)
{
    (void)state;
    const struct conf_setting settings[] = {
        {NULL, "listeners", ":8080"},
        {NULL, "pools.a\\.b.service", "a"},
    };
    struct conf *conf = load(settings, N(settings));
    assert_string_equal(conf->pools[0].name, "a.b");
    conf_free(conf);
}

static void test_settings_replace_what_the_file_says(void **state)
{
    (void)state;
    const struct conf_setting settings[] = {
        {NULL, "workers", "7"},
        {NULL, "listeners", "127.0.0.1:9000"},
        {NULL, "pools.a.endpoints.1.weight", "3"},
        {NULL, "pools.a.timeouts.connect", "1s"},
        {NULL, "log.access", "null"},
    };
    struct conf *conf = load_over("workers: 2\n"
                                  "listeners: [':1', ':2']\n"
                                  "log: { access: '-', level: warn }\n"
                                  "pools:\n"
                                  "  a: { endpoints: ['127.0.0.1:1', { address: '127.0.0.1:2' }],\n"
                                  "       timeouts: { idle: 7s } }\n",
                                  settings, N(settings));
    assert_int_equal(conf->workers, 7);
    assert_int_equal(conf->n_listeners, 1);
    assert_int_equal(conf->listeners[0].port, 9000);
    assert_int_equal(conf->pools[0].n_endpoints, 2);
    assert_true(conf->pools[0].endpoints[1].weight > 2.9);
    assert_int_equal(conf->pools[0].timeouts.connect_ms, 1000);
    assert_int_equal(conf->pools[0].timeouts.idle_ms, 7000);
    assert_null(conf->log.access_file);
    assert_int_equal(conf->log.level, CONF_LOG_WARN);
    conf_free(conf);
}

static void test_a_wrong_setting_is_named_by_its_flag(void **state)
{
    (void)state;
    const struct conf_setting settings[] = {
        {"--listen", "listeners.0.address", ":8080"},
        {"--backend", "pools.default.endpoints.0.address", "127.0.0.1:1"},
        {"--workers", "workers", "many"},
        {NULL, "pools.default.retries", "16"},
    };
    assert_error(
        settings, N(settings),
        "command line: pools.default.retries: found \"16\", expected a whole number from 0 to 15\n"
        "--workers: workers: found \"many\", expected `auto` or a whole number from 1 to 256\n");
}

static void test_a_key_without_sense_is_an_error(void **state)
{
    (void)state;
    const struct conf_setting settings[] = {
        {"--set", "listeners.0.address", ":8080"},
        {"--set", "pools.a.service", "a"},
        {"--set", "listeners.2.address", ":8081"},
        {"--set", "workers..x", "1"},
        {"--set", "", "1"},
        {"--set", "wokers", "1"},
    };
    assert_error(settings, N(settings),
                 "--set: found an empty name in the key\n"
                 "--set: listeners.2.address: found the index 2, expected one from 0 to 1\n"
                 "--set: wokers: unknown key, did you mean \"workers\"?\n"
                 "--set: workers..x: found an empty name in the key\n");
}

static void test_no_settings_miss_what_is_required(void **state)
{
    (void)state;
    assert_error(NULL, 0,
                 "command line: listeners: missing, expected a list; each entry is a map of "
                 "options, or the `address` alone\n"
                 "command line: pools: missing, expected a map from names to sections; each "
                 "section is a map of options\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_alone_make_a_configuration),
        cmocka_unit_test(test_the_last_setting_of_a_key_counts),
        cmocka_unit_test(test_a_number_turns_a_single_value_into_a_list),
        cmocka_unit_test(test_a_backslash_keeps_a_dot_in_a_name),
        cmocka_unit_test(test_settings_replace_what_the_file_says),
        cmocka_unit_test(test_a_wrong_setting_is_named_by_its_flag),
        cmocka_unit_test(test_a_key_without_sense_is_an_error),
        cmocka_unit_test(test_no_settings_miss_what_is_required),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
