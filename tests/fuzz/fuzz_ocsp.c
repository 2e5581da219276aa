/*
 * OCSP responses, which come over plain HTTP: what is good says until when, and lies ahead;
 * nobody's word but the issuer's is good, and no input is signed by it.
 */
#include <openssl/ocsp.h>
#include <stdlib.h>

#include "balancer/tls/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 2026-01-01: within the validity of the responses that the corpus begins with. */
static const time_t now = 1767225600;

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A certificate with a new key, signed by itself. */
static X509 *make_certificate(const char *name, long serial)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *made = X509_new();
    X509_NAME *subject = made != NULL ? X509_get_subject_name(made) : NULL;
    require(key != NULL && subject != NULL);
    require(ASN1_INTEGER_set(X509_get_serialNumber(made), serial) == 1);
    require(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1,
                                       0) == 1);
    require(X509_set_issuer_name(made, subject) == 1 && X509_set_pubkey(made, key) == 1);
    require(X509_sign(made, key, EVP_sha256()) > 0);
    EVP_PKEY_free(key);
    return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static X509 *issuer, *leaf;
    if (issuer == NULL) {
        issuer = make_certificate("issuer", 1);
        leaf = make_certificate("leaf", 2);
    }
    struct ocsp_verdict believed = ocsp_judge(leaf, NULL, data, size, now);
    require(believed.status == OCSP_STATUS_GOOD ? believed.until > now : believed.why != NULL);
    require(ocsp_judge(leaf, issuer, data, size, now).status == OCSP_STATUS_UNUSABLE);
    return 0;
}
