/*
 * A certificate with its chain, its private key, the names it is for and what is stapled to it.
 */
#ifndef QUOIT_BALANCER_TLS_CERTIFICATE_H
#define QUOIT_BALANCER_TLS_CERTIFICATE_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "balancer/tls/report.h"
#include "balancer/tls/staple.h"
#include "conf/conf.h"

struct certificate {
    X509 *leaf;
    STACK_OF(X509) * chain; /* without the leaf */
    EVP_PKEY *key;
    char **names; /* DNS names in lower case, "*." at the front of some; may be none */
    size_t n_names;
    time_t not_after;
    bool is_placeholder;
    struct staple staple;
};

/*
 * Reads the files that conf names; key is the option that conf stands for. NULL, and said why, when
 * one cannot be read or the key is not the certificate's. One that has expired, or is not valid
 * yet, is warned of. An OCSP response that is no good is left out with a warning.
 */
struct certificate *certificate_load(const struct conf_certificate *conf, const char *key,
                                     const struct tls_report *report);

/* A self-signed one for the names of conf, until there is another. NULL when OpenSSL fails. */
struct certificate *certificate_placeholder(const struct conf_certificate *conf);

/* Accepts NULL. */
void certificate_free(struct certificate *certificate);

#endif
