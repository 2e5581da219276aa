#include "balancer/acme/jose.h"

#include <assert.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define P256_BYTES 32
#define ES256_BYTES 64       /* two of them */
#define MAX_DER_SIGNATURE 80 /* of P-256: at most 72 */

/* ---- base64url */

void jose_encode(const void *bytes, size_t n, char *ret_text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *in = bytes;
    uint32_t held = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < n; i++) {
        held = held << 8 | in[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            *ret_text++ = digits[held >> (n_bits - 6) & 63];
    }
    if (n_bits > 0)
        *ret_text++ = digits[held << (6 - n_bits) & 63];
    *ret_text = '\0';
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

int jose_decode(const char *text, uint8_t *ret_bytes, size_t size, size_t *ret_n)
{
    size_t length = strlen(text), n = 0;
    uint32_t held = 0;
    unsigned n_bits = 0;
    for (int i = 0; i < 2 && length > 0 && text[length - 1] == '='; i++)
        length--;
    if (length % 4 == 1 || length / 4 * 3 + (length % 4 + 1) / 2 > size)
        return -EINVAL;
    for (size_t i = 0; i < length; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return -EINVAL;
        held = held << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits < 8)
            continue;
        n_bits -= 8;
        ret_bytes[n++] = (uint8_t)(held >> n_bits);
    }
    *ret_n = n;
    return 0;
}

void jose_digest(const char *text, char ret_digest[JOSE_THUMBPRINT_SIZE])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    (void)SHA256((const uint8_t *)text, strlen(text), digest);
    jose_encode(digest, sizeof digest, ret_digest);
}

/* ---- keys */

static bool coordinate(const EVP_PKEY *key, const char *name,
                       char ret_text[JOSE_TEXT_SIZE(P256_BYTES)])
{
    uint8_t bytes[P256_BYTES];
    BIGNUM *number = NULL;
    bool is_done = EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
                   BN_bn2binpad(number, bytes, sizeof bytes) == (int)sizeof bytes;
    BN_free(number);
    if (is_done)
        jose_encode(bytes, sizeof bytes, ret_text);
    return is_done;
}

static bool is_p256(const EVP_PKEY *key)
{
    char group[32];
    size_t n;
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(key, group, sizeof group, &n) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

json_t *jose_jwk(const EVP_PKEY *key)
{
    char x[JOSE_TEXT_SIZE(P256_BYTES)], y[JOSE_TEXT_SIZE(P256_BYTES)];
    if (!is_p256(key) || !coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, x) ||
        !coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, y)) {
        ERR_clear_error();
        return NULL;
    }
    return json_pack("{s:s, s:s, s:s, s:s}", "crv", "P-256", "kty", "EC", "x", x, "y", y);
}

int jose_thumbprint(const EVP_PKEY *key, char ret_thumbprint[JOSE_THUMBPRINT_SIZE])
{
    json_t *jwk = jose_jwk(key);
    char *text = jwk != NULL ? json_dumps(jwk, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(jwk);
    if (text == NULL)
        return -EINVAL;
    jose_digest(text, ret_thumbprint);
    free(text);
    return 0;
}

/* ---- signatures */

/* OpenSSL's signature, two numbers in DER, as RFC 7518 section 3.4 has it: the numbers alone. */
static bool flatten(const uint8_t *der, size_t n, uint8_t ret_bytes[ES256_BYTES])
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)n);
    bool is_done =
        pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), ret_bytes, P256_BYTES) == P256_BYTES &&
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), ret_bytes + P256_BYTES, P256_BYTES) == P256_BYTES;
    ECDSA_SIG_free(pair);
    return is_done;
}

static bool es256(EVP_PKEY *key, const char *text, uint8_t ret_bytes[ES256_BYTES])
{
    uint8_t der[MAX_DER_SIGNATURE];
    size_t n = sizeof der;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_done = context != NULL && is_p256(key) &&
                   EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                   EVP_DigestSign(context, der, &n, (const uint8_t *)text, strlen(text)) == 1 &&
                   flatten(der, n, ret_bytes);
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return is_done;
}

static char *encode(const char *text)
{
    size_t n = strlen(text);
    char *encoded = malloc(JOSE_TEXT_SIZE(n));
    if (encoded == NULL)
        abort();
    jose_encode(text, n, encoded);
    return encoded;
}

/* "HEAD.PAYLOAD", both encoded: what is signed. */
static char *signing_input(json_t *head, const char *algorithm, const char *payload)
{
    (void)json_object_set_new(head, "alg", json_string(algorithm));
    char *head_text = json_dumps(head, JSON_COMPACT);
    assert(head_text != NULL);
    char *first = encode(head_text), *second = encode(payload != NULL ? payload : "");
    size_t size = strlen(first) + 1 + strlen(second) + 1;
    char *input = malloc(size);
    if (input == NULL)
        abort();
    (void)snprintf(input, size, "%s.%s", first, second);
    free(head_text);
    free(first);
    free(second);
    return input;
}

static char *message(const char *input, const uint8_t *signature, size_t n)
{
    char text[JOSE_TEXT_SIZE(ES256_BYTES)];
    const char *dot = strchr(input, '.');
    assert(n <= ES256_BYTES);
    jose_encode(signature, n, text);
    json_t *whole = json_pack("{s:s%, s:s, s:s}", "protected", input, (size_t)(dot - input),
                              "payload", dot + 1, "signature", text);
    char *made = json_dumps(whole, JSON_COMPACT);
    json_decref(whole);
    return made;
}

char *jose_sign(EVP_PKEY *key, json_t *head, const char *payload)
{
    uint8_t signature[ES256_BYTES];
    char *input = signing_input(head, "ES256", payload);
    bool is_signed = es256(key, input, signature);
    char *made = is_signed ? message(input, signature, sizeof signature) : NULL;
    free(input);
    return made;
}

char *jose_sign_hmac(const uint8_t *key, size_t key_n, json_t *head, const char *payload)
{
    uint8_t mac[SHA256_DIGEST_LENGTH];
    char *input = signing_input(head, "HS256", payload);
    bool is_signed = HMAC(EVP_sha256(), key, (int)key_n, (const uint8_t *)input, strlen(input), mac,
                          NULL) != NULL;
    char *made = is_signed ? message(input, mac, sizeof mac) : NULL;
    free(input);
    return made;
}
