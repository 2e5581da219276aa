/* The options of HTTP/2 to endpoints: defaults, and what does not go together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "conf_support.h"

#define POOL(options)                                                                              \
    "listeners: ':80'\npools: { web: { endpoints: ['127.0.0.1:1'], " options " } }\n"

static struct conf *load(const char *text, struct conf_errors *errors)
{
    return conf_load_text("test.yaml", text, strlen(text), errors);
}

static void test_without_the_option_endpoints_are_of_http_1(void **state)
{
    (void)state;
    struct conf_errors errors = {0};
    struct conf *conf = load(POOL("health_check: {}"), &errors);
    assert_non_null(conf);
    assert_int_equal(conf->pools[0].http2, CONF_HTTP2_OFF);
    assert_int_equal(conf->pools[0].http2_max_streams, 100);
    assert_false(conf->pools[0].check.is_http2);
    conf_free(conf);
}

static void test_checks_of_an_endpoints_own_port_speak_what_it_does(void **state)
{
    (void)state;
    struct conf_errors errors = {0};
    struct conf *conf = load(POOL("http2: only, health_check: {}"), &errors);
    assert_non_null(conf);
    assert_true(conf->pools[0].check.is_http2);
    conf_free(conf);
    conf = load(POOL("http2: only, health_check: { port: 81 }"), &errors);
    assert_non_null(conf);
    assert_false(conf->pools[0].check.is_http2);
    conf_free(conf);
    conf = load(POOL("http2: on, tls: {}, health_check: {}"), &errors);
    assert_non_null(conf);
    assert_false(conf->pools[0].check.is_http2);
    conf_free(conf);
}

static void test_what_does_not_go_together_is_told_at_its_place(void **state)
{
    (void)state;
    refuse(POOL("http2: on"), "pools.web.http2");
    refuse(POOL("http2: only, send_proxy_protocol: v1"), "pools.web.http2");
    refuse(POOL("http2: maybe"), "pools.web.http2");
    refuse(POOL("http2_max_streams: 0"), "pools.web.http2_max_streams");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_the_option_endpoints_are_of_http_1),
        cmocka_unit_test(test_checks_of_an_endpoints_own_port_speak_what_it_does),
        cmocka_unit_test(test_what_does_not_go_together_is_told_at_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
