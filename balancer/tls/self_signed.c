#include "balancer/tls/self_signed.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

#define VALID_S (7L * 24 * 3600)
/* Clocks differ. */
#define VALID_BEFORE_S (-3600L)
#define SERIAL_BYTES 16
#define RSA_BITS 2048

EVP_PKEY *self_signed_key(enum self_signed_key kind)
{
    EVP_PKEY *key = kind == SELF_SIGNED_RSA ? EVP_RSA_gen(RSA_BITS) : EVP_EC_gen("P-256");
    ERR_clear_error();
    return key;
}

static bool add_name(GENERAL_NAMES *list, const char *text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();
    if (name == NULL || string == NULL || ASN1_STRING_set(string, text, -1) != 1) {
        GENERAL_NAME_free(name);
        ASN1_IA5STRING_free(string);
        return false;
    }
    GENERAL_NAME_set0_value(name, GEN_DNS, string);
    if (sk_GENERAL_NAME_push(list, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

GENERAL_NAMES *self_signed_names(char *const *names, size_t n)
{
    GENERAL_NAMES *list = GENERAL_NAMES_new();
    bool is_done = list != NULL;
    for (size_t i = 0; is_done && i < n; i++)
        is_done = add_name(list, names[i]);
    if (is_done)
        return list;
    GENERAL_NAMES_free(list);
    return NULL;
}

static bool add_names(X509 *certificate, char *const *names, size_t n)
{
    GENERAL_NAMES *list = self_signed_names(names, n);
    bool is_done =
        list != NULL && X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, 0) == 1;
    GENERAL_NAMES_free(list);
    return is_done;
}

/* RFC 8737 section 3: critical, an OCTET STRING with the digest. */
static bool add_identifier(X509 *certificate, const uint8_t digest[SELF_SIGNED_DIGEST_BYTES])
{
    uint8_t der[2 + SELF_SIGNED_DIGEST_BYTES] = {V_ASN1_OCTET_STRING, SELF_SIGNED_DIGEST_BYTES};
    memcpy(der + 2, digest, SELF_SIGNED_DIGEST_BYTES);
    ASN1_OBJECT *type = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    bool is_done =
        type != NULL && value != NULL && ASN1_OCTET_STRING_set(value, der, (int)sizeof der) == 1;
    X509_EXTENSION *extension = is_done ? X509_EXTENSION_create_by_OBJ(NULL, type, 1, value) : NULL;
    is_done = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(type);
    return is_done;
}

static bool set_serial(X509 *certificate)
{
    uint8_t bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] &= 0x7f; /* positive */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool is_done =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return is_done;
}

static bool set_subject(X509 *certificate)
{
    static const unsigned char subject[] = "quoit, self-signed";
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, subject, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1;
}

static bool fill(X509 *certificate, EVP_PKEY *key, char *const *names, size_t n,
                 const uint8_t *acme_digest)
{
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), VALID_BEFORE_S) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S) != NULL &&
           set_subject(certificate) && X509_set_pubkey(certificate, key) == 1 &&
           add_names(certificate, names, n) &&
           (acme_digest == NULL || add_identifier(certificate, acme_digest)) &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

X509 *self_signed_certificate(EVP_PKEY *key, char *const *names, size_t n,
                              const uint8_t acme_digest[SELF_SIGNED_DIGEST_BYTES])
{
    X509 *certificate = X509_new();
    if (certificate != NULL && fill(certificate, key, names, n, acme_digest))
        return certificate;
    X509_free(certificate);
    ERR_clear_error();
    return NULL;
}
