/* The options of ACME: what is enough, where files go, and what does not go together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "conf_support.h"

#define POOLS "pools: { web: { endpoints: ['127.0.0.1:1'] } }\n"
#define AGREED "acme: { agree_to_terms: true }\n"

static struct conf *load(const char *text, struct conf_errors *errors)
{
    return conf_load_text("test.yaml", text, strlen(text), errors);
}

static struct conf *accept(const char *text)
{
    struct conf_errors errors = {0};
    struct conf *conf = load(text, &errors);
    if (conf == NULL)
        fail_msg("%s: %s", errors.list[0].key, errors.list[0].text);
    return conf;
}

static void test_a_name_and_the_agreement_are_enough(void **state)
{
    (void)state;
    struct conf *conf =
        accept("listeners: { address: ':443', tls: { acme: WWW.example.com } }\n" AGREED POOLS);
    const struct conf_tls *tls = &conf->listeners[0].tls;
    assert_int_equal(tls->n_certificates, 1);
    assert_int_equal(tls->certificates[0].n_names, 1);
    assert_string_equal(tls->certificates[0].names[0], "www.example.com");
    assert_string_equal(
        tls->certificates[0].cert_file,
        "/var/lib/quoit/acme/acme-v02.api.letsencrypt.org-directory/www.example.com.pem");
    assert_true(conf->acme.is_used);
    assert_int_equal(conf->acme.challenge, CONF_ACME_TLS_ALPN_01);
    assert_int_equal(conf->acme.key_type, CONF_ACME_ECDSA);
    conf_free(conf);
}

static void test_the_short_form_stands_behind_other_certificates(void **state)
{
    (void)state;
    struct conf *conf = accept(
        "listeners:\n"
        "  - address: ':443'\n"
        "    tls: { certificates: [a.pem, { acme: [b.test, c.test] }], acme: [d.test, e.test] }\n"
        "acme: { agree_to_terms: true, storage: s, directory: 'https://ca:14000/dir?x' }\n" POOLS);
    const struct conf_certificate *all = conf->listeners[0].tls.certificates;
    assert_int_equal(conf->listeners[0].tls.n_certificates, 3);
    assert_string_equal(all[0].cert_file, "a.pem");
    assert_int_equal(all[0].n_names, 0);
    assert_string_equal(all[1].cert_file, "s/ca-14000-dir-x/b.test.pem");
    assert_int_equal(all[1].n_names, 2);
    assert_string_equal(all[2].cert_file, "s/ca-14000-dir-x/d.test.pem");
    conf_free(conf);
}

static void test_without_names_the_section_does_nothing(void **state)
{
    (void)state;
    struct conf *conf = accept("listeners: ':80'\nacme: { contact: 'mailto:a@b.test' }\n" POOLS);
    assert_false(conf->acme.is_used);
    assert_int_equal(conf->acme.n_contacts, 1);
    conf_free(conf);
}

static void test_one_certificate_may_serve_two_listeners(void **state)
{
    (void)state;
    struct conf *conf =
        accept("listeners:\n"
               "  - { address: ':443', tls: { acme: [a.test, b.test] } }\n"
               "  - { address: ':8443', tls: { acme: [a.test, b.test] } }\n" AGREED POOLS);
    assert_string_equal(conf->listeners[0].tls.certificates[0].cert_file,
                        conf->listeners[1].tls.certificates[0].cert_file);
    conf_free(conf);
}

#define SECURE "listeners: { address: ':443', tls: { acme: a.test } }\n"

static void test_what_cannot_be_is_told_at_its_place(void **state)
{
    (void)state;
    refuse(SECURE POOLS, "acme.agree_to_terms");
    refuse(SECURE "acme: { agree_to_terms: true, challenge: http-01 }\n" POOLS, "acme.challenge");
    refuse("listeners: [{ address: ':443', tls: { acme: '*.a.test' } }]\n" AGREED POOLS,
           "listeners.0.tls.acme");
    refuse("listeners: [{ address: ':443', tls: { acme: 192.0.2.1 } }]\n" AGREED POOLS,
           "listeners.0.tls.acme");
    refuse("listeners: [{ address: ':443', tls: { acme: [a.test, a_b.test] } }]\n" AGREED POOLS,
           "listeners.0.tls.acme.1");
    refuse("listeners: { address: ':443', tls: { acme: [a.test, A.test] } }\n" AGREED POOLS,
           "listeners.0.tls.acme");
    refuse("listeners: [{ address: ':443', tls: { acme: a.test } },\n"
           "            { address: ':444', tls: { acme: [a.test, b.test] } }]\n" AGREED POOLS,
           "listeners.1.tls.acme");
    refuse(
        "listeners: { address: ':443', tls: { certificates: [{ acme: a.test, key: b }] } }\n" AGREED
            POOLS,
        "listeners.0.tls.certificates.0.acme");
    refuse("listeners: { address: ':443', tls: { certificates: [{ ocsp: b }] } }\n" POOLS,
           "listeners.0.tls.certificates.0.cert");
}

static void test_the_section_is_checked_value_by_value(void **state)
{
    (void)state;
    refuse("listeners: ':80'\nacme: { contact: a@b.test }\n" POOLS, "acme.contact");
    refuse("listeners: ':80'\nacme: { contact: 'mailto:a@b.test,mailto:c@d.test' }\n" POOLS,
           "acme.contact");
    refuse("listeners: ':80'\nacme: { directory: 'http://ca.test/dir' }\n" POOLS, "acme.directory");
    refuse("listeners: ':80'\nacme: { directory: 'https:///dir' }\n" POOLS, "acme.directory");
    refuse("listeners: ':80'\nacme: { eab: { kid: a } }\n" POOLS, "acme.eab.key");
    refuse("listeners: ':80'\nacme: { eab: { kid: a, key: 'a+b/' } }\n" POOLS, "acme.eab.key");
    refuse("listeners: ':80'\nacme: { eab: { kid: a, key: abcd, key_file: f } }\n" POOLS,
           "acme.eab.key_file");
    struct conf *conf =
        accept("listeners: ':80'\nacme: { directory: 'http://127.0.0.1:4000/dir' }\n" POOLS);
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_and_the_agreement_are_enough),
        cmocka_unit_test(test_the_short_form_stands_behind_other_certificates),
        cmocka_unit_test(test_without_names_the_section_does_nothing),
        cmocka_unit_test(test_one_certificate_may_serve_two_listeners),
        cmocka_unit_test(test_what_cannot_be_is_told_at_its_place),
        cmocka_unit_test(test_the_section_is_checked_value_by_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
