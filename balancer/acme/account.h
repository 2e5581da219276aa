/*
 * Our account at an authority: its key, and the request that makes it or finds it again (RFC 8555
 * section 7.3).
 */
#ifndef QUOIT_BALANCER_ACME_ACCOUNT_H
#define QUOIT_BALANCER_ACME_ACCOUNT_H

#include <jansson.h>
#include <openssl/evp.h>

#include "conf/conf.h"

/* The P-256 key in file, which is made, as its folder is, where there is none. Returns 0, or as
 * store_read_key(). */
int account_key(const char *folder, const char *file, EVP_PKEY **ret_key);

/* The payload for url, which is newAccount's: a reference, with the binding to an external account
 * in it where conf has one. Returns 0, or -errno when the binding's key is no good. */
int account_request(const struct conf_acme *conf, EVP_PKEY *key, const char *url,
                    json_t **ret_payload);

#endif
