/* JOSE for ACME, against the examples of the RFCs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/acme/jose.h"

/* RFC 7515 appendix A.3. */
#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define D "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"

static EVP_PKEY *example_key(void)
{
    uint8_t point[65] = {4}, secret[32];
    size_t n;
    EVP_PKEY *key = NULL;
    assert_int_equal(jose_decode(X, point + 1, 32, &n), 0);
    assert_int_equal(jose_decode(Y, point + 33, 32, &n), 0);
    assert_int_equal(jose_decode(D, secret, 32, &n), 0);
    BIGNUM *number = BN_bin2bn(secret, 32, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point);
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, number);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    assert_int_equal(EVP_PKEY_fromdata_init(context), 1);
    assert_int_equal(EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters), 1);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    BN_free(number);
    return key;
}

static void test_base64url_is_that_of_the_rfcs(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } pairs[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xff\xff\xfe", "___-"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[JOSE_TEXT_SIZE(8)];
        uint8_t bytes[8];
        size_t n = 99;
        jose_encode(pairs[i].bytes, strlen(pairs[i].bytes), text);
        assert_string_equal(text, pairs[i].text);
        assert_int_equal(jose_decode(text, bytes, sizeof bytes, &n), 0);
        assert_int_equal(n, strlen(pairs[i].bytes));
        assert_memory_equal(bytes, pairs[i].bytes, n);
    }
}

static void test_what_is_no_base64url_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "Zg+", "Z/==", "Zm 9v", "Zm9v=Zg", "====", "Zm9vZ"};
    uint8_t bytes[8];
    size_t n = 99;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(jose_decode(texts[i], bytes, sizeof bytes, &n), -EINVAL);
    assert_int_equal(jose_decode("Zm9vYmFyYmF6", bytes, sizeof bytes, &n), -EINVAL);
    assert_int_equal(n, 99);
    assert_int_equal(jose_decode("Zg==", bytes, 1, &n), 0);
    assert_int_equal(n, 1);
}

/* RFC 7638 section 3.1. */
static void test_a_digest_is_that_of_the_example(void **state)
{
    (void)state;
    char digest[JOSE_THUMBPRINT_SIZE];
    jose_digest("{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2"
                "aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn6"
                "4tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs"
                "8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lF"
                "d2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\"}",
                digest);
    assert_string_equal(digest, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

static void test_a_key_is_written_as_in_the_example(void **state)
{
    (void)state;
    EVP_PKEY *key = example_key();
    json_t *jwk = jose_jwk(key);
    char *text = json_dumps(jwk, JSON_COMPACT);
    assert_string_equal(text, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" X "\",\"y\":\"" Y "\"}");
    char thumbprint[JOSE_THUMBPRINT_SIZE], digest[JOSE_THUMBPRINT_SIZE];
    assert_int_equal(jose_thumbprint(key, thumbprint), 0);
    jose_digest(text, digest);
    assert_string_equal(thumbprint, digest);
    free(text);
    json_decref(jwk);
    EVP_PKEY_free(key);
}

static void test_keys_of_other_kinds_have_no_thumbprint(void **state)
{
    (void)state;
    char thumbprint[JOSE_THUMBPRINT_SIZE];
    EVP_PKEY *key = EVP_EC_gen("P-384");
    assert_int_equal(jose_thumbprint(key, thumbprint), -EINVAL);
    json_t *head = json_object();
    assert_null(jose_sign(key, head, "x"));
    json_decref(head);
    EVP_PKEY_free(key);
}

/* Signature and signing input of a message. */
static size_t open_message(const char *message, char *ret_input, size_t size, uint8_t *ret_bytes,
                           size_t bytes_size)
{
    size_t n;
    json_t *whole = json_loads(message, 0, NULL);
    assert_int_equal(json_object_size(whole), 3);
    (void)snprintf(ret_input, size, "%s.%s", json_string_value(json_object_get(whole, "protected")),
                   json_string_value(json_object_get(whole, "payload")));
    assert_int_equal(jose_decode(json_string_value(json_object_get(whole, "signature")), ret_bytes,
                                 bytes_size, &n),
                     0);
    json_decref(whole);
    return n;
}

static bool verify(EVP_PKEY *key, const char *input, const uint8_t signature[64])
{
    uint8_t der[80], *at = der;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    ECDSA_SIG_set0(pair, BN_bin2bn(signature, 32, NULL), BN_bin2bn(signature + 32, 32, NULL));
    int n = i2d_ECDSA_SIG(pair, &at);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
    bool is_good =
        EVP_DigestVerify(context, der, (size_t)n, (const uint8_t *)input, strlen(input)) == 1;
    EVP_MD_CTX_free(context);
    ECDSA_SIG_free(pair);
    return is_good;
}

static void test_a_signed_message_verifies(void **state)
{
    (void)state;
    EVP_PKEY *key = example_key();
    /* Numbers that begin with zero bytes come now and then: many are looked at. */
    for (int i = 0; i < 600; i++) {
        char input[256];
        uint8_t signature[64];
        json_t *head = json_pack("{s:s, s:i}", "url", "https://a.test/x", "i", i);
        char *message = jose_sign(key, head, i % 2 == 0 ? "{\"a\":1}" : NULL);
        assert_int_equal(open_message(message, input, sizeof input, signature, 64), 64);
        assert_true(verify(key, input, signature));
        input[0] ^= 1;
        assert_false(verify(key, input, signature));
        free(message);
        json_decref(head);
    }
    EVP_PKEY_free(key);
}

/* RFC 8555 section 6.3: POST-as-GET has the empty string for its payload. */
static void test_no_payload_is_the_empty_one(void **state)
{
    (void)state;
    EVP_PKEY *key = example_key();
    json_t *head = json_pack("{s:s}", "kid", "k");
    char *message = jose_sign(key, head, NULL);
    json_t *whole = json_loads(message, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(whole, "payload")), "");
    uint8_t bytes[64];
    size_t n;
    assert_int_equal(jose_decode(json_string_value(json_object_get(whole, "protected")), bytes,
                                 sizeof bytes, &n),
                     0);
    assert_memory_equal(bytes, "{\"kid\":\"k\",\"alg\":\"ES256\"}", n);
    json_decref(whole);
    free(message);
    json_decref(head);
    EVP_PKEY_free(key);
}

/* RFC 7520 section 4.4. */
static void test_hmac_is_that_of_the_example(void **state)
{
    (void)state;
    uint8_t key[64];
    size_t n;
    assert_int_equal(
        jose_decode("hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg", key, sizeof key, &n), 0);
    json_t *head =
        json_pack("{s:s, s:s}", "alg", "HS256", "kid", "018c0ae5-4d9b-471b-bfd6-eef314bc7037");
    char *message = jose_sign_hmac(
        key, n, head,
        "It\xe2\x80\x99s a dangerous business, Frodo, going out your door. You step onto the "
        "road, and if you don't keep your feet, there\xe2\x80\x99s no knowing where you might be "
        "swept off to.");
    json_t *whole = json_loads(message, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(whole, "protected")),
                        "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJj"
                        "NzAzNyJ9");
    assert_string_equal(json_string_value(json_object_get(whole, "signature")),
                        "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0");
    json_decref(whole);
    free(message);
    json_decref(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64url_is_that_of_the_rfcs),
        cmocka_unit_test(test_what_is_no_base64url_is_refused),
        cmocka_unit_test(test_a_digest_is_that_of_the_example),
        cmocka_unit_test(test_a_key_is_written_as_in_the_example),
        cmocka_unit_test(test_keys_of_other_kinds_have_no_thumbprint),
        cmocka_unit_test(test_a_signed_message_verifies),
        cmocka_unit_test(test_no_payload_is_the_empty_one),
        cmocka_unit_test(test_hmac_is_that_of_the_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
