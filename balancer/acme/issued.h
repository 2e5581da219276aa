/*
 * Certificates on both sides of an order: the request for one (RFC 2986), and what came of it.
 * Pure.
 */
#ifndef QUOIT_BALANCER_ACME_ISSUED_H
#define QUOIT_BALANCER_ACME_ISSUED_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ISSUED_ID_SIZE 256

struct issued {
    int64_t not_before_s, not_after_s; /* Unix time */
    char id[ISSUED_ID_SIZE];           /* for renewal information; "": it can have none */
};

/* A request for names with key, DER in base64url, which the caller frees; NULL when OpenSSL fails.
 */
char *issued_request(EVP_PKEY *key, char *const *names, size_t n);

/* A certificate's chain behind its key, which no other key in the chain can pass for then, and a
 * NUL; the caller frees it. NULL when memory is out. */
char *issued_join(const char *chain, size_t chain_n, EVP_PKEY *key, size_t *ret_n);

/*
 * Reads what issued_join() made, or a file of such: the first certificate must be for all the
 * names, have that key, and not be over at now_s. Returns 0, or -EBADMSG and why, in *ret_why (a
 * constant).
 */
int issued_read(const char *text, size_t text_n, char *const *names, size_t n, int64_t now_s,
                struct issued *ret_issued, const char **ret_why);

#endif
