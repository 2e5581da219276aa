/* Requests for certificates, what came of them, and when they are renewed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "balancer/acme/issued.h"
#include "balancer/acme/jose.h"
#include "balancer/acme/renewal.h"
#include "balancer/tls/self_signed.h"

#define DAY_S INT64_C(86400)

static char *names[] = {"a.test", "b.test"};

static void test_a_request_is_for_the_names_and_signed(void **state)
{
    (void)state;
    for (int kind = SELF_SIGNED_ECDSA; kind <= SELF_SIGNED_RSA; kind++) {
        uint8_t der[2048];
        size_t n;
        const uint8_t *at = der;
        EVP_PKEY *key = self_signed_key((enum self_signed_key)kind);
        char *text = issued_request(key, names, 2);
        assert_int_equal(jose_decode(text, der, sizeof der, &n), 0);
        X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)n);
        assert_non_null(request);
        assert_int_equal(X509_REQ_verify(request, key), 1);
        STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);
        GENERAL_NAMES *list = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
        assert_int_equal(sk_GENERAL_NAME_num(list), 2);
        GENERAL_NAMES_free(list);
        sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
        X509_REQ_free(request);
        free(text);
        EVP_PKEY_free(key);
    }
}

/* A certificate for names with key, as a file has it. */
static char *make_file(EVP_PKEY *key, size_t n_names, size_t *ret_n)
{
    char *pem = NULL;
    X509 *certificate = self_signed_certificate(key, names, n_names, NULL);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    long n = BIO_get_mem_data(bio, &pem);
    char *text = issued_join(pem, (size_t)n, key, ret_n);
    assert_non_null(text);
    BIO_free(bio);
    X509_free(certificate);
    return text;
}

static int read_at(const char *text, size_t n, int64_t now_s, const char **ret_why)
{
    struct issued issued;
    return issued_read(text, n, names, 2, now_s, &issued, ret_why);
}

static void test_what_was_issued_is_read_back(void **state)
{
    (void)state;
    EVP_PKEY *key = self_signed_key(SELF_SIGNED_ECDSA);
    size_t n;
    char *text = make_file(key, 2, &n);
    struct issued issued;
    const char *why = "";
    int64_t now_s = (int64_t)time(NULL);
    assert_int_equal(issued_read(text, n, names, 2, now_s, &issued, &why), 0);
    assert_true(issued.not_before_s < now_s && issued.not_after_s > now_s + 6 * DAY_S);
    assert_string_equal(issued.id, "");
    assert_int_equal(read_at(text, n, now_s + 8 * DAY_S, &why), -EBADMSG);
    assert_string_equal(why, "the certificate has expired");
    free(text);
    text = make_file(key, 1, &n);
    assert_int_equal(read_at(text, n, now_s, &why), -EBADMSG);
    assert_string_equal(why, "the certificate is not for all the names");
    free(text);
    EVP_PKEY_free(key);
}

static void test_a_key_of_another_certificate_is_none(void **state)
{
    (void)state;
    EVP_PKEY *key = self_signed_key(SELF_SIGNED_ECDSA), *other = self_signed_key(SELF_SIGNED_ECDSA);
    size_t n, joined_n;
    const char *why = "";
    char *text = make_file(key, 2, &n);
    /* A chain that brings a key of its own: the one that it is for. */
    char *joined = issued_join(text, n, other, &joined_n);
    assert_int_equal(read_at(joined, joined_n, 0, &why), -EBADMSG);
    assert_string_equal(why, "the key is not the certificate's");
    static const char begin[] = "-----BEGIN CERTIFICATE";
    const char *chain = memmem(text, n, begin, sizeof begin - 1);
    assert_non_null(chain);
    assert_int_equal(read_at(chain, n - (size_t)(chain - text), 0, &why), -EBADMSG);
    assert_int_equal(read_at("", 0, 0, &why), -EBADMSG);
    assert_string_equal(why, "no certificate in it");
    free(joined);
    free(text);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

/* RFC 9773 appendix A: a certificate with this key identifier and serial number. */
static void test_a_certificate_is_named_as_in_the_example(void **state)
{
    (void)state;
    static const uint8_t issuer[] = {0x69, 0x88, 0x5B, 0x6B, 0x87, 0x46, 0x40, 0x41, 0xE1, 0xB3,
                                     0x7B, 0x84, 0x7B, 0xA0, 0xAE, 0x2C, 0xDE, 0x01, 0xC8, 0xD4};
    EVP_PKEY *key = self_signed_key(SELF_SIGNED_ECDSA);
    X509 *leaf = self_signed_certificate(key, names, 2, NULL);
    AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
    id->keyid = ASN1_OCTET_STRING_new();
    assert_int_equal(ASN1_OCTET_STRING_set(id->keyid, issuer, sizeof issuer), 1);
    assert_int_equal(X509_add1_ext_i2d(leaf, NID_authority_key_identifier, id, 0, 0), 1);
    assert_int_equal(ASN1_INTEGER_set_uint64(X509_get_serialNumber(leaf), 0x87654321), 1);
    assert_true(X509_sign(leaf, key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    struct issued issued;
    const char *why;
    size_t n;
    assert_int_equal(PEM_write_bio_X509(bio, leaf), 1);
    long pem_n = BIO_get_mem_data(bio, &pem);
    char *text = issued_join(pem, (size_t)pem_n, key, &n);
    assert_int_equal(issued_read(text, n, names, 2, 0, &issued, &why), 0);
    assert_string_equal(issued.id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    free(text);
    BIO_free(bio);
    AUTHORITY_KEYID_free(id);
    X509_free(leaf);
    EVP_PKEY_free(key);
}

static void test_renewal_is_at_two_thirds_of_a_life(void **state)
{
    (void)state;
    const struct issued issued = {.not_before_s = 1000, .not_after_s = 1000 + 90 * DAY_S};
    assert_int_equal(renewal_usual_s(&issued), 1000 + 60 * DAY_S);
}

static void test_advice_is_followed_at_any_time_of_its_window(void **state)
{
    (void)state;
    const struct issued issued = {.not_before_s = 0, .not_after_s = 100 * DAY_S};
    const struct acme_window window = {.start_s = 10 * DAY_S, .end_s = 12 * DAY_S};
    int64_t first_s = INT64_MAX, last_s = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        int64_t at_s = renewal_advised_s(&issued, &window, 0, i * UINT64_C(0x9e3779b97f4a7c15));
        assert_true(at_s >= window.start_s && at_s < window.end_s);
        first_s = at_s < first_s ? at_s : first_s;
        last_s = at_s > last_s ? at_s : last_s;
    }
    assert_true(first_s < window.start_s + DAY_S / 10 && last_s > window.end_s - DAY_S / 10);
}

static void test_advice_to_come_too_late_is_not_followed(void **state)
{
    (void)state;
    const struct issued issued = {.not_before_s = 0, .not_after_s = 100 * DAY_S};
    const struct acme_window window = {.start_s = 200 * DAY_S, .end_s = 201 * DAY_S};
    assert_int_equal(renewal_advised_s(&issued, &window, 0, 7), 95 * DAY_S);
}

static void test_advice_to_come_at_once_is_followed_once_an_hour(void **state)
{
    (void)state;
    const struct issued issued = {.not_before_s = 0, .not_after_s = 100 * DAY_S};
    const struct acme_window window = {.start_s = DAY_S, .end_s = 2 * DAY_S};
    assert_true(renewal_advised_s(&issued, &window, 0, 7) < 2 * DAY_S);
    assert_int_equal(renewal_advised_s(&issued, &window, 5 * DAY_S, 7), 5 * DAY_S + 3600);
}

static void test_advice_is_asked_for_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(renewal_ask_again_s(-1), 6 * 3600);
    assert_int_equal(renewal_ask_again_s(0), 60);
    assert_int_equal(renewal_ask_again_s(7200), 7200);
    assert_int_equal(renewal_ask_again_s(INT64_MAX), 24 * 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_for_the_names_and_signed),
        cmocka_unit_test(test_what_was_issued_is_read_back),
        cmocka_unit_test(test_a_key_of_another_certificate_is_none),
        cmocka_unit_test(test_a_certificate_is_named_as_in_the_example),
        cmocka_unit_test(test_renewal_is_at_two_thirds_of_a_life),
        cmocka_unit_test(test_advice_is_followed_at_any_time_of_its_window),
        cmocka_unit_test(test_advice_to_come_too_late_is_not_followed),
        cmocka_unit_test(test_advice_to_come_at_once_is_followed_once_an_hour),
        cmocka_unit_test(test_advice_is_asked_for_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
