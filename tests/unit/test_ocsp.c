/* What is asked about a certificate, and which answers are believed; how long one is stapled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/tls/ocsp.h"
#include "balancer/tls/staple.h"

#define HOUR 3600L

struct pair {
    X509 *cert;
    EVP_PKEY *key;
};

struct fixture {
    struct pair authority, leaf;
    time_t now;
};

/* What a response says; all zero but signer: good, from now on for an hour. */
struct answer {
    const struct pair *signer;
    const struct pair *shown; /* a certificate that comes with it */
    X509 *about;              /* NULL: the leaf */
    int status;
    time_t from, until; /* seconds from now */
    bool is_endless;
};

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* issuer NULL: of its own. extension 0: none but what an authority has. */
static struct pair make_pair(const char *name, const struct pair *issuer, long serial,
                             int extension, const char *value)
{
    struct pair made = {.cert = X509_new(), .key = EVP_EC_gen("P-256")};
    const struct pair *by = issuer != NULL ? issuer : &made;
    assert_int_equal(X509_set_version(made.cert, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(made.cert), serial), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(made.cert), -24 * HOUR));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(made.cert), 24 * HOUR));
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(made.cert), "CN",
                                                MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(made.cert, X509_get_subject_name(by->cert)), 1);
    assert_int_equal(X509_set_pubkey(made.cert, made.key), 1);
    if (issuer == NULL)
        add_extension(made.cert, made.cert, NID_basic_constraints, "critical,CA:TRUE");
    if (extension != 0)
        add_extension(made.cert, by->cert, extension, value);
    assert_true(X509_sign(made.cert, by->key, EVP_sha256()) > 0);
    return made;
}

static void free_pair(struct pair pair)
{
    X509_free(pair.cert);
    EVP_PKEY_free(pair.key);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->authority = make_pair("authority", NULL, 1, 0, NULL);
    f->leaf = make_pair("leaf", &f->authority, 2, 0, NULL);
    f->now = time(NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    free_pair(f->authority);
    free_pair(f->leaf);
    free(f);
    return 0;
}

static OCSP_BASICRESP *make_basic(const struct fixture *f, const struct answer *answer)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    X509 *about = answer->about != NULL ? answer->about : f->leaf.cert;
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, about, f->authority.cert);
    time_t length = answer->until != 0 ? answer->until : HOUR;
    ASN1_TIME *from = ASN1_TIME_adj(NULL, f->now, 0, answer->from);
    ASN1_TIME *until = ASN1_TIME_adj(NULL, f->now, 0, length);
    ASN1_TIME *revoked = answer->status == V_OCSP_CERTSTATUS_REVOKED ? from : NULL;
    assert_non_null(OCSP_basic_add1_status(basic, id, answer->status, 0, revoked, from,
                                           answer->is_endless ? NULL : until));
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return basic;
}

/* The DER response; its length. */
static size_t make_response(const struct fixture *f, const struct answer *answer,
                            uint8_t **ret_bytes)
{
    OCSP_BASICRESP *basic = make_basic(f, answer);
    STACK_OF(X509) *shown = sk_X509_new_null();
    if (answer->shown != NULL)
        assert_true(sk_X509_push(shown, answer->shown->cert) > 0);
    assert_int_equal(OCSP_basic_sign(basic, answer->signer->cert, answer->signer->key, EVP_sha256(),
                                     shown, OCSP_NOCERTS * (answer->shown == NULL)),
                     1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    *ret_bytes = NULL;
    int n = i2d_OCSP_RESPONSE(response, ret_bytes);
    assert_true(n > 0);
    sk_X509_free(shown);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    return (size_t)n;
}

static struct ocsp_verdict judge(const struct fixture *f, struct answer answer)
{
    uint8_t *bytes;
    if (answer.signer == NULL)
        answer.signer = &f->authority;
    size_t n = make_response(f, &answer, &bytes);
    struct ocsp_verdict verdict = ocsp_judge(f->leaf.cert, f->authority.cert, bytes, n, f->now);
    OPENSSL_free(bytes);
    return verdict;
}

static void assert_unusable(struct ocsp_verdict verdict, const char *why)
{
    assert_int_equal(verdict.status, OCSP_STATUS_UNUSABLE);
    assert_string_equal(verdict.why, why);
}

/* ---- who has signed */

static void test_a_response_signed_by_the_issuer_is_good_until_its_next_update(void **state)
{
    const struct fixture *f = *state;
    struct ocsp_verdict verdict = judge(f, (struct answer){.until = 2 * HOUR});
    assert_int_equal(verdict.status, OCSP_STATUS_GOOD);
    assert_int_equal(verdict.until, f->now + 2 * HOUR);
}

static void test_a_responder_that_the_issuer_has_delegated_to_is_believed(void **state)
{
    const struct fixture *f = *state;
    struct pair responder =
        make_pair("responder", &f->authority, 3, NID_ext_key_usage, "OCSPSigning");
    struct answer answer = {.signer = &responder, .shown = &responder};
    assert_int_equal(judge(f, answer).status, OCSP_STATUS_GOOD);
    free_pair(responder);
}

static void test_other_certificates_of_the_issuer_cannot_answer_for_it(void **state)
{
    const struct fixture *f = *state;
    struct pair responder =
        make_pair("responder", &f->authority, 3, NID_ext_key_usage, "serverAuth");
    assert_unusable(judge(f, (struct answer){.signer = &responder, .shown = &responder}),
                    "the OCSP response is not signed by the certificate's issuer or for it");
    free_pair(responder);
}

static void test_another_authority_of_the_same_name_is_not_believed(void **state)
{
    const struct fixture *f = *state;
    struct pair other = make_pair("authority", NULL, 1, 0, NULL);
    assert_unusable(judge(f, (struct answer){.signer = &other, .shown = &other}),
                    "the OCSP response is not signed by the certificate's issuer or for it");
    free_pair(other);
}

static void test_a_changed_byte_of_the_signature_is_noticed(void **state)
{
    const struct fixture *f = *state;
    uint8_t *bytes;
    size_t n = make_response(f, &(struct answer){.signer = &f->authority}, &bytes);
    bytes[n - 1] ^= 1;
    assert_int_equal(ocsp_judge(f->leaf.cert, f->authority.cert, bytes, n, f->now).status,
                     OCSP_STATUS_UNUSABLE);
    OPENSSL_free(bytes);
}

/* ---- what it says */

static void test_revoked_is_told_from_unusable(void **state)
{
    const struct fixture *f = *state;
    struct ocsp_verdict verdict = judge(f, (struct answer){.status = V_OCSP_CERTSTATUS_REVOKED});
    assert_int_equal(verdict.status, OCSP_STATUS_REVOKED);
    assert_string_equal(verdict.why, "the certificate is revoked");
}

static void test_what_the_responder_does_not_know_is_unusable(void **state)
{
    assert_unusable(judge(*state, (struct answer){.status = V_OCSP_CERTSTATUS_UNKNOWN}),
                    "the OCSP responder does not know the certificate");
}

static void test_a_response_about_another_certificate_is_unusable(void **state)
{
    const struct fixture *f = *state;
    struct pair other = make_pair("other", &f->authority, 9, 0, NULL);
    assert_unusable(judge(f, (struct answer){.about = other.cert}),
                    "an OCSP response about another certificate");
    free_pair(other);
}

static void test_a_response_is_valid_from_five_minutes_before_its_time(void **state)
{
    const struct fixture *f = *state;
    assert_int_equal(judge(f, (struct answer){.from = 300}).status, OCSP_STATUS_GOOD);
    assert_unusable(judge(f, (struct answer){.from = 301}), "the OCSP response is not valid yet");
}

static void test_an_expired_response_is_unusable(void **state)
{
    const struct fixture *f = *state;
    struct answer answer = {.from = -HOUR, .until = 1};
    assert_int_equal(judge(f, answer).status, OCSP_STATUS_GOOD);
    answer.until = -1;
    assert_unusable(judge(f, answer), "the OCSP response has expired");
}

static void test_a_response_must_say_until_when_it_is_valid(void **state)
{
    assert_unusable(judge(*state, (struct answer){.is_endless = true}),
                    "the OCSP response does not say until when it is valid");
}

static void test_an_error_of_the_responder_is_unusable(void **state)
{
    const struct fixture *f = *state;
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL);
    uint8_t *bytes = NULL;
    int n = i2d_OCSP_RESPONSE(response, &bytes);
    assert_unusable(ocsp_judge(f->leaf.cert, f->authority.cert, bytes, (size_t)n, f->now),
                    "an OCSP response that is an error");
    OPENSSL_free(bytes);
    OCSP_RESPONSE_free(response);
}

static void test_no_part_of_a_response_is_taken_for_one(void **state)
{
    const struct fixture *f = *state;
    uint8_t *bytes;
    size_t n = make_response(f, &(struct answer){.signer = &f->authority}, &bytes);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(ocsp_judge(f->leaf.cert, f->authority.cert, bytes, cut, f->now).status,
                         OCSP_STATUS_UNUSABLE);
    OPENSSL_free(bytes);
}

/* ---- what is asked */

static void test_the_request_names_the_certificate(void **state)
{
    const struct fixture *f = *state;
    uint8_t *bytes;
    size_t n = ocsp_request(f->leaf.cert, f->authority.cert, &bytes);
    const uint8_t *at = bytes;
    OCSP_REQUEST *request = d2i_OCSP_REQUEST(NULL, &at, (long)n);
    assert_non_null(request);
    assert_int_equal(OCSP_request_onereq_count(request), 1);
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, f->leaf.cert, f->authority.cert);
    assert_int_equal(OCSP_id_cmp(id, OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, 0))), 0);
    OCSP_CERTID_free(id);
    OCSP_REQUEST_free(request);
    OPENSSL_free(bytes);
}

static void test_the_issuer_is_found_wherever_it_stands_in_the_chain(void **state)
{
    const struct fixture *f = *state;
    struct pair other = make_pair("other", NULL, 1, 0, NULL);
    STACK_OF(X509) *chain = sk_X509_new_null();
    assert_true(sk_X509_push(chain, other.cert) > 0);
    assert_null(ocsp_issuer(f->leaf.cert, chain));
    assert_true(sk_X509_push(chain, f->authority.cert) > 0);
    assert_ptr_equal(ocsp_issuer(f->leaf.cert, chain), f->authority.cert);
    sk_X509_free(chain);
    free_pair(other);
}

static void test_the_first_responder_over_http_is_asked(void **state)
{
    const struct fixture *f = *state;
    struct pair leaf = make_pair("leaf", &f->authority, 3, NID_info_access,
                                 "OCSP;URI:ldap://a.test/,OCSP;URI:HTTP://b.test/x,"
                                 "OCSP;URI:http://c.test/");
    char *url = ocsp_responder(leaf.cert);
    assert_string_equal(url, "HTTP://b.test/x");
    OPENSSL_free(url);
    assert_null(ocsp_responder(f->leaf.cert));
    free_pair(leaf);
}

static void test_what_is_in_the_way_of_asking_is_told(void **state)
{
    const struct fixture *f = *state;
    struct pair leaf =
        make_pair("leaf", &f->authority, 3, NID_info_access, "OCSP;URI:http://a.test/");
    STACK_OF(X509) *chain = sk_X509_new_null();
    assert_string_equal(ocsp_obstacle(leaf.cert, chain),
                        "the certificate's issuer, whom OCSP needs, is not in the file");
    assert_true(sk_X509_push(chain, f->authority.cert) > 0);
    assert_null(ocsp_obstacle(leaf.cert, chain));
    assert_string_equal(ocsp_obstacle(f->leaf.cert, chain),
                        "the certificate names no OCSP responder with an http:// URL");
    sk_X509_free(chain);
    free_pair(leaf);
}

static void test_must_staple_is_the_feature_of_a_certificate(void **state)
{
    const struct fixture *f = *state;
    struct pair asks = make_pair("leaf", &f->authority, 3, NID_tlsfeature, "status_request");
    struct pair asks_other = make_pair("leaf", &f->authority, 4, NID_tlsfeature, "17");
    assert_true(ocsp_must_staple(asks.cert));
    assert_false(ocsp_must_staple(asks_other.cert));
    assert_false(ocsp_must_staple(f->leaf.cert));
    free_pair(asks);
    free_pair(asks_other);
}

static void test_a_response_is_fetched_again_at_half_of_what_is_left(void **state)
{
    (void)state;
    assert_int_equal(ocsp_refresh_after(1000, 1000 + 2 * HOUR), HOUR);
    assert_int_equal(ocsp_refresh_after(1000, 1002), 60);
}

/* ---- the staple */

static void test_nothing_is_stapled_from_its_next_update_on(void **state)
{
    (void)state;
    struct staple staple;
    uint8_t *copy = NULL;
    assert_int_equal(staple_init(&staple), 0);
    assert_int_equal(staple_copy(&staple, 10, &copy), 0);
    assert_int_equal(staple_set(&staple, (const uint8_t *)"one", 3, 20), 0);
    assert_int_equal(staple_set(&staple, (const uint8_t *)"other", 5, 30), 0);
    assert_int_equal(staple_until(&staple), 30);
    assert_int_equal(staple_copy(&staple, 30, &copy), 0);
    assert_null(copy);
    assert_int_equal(staple_copy(&staple, 29, &copy), 5);
    assert_memory_equal(copy, "other", 5);
    OPENSSL_free(copy);
    staple_clear(&staple);
    assert_int_equal(staple_copy(&staple, 29, &copy), 0);
    assert_int_equal(staple_until(&staple), 0);
    staple_fini(&staple);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_response_signed_by_the_issuer_is_good_until_its_next_update),
        TEST(test_a_responder_that_the_issuer_has_delegated_to_is_believed),
        TEST(test_other_certificates_of_the_issuer_cannot_answer_for_it),
        TEST(test_another_authority_of_the_same_name_is_not_believed),
        TEST(test_a_changed_byte_of_the_signature_is_noticed),
        TEST(test_revoked_is_told_from_unusable),
        TEST(test_what_the_responder_does_not_know_is_unusable),
        TEST(test_a_response_about_another_certificate_is_unusable),
        TEST(test_a_response_is_valid_from_five_minutes_before_its_time),
        TEST(test_an_expired_response_is_unusable),
        TEST(test_a_response_must_say_until_when_it_is_valid),
        TEST(test_an_error_of_the_responder_is_unusable),
        TEST(test_no_part_of_a_response_is_taken_for_one),
        TEST(test_the_request_names_the_certificate),
        TEST(test_the_issuer_is_found_wherever_it_stands_in_the_chain),
        TEST(test_the_first_responder_over_http_is_asked),
        TEST(test_what_is_in_the_way_of_asking_is_told),
        TEST(test_must_staple_is_the_feature_of_a_certificate),
        TEST(test_a_response_is_fetched_again_at_half_of_what_is_left),
        TEST(test_nothing_is_stapled_from_its_next_update_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
