/* The options of TLS: defaults, and what does not go together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "conf_support.h"

#define POOLS "pools: { web: { endpoints: ['127.0.0.1:1'] } }\n"

static struct conf *load(const char *text, struct conf_errors *errors)
{
    return conf_load_text("test.yaml", text, strlen(text), errors);
}

static void test_a_certificate_alone_makes_a_listener_secure(void **state)
{
    (void)state;
    struct conf_errors errors = {0};
    struct conf *conf = load(
        "listeners: [{ address: ':443', tls: { certificates: a.pem } }, ':80']\n" POOLS, &errors);
    assert_non_null(conf);
    const struct conf_tls *tls = &conf->listeners[0].tls;
    assert_int_equal(tls->n_certificates, 1);
    assert_string_equal(tls->certificates[0].cert_file, "a.pem");
    assert_null(tls->certificates[0].key_file);
    assert_int_equal(tls->min_version, CONF_TLS_1_2);
    assert_int_equal(tls->max_version, CONF_TLS_1_3);
    assert_true(tls->has_tickets);
    assert_int_equal(tls->client_auth, CONF_CLIENT_AUTH_NONE);
    assert_int_equal(conf->listeners[1].tls.n_certificates, 0);
    assert_false(conf->pools[0].tls.is_on);
    assert_null(conf->pools[0].check.tls);
    conf_free(conf);
}

static void test_an_empty_section_makes_a_pool_secure_and_verified(void **state)
{
    (void)state;
    struct conf_errors errors = {0};
    struct conf *conf = load(
        "listeners: ':80'\npools: { web: { endpoints: ['127.0.0.1:1'], tls: {} } }\n", &errors);
    assert_non_null(conf);
    assert_true(conf->pools[0].tls.is_on);
    assert_true(conf->pools[0].tls.verify);
    assert_ptr_equal(conf->pools[0].check.tls, &conf->pools[0].tls);
    conf_free(conf);
}

static void test_what_does_not_go_together_is_told_at_its_place(void **state)
{
    (void)state;
    refuse("listeners: [{ address: ':443', tls: { certificates: [] } }]\n" POOLS,
           "listeners.0.tls.certificates");
    refuse("listeners: [{ address: ':443', tls: { strict_sni: true } }]\n" POOLS,
           "listeners.0.tls.certificates");
    refuse("listeners: [':80', { address: ':443', tls: { certificates: a, min_version: '1.3', "
           "max_version: '1.2' } }]\n" POOLS,
           "listeners.1.tls.max_version");
    refuse(
        "listeners: { address: ':443', tls: { certificates: a, client_auth: optional } }\n" POOLS,
        "listeners.0.tls.client_auth");
    refuse("listeners: { address: ':443', tls: { certificates: a, client_crl_file: b } }\n" POOLS,
           "listeners.0.tls.client_crl_file");
    refuse("listeners: { address: ':443', tls: { certificates: a, client_ca_file: b } }\n" POOLS,
           "listeners.0.tls.client_ca_file");
    refuse("listeners: { address: ':443', http2: only, tls: { certificates: a, alpn: http/1.1 } "
           "}\n" POOLS,
           "listeners.0.tls.alpn");
    refuse("listeners: { address: ':443', http2: off, tls: { certificates: a, alpn: h2 } }\n" POOLS,
           "listeners.0.tls.alpn");
    refuse("listeners: ':80'\nclient: { subject_header: X-A, fingerprint_header: x-a }\n" POOLS,
           "client.fingerprint_header");
    refuse("listeners: { address: ':443', tls: { certificates: a, tickets: false, "
           "ticket_file: b } }\n" POOLS,
           "listeners.0.tls.ticket_file");
    refuse("listeners: { address: ':443', tls: { certificates: a, session_cache: 9, "
           "client_auth: required, client_ca_file: b } }\n" POOLS,
           "listeners.0.tls.session_cache");
    refuse("listeners: { address: ':443', redirect_https: true, tls: { certificates: a } }\n" POOLS,
           "listeners.0.tls.certificates");
    refuse("listeners: [{ address: ':443', tls: { certificates: a, alpn: [smtp] } }]\n" POOLS,
           "listeners.0.tls.alpn.0");
    refuse("listeners: ':80'\n"
           "pools: { web: { endpoints: ['127.0.0.1:1'], tls: { key: a } } }\n",
           "pools.web.tls.key");
    refuse("listeners: ':80'\npools: { web: { endpoints: ['127.0.0.1:1'], tls: {}, "
           "send_proxy_protocol: v1 } }\n",
           "pools.web.send_proxy_protocol");
    refuse("listeners: ':80'\nclient: { subject_header: Host }\n" POOLS, "client.subject_header");
}

static void test_http2_off_or_only_leaves_one_protocol_to_agree_on(void **state)
{
    (void)state;
    static const struct {
        const char *http2, *alpn;
        enum conf_alpn left;
    } cases[] = {
        {"only", "", CONF_ALPN_HTTP_2},
        {"only", ", alpn: [http/1.1, h2]", CONF_ALPN_HTTP_2},
        {"off", "", CONF_ALPN_HTTP_1_1},
        {"off", ", alpn: [h2, http/1.1]", CONF_ALPN_HTTP_1_1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        struct conf_errors errors = {0};
        (void)snprintf(
            text, sizeof text,
            "listeners: { address: ':443', http2: %s, tls: { certificates: a%s } }\n" POOLS,
            cases[i].http2, cases[i].alpn);
        struct conf *conf = load(text, &errors);
        assert_non_null(conf);
        assert_int_equal(conf->listeners[0].tls.n_alpn, 1);
        assert_int_equal(conf->listeners[0].tls.alpn[0], cases[i].left);
        conf_free(conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_certificate_alone_makes_a_listener_secure),
        cmocka_unit_test(test_an_empty_section_makes_a_pool_secure_and_verified),
        cmocka_unit_test(test_http2_off_or_only_leaves_one_protocol_to_agree_on),
        cmocka_unit_test(test_what_does_not_go_together_is_told_at_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
