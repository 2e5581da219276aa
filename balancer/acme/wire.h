/*
 * One exchange at a time with an authority, asynchronously on a curl_loop: plain GETs, and POSTs
 * signed as RFC 8555 section 6 has it. Nonces are fetched where there is none, and a POST whose
 * nonce the authority does not like is sent again with another one, a bounded number of times.
 *
 * Answers are bounded in bytes and in time; redirects are not followed, and where the directory's
 * URL is https all others must be.
 */
#ifndef QUOIT_BALANCER_ACME_WIRE_H
#define QUOIT_BALANCER_ACME_WIRE_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "discovery/curl_loop.h"

struct wire;

/* Valid during the call only. */
struct wire_reply {
    const char *error; /* why there is no answer; NULL: there is one */
    long status;
    const char *body;
    size_t body_n;
    const char *location;  /* "": none */
    int64_t retry_after_s; /* -1: none */
};

/* Once for each wire_get() and wire_post(), never before they return. The next may begin here. */
typedef void wire_done_fn(void *context, const struct wire_reply *reply);

/* Keeps conf. Returns 0 or -ENOMEM. */
int wire_new(struct curl_loop *curl, const struct conf_acme *conf, wire_done_fn *done,
             void *context, struct wire **ret_wire);

/* Ends what runs, without done(). Accepts NULL. */
void wire_free(struct wire *wire);
void wire_stop(struct wire *wire);

/* Who signs: a P-256 key, of which a reference is taken, and the account's URL; NULL: the key
 * itself stands in what it signs, until there is an account. */
void wire_set_key(struct wire *wire, EVP_PKEY *key);
void wire_set_account(struct wire *wire, const char *url);
EVP_PKEY *wire_key(const struct wire *wire); /* NULL: not set yet */
const char *wire_account(const struct wire *wire);

/* Where nonces come from; must be set before the first POST. */
void wire_set_nonce_url(struct wire *wire, const char *url);

/* Begins an exchange with what acme_is_url(); nothing may be running. payload is JSON, NULL for
 * POST-as-GET. Both are copied. Return 0 or -ENOMEM, then without done(). */
int wire_get(struct wire *wire, const char *url);
int wire_post(struct wire *wire, const char *url, const char *payload);

#endif
