/*
 * OCSP (RFC 6960, in the profile of RFC 5019): what is asked about a certificate, and what an
 * answer is worth. Pure: bytes in, bytes out.
 */
#ifndef QUOIT_BALANCER_TLS_OCSP_H
#define QUOIT_BALANCER_TLS_OCSP_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define OCSP_MAX_BYTES 65536 /* of a response */

/* The certificate of the chain that has signed leaf; NULL: none of them. */
X509 *ocsp_issuer(X509 *leaf, STACK_OF(X509) * chain);

/* The first responder with an http:// URL that the certificate names; NULL: none. The caller frees
 * it with OPENSSL_free(). */
char *ocsp_responder(X509 *leaf);

/* Why no response can be asked for, a constant; NULL: it can. */
const char *ocsp_obstacle(X509 *leaf, STACK_OF(X509) * chain);

/* Whether clients are told to expect a stapled response (RFC 7633). */
bool ocsp_must_staple(X509 *leaf);

/* The DER request, without a nonce so that responders may answer from a store. Returns its length,
 * 0 when memory is out; the caller frees the bytes with OPENSSL_free(). */
size_t ocsp_request(X509 *leaf, X509 *issuer, uint8_t **ret_bytes);

enum ocsp_status { OCSP_STATUS_GOOD, OCSP_STATUS_REVOKED, OCSP_STATUS_UNUSABLE };

struct ocsp_verdict {
    enum ocsp_status status;
    const char *why; /* it is not good; a constant */
    time_t until;    /* when it is good: nextUpdate, later than now */
};

/* A DER response, as of now. issuer may be NULL: signature and subject are believed then. */
struct ocsp_verdict ocsp_judge(X509 *leaf, X509 *issuer, const uint8_t *bytes, size_t n,
                               time_t now);

/* In how many seconds a response that is good until then is to be fetched again: half of what is
 * left of its validity, at least a minute. */
time_t ocsp_refresh_after(time_t now, time_t until);

#endif
