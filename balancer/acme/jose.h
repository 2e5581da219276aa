/*
 * What ACME needs of JOSE: base64url (RFC 4648 section 5, without padding), keys as JSON (RFC 7517,
 * P-256 only), their thumbprints (RFC 7638), and signatures in the flattened form (RFC 7515), with
 * ES256 and, to bind an account, HS256. Pure.
 */
#ifndef QUOIT_BALANCER_ACME_JOSE_H
#define QUOIT_BALANCER_ACME_JOSE_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

/* Room for n bytes in base64url and a NUL. */
#define JOSE_TEXT_SIZE(n) (((n)*4 + 2) / 3 + 1)
#define JOSE_THUMBPRINT_SIZE JOSE_TEXT_SIZE(32)
#define JOSE_MAX_MAC_KEY 512

/* Writes base64url and a NUL. */
void jose_encode(const void *bytes, size_t n, char *ret_text);

/* The bytes of base64url text; padding at its end does not count. Returns 0, or -EINVAL when it is
 * none or does not fit into size. */
int jose_decode(const char *text, uint8_t *ret_bytes, size_t size, size_t *ret_n);

/* SHA-256 of text, in base64url. */
void jose_digest(const char *text, char ret_digest[JOSE_THUMBPRINT_SIZE]);

/* The public half of a P-256 key, its members in the order of RFC 7638; NULL: it is no such key. */
json_t *jose_jwk(const EVP_PKEY *key);

/* Returns 0, or -EINVAL when it is no such key. */
int jose_thumbprint(const EVP_PKEY *key, char ret_thumbprint[JOSE_THUMBPRINT_SIZE]);

/* A signed message: head (an object without "alg", which is added to it) and payload; NULL is the
 * empty payload of RFC 8555 section 6.3. The caller frees it. NULL when OpenSSL fails. */
char *jose_sign(EVP_PKEY *key, json_t *head, const char *payload);

/* The same with HMAC-SHA-256. */
char *jose_sign_hmac(const uint8_t *key, size_t key_n, json_t *head, const char *payload);

#endif
