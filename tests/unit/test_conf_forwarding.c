/* Options about what endpoints are told of clients: their defaults, their words, their mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "conf_support.h"

#define TOP "listeners: ':80'\npools: { a: { service: a } }\n"

static struct conf *load(const char *text)
{
    struct conf_errors errors = {0};
    struct conf *conf = conf_load_text("f", text, strlen(text), &errors);
    conf_errors_print(&errors, stderr);
    conf_errors_fini(&errors);
    assert_non_null(conf);
    return conf;
}

static void test_the_defaults_believe_no_one_and_name_every_request(void **state)
{
    (void)state;
    struct conf *conf = load(TOP);
    assert_int_equal(conf->forwarded.family, CONF_FORWARDED_X);
    assert_int_equal(conf->forwarded.mode, CONF_FORWARDED_APPEND);
    assert_int_equal(conf->request_id.mode, CONF_REQUEST_ID_PASS);
    assert_string_equal(conf->request_id.header, "X-Request-Id");
    assert_false(conf->request_id.to_client);
    assert_int_equal(conf->traceparent, CONF_TRACEPARENT_PASS);
    assert_false(conf->listeners[0].proxy_protocol);
    assert_false(conf->admin.proxy_protocol);
    assert_int_equal(conf->pools[0].send_proxy, CONF_SEND_PROXY_OFF);
    conf_free(conf);
}

static void test_everything_can_be_said(void **state)
{
    (void)state;
    struct conf *conf = load("listeners: [{ address: ':80', proxy_protocol: true }, ':81']\n"
                             "client: { trusted_proxies: 10.0.0.0/8 }\n"
                             "forwarded_headers: { family: both, mode: pass }\n"
                             "request_id: { mode: create, header: X-Trace, to_client: true }\n"
                             "traceparent: start\n"
                             "pools: { a: { service: a, send_proxy_protocol: v1 },\n"
                             "         b: { service: b, send_proxy_protocol: v2 } }\n"
                             "routes: [{ pool: a }]\n");
    assert_int_equal(conf->forwarded.family, CONF_FORWARDED_BOTH);
    assert_int_equal(conf->forwarded.mode, CONF_FORWARDED_PASS);
    assert_int_equal(conf->request_id.mode, CONF_REQUEST_ID_CREATE);
    assert_string_equal(conf->request_id.header, "X-Trace");
    assert_true(conf->request_id.to_client);
    assert_int_equal(conf->traceparent, CONF_TRACEPARENT_START);
    assert_true(conf->listeners[0].proxy_protocol);
    assert_false(conf->listeners[1].proxy_protocol);
    assert_int_equal(conf->pools[0].send_proxy, CONF_SEND_PROXY_V1);
    assert_int_equal(conf->pools[1].send_proxy, CONF_SEND_PROXY_V2);
    conf_free(conf);
}

static void test_both_families_are_the_one_and_the_other(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        unsigned family;
    } families[] = {{"none", 0},
                    {"x_forwarded", CONF_FORWARDED_X},
                    {"forwarded", CONF_FORWARDED_RFC7239},
                    {"both", CONF_FORWARDED_X | CONF_FORWARDED_RFC7239}};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        char text[200];
        snprintf(text, sizeof text, TOP "forwarded_headers: { family: %s }", families[i].word);
        struct conf *conf = load(text);
        assert_int_equal(conf->forwarded.family, families[i].family);
        conf_free(conf);
    }
}

static void test_a_request_id_may_be_turned_off_by_a_word_alone(void **state)
{
    (void)state;
    struct conf *conf = load(TOP "request_id: off");
    assert_int_equal(conf->request_id.mode, CONF_REQUEST_ID_OFF);
    conf_free(conf);
}

static void test_a_header_with_another_meaning_cannot_carry_a_request_id(void **state)
{
    (void)state;
    static const char *const names[] = {"Host", "X-Forwarded-For", "content-LENGTH", "a b",
                                        "X:Y",  "Cookie",          "traceparent",    "X-\xc3\xa4"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[300], expected[300];
        snprintf(text, sizeof text, TOP "request_id: { header: '%s' }", names[i]);
        snprintf(expected, sizeof expected,
                 "f:3:23: request_id.header: found \"%s\", expected the name of a header field, of "
                 "at most 64 characters, that HTTP and quoit do not use for something else\n",
                 names[i]);
        assert_errors(text, expected);
    }
}

static void test_checks_of_the_same_port_begin_like_requests(void **state)
{
    (void)state;
    struct conf *conf =
        load("listeners: ':80'\nroutes: [{ pool: a }]\npools:\n"
             "  a: { service: a, send_proxy_protocol: v1, health_check: {} }\n"
             "  b: { service: a, send_proxy_protocol: v2, health_check: { port: 81 } }\n"
             "  c: { service: a, health_check: {} }\n");
    assert_true(conf->pools[0].check.sends_proxy);
    assert_false(conf->pools[1].check.sends_proxy);
    assert_false(conf->pools[2].check.sends_proxy);
    conf_free(conf);
}

static void test_a_proxy_protocol_without_trusted_proxies_is_a_mistake(void **state)
{
    (void)state;
    static const char expected[] = "found true, expected client.trusted_proxies to name who may "
                                   "send it\n";
    char text[200];
    snprintf(text, sizeof text, "f:1:53: listeners.1.proxy_protocol: %s", expected);
    assert_errors("listeners: [':80', {address: ':81', proxy_protocol: true}]\n"
                  "pools: { a: { service: a } }\n",
                  text);
    snprintf(text, sizeof text, "f:1:45: listeners.0.proxy_protocol: %s", expected);
    assert_errors("listeners: {address: ':81', proxy_protocol: true}\n"
                  "pools: { a: { service: a } }\n",
                  text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_defaults_believe_no_one_and_name_every_request),
        cmocka_unit_test(test_everything_can_be_said),
        cmocka_unit_test(test_both_families_are_the_one_and_the_other),
        cmocka_unit_test(test_a_request_id_may_be_turned_off_by_a_word_alone),
        cmocka_unit_test(test_a_header_with_another_meaning_cannot_carry_a_request_id),
        cmocka_unit_test(test_checks_of_the_same_port_begin_like_requests),
        cmocka_unit_test(test_a_proxy_protocol_without_trusted_proxies_is_a_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
