/*
 * Keys, and certificates that are signed by nobody but themselves: what stands in for one that is
 * still to come, and what answers a challenge of TLS-ALPN-01 (RFC 8737).
 */
#ifndef QUOIT_BALANCER_TLS_SELF_SIGNED_H
#define QUOIT_BALANCER_TLS_SELF_SIGNED_H

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <stdint.h>

#define SELF_SIGNED_DIGEST_BYTES 32

enum self_signed_key { SELF_SIGNED_ECDSA, SELF_SIGNED_RSA }; /* P-256; 2048 bits */

/* A new private key; NULL when OpenSSL fails. */
EVP_PKEY *self_signed_key(enum self_signed_key kind);

/* The names as an extension's list, for a certificate or a request; NULL when memory is out. */
GENERAL_NAMES *self_signed_names(char *const *names, size_t n);

/* A certificate for names with key, good for a week. acme_digest is that of a challenge's answer,
 * for the extension acmeIdentifier; NULL: without. NULL when OpenSSL fails. */
X509 *self_signed_certificate(EVP_PKEY *key, char *const *names, size_t n,
                              const uint8_t acme_digest[SELF_SIGNED_DIGEST_BYTES]);

#endif
