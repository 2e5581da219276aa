#include "balancer/acme/issued.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "balancer/acme/jose.h"
#include "balancer/tls/self_signed.h"

/* Bytes of a key identifier, or of a serial number in DER. */
#define MAX_ID_PART 64

/* ---- requests */

static bool add_names(X509_REQ *request, char *const *names, size_t n)
{
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    GENERAL_NAMES *list = self_signed_names(names, n);
    bool is_done =
        list != NULL &&
        X509V3_add1_i2d(&extensions, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1 &&
        X509_REQ_add_extensions(request, extensions) == 1;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    GENERAL_NAMES_free(list);
    return is_done;
}

static char *encode_request(const X509_REQ *request)
{
    uint8_t *der = NULL;
    int n = i2d_X509_REQ(request, &der);
    char *text = n > 0 ? malloc(JOSE_TEXT_SIZE((size_t)n)) : NULL;
    if (text != NULL)
        jose_encode(der, (size_t)n, text);
    OPENSSL_free(der);
    return text;
}

char *issued_request(EVP_PKEY *key, char *const *names, size_t n)
{
    X509_REQ *request = X509_REQ_new();
    bool is_made = request != NULL && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
                   X509_REQ_set_pubkey(request, key) == 1 && add_names(request, names, n) &&
                   X509_REQ_sign(request, key, EVP_sha256()) > 0;
    char *text = is_made ? encode_request(request) : NULL;
    X509_REQ_free(request);
    ERR_clear_error();
    return text;
}

/* ---- what came of it */

char *issued_join(const char *chain, size_t chain_n, EVP_PKEY *key, size_t *ret_n)
{
    char *text = NULL, *key_text = NULL;
    BIO *bio = BIO_new(BIO_s_secmem());
    bool is_written =
        bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    long key_n = is_written ? BIO_get_mem_data(bio, &key_text) : 0;
    if (key_n > 0)
        text = malloc((size_t)key_n + chain_n + 1);
    if (text != NULL) {
        memcpy(text, key_text, (size_t)key_n);
        memcpy(text + key_n, chain, chain_n);
        text[(size_t)key_n + chain_n] = '\0';
        *ret_n = (size_t)key_n + chain_n;
    }
    BIO_free(bio);
    ERR_clear_error();
    return text;
}

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *text, int size, int is_write, void *context)
{
    (void)text, (void)size, (void)is_write, (void)context;
    return -1;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm parts = {0};
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

/* RFC 9773 section 4.1: the authority's key identifier, a dot, the serial number as it is in DER.
 */
static void make_id(const X509 *leaf, char ret_id[ISSUED_ID_SIZE])
{
    uint8_t serial[MAX_ID_PART], *at = serial;
    char first[JOSE_TEXT_SIZE(MAX_ID_PART)], second[JOSE_TEXT_SIZE(MAX_ID_PART)];
    AUTHORITY_KEYID *issuer = X509_get_ext_d2i(leaf, NID_authority_key_identifier, NULL, NULL);
    const ASN1_OCTET_STRING *id = issuer != NULL ? issuer->keyid : NULL;
    int serial_n = i2d_ASN1_INTEGER(X509_get0_serialNumber(leaf), NULL);
    bool is_there = id != NULL && id->length > 0 && id->length <= MAX_ID_PART && serial_n > 2 &&
                    serial_n <= (int)sizeof serial;
    ret_id[0] = '\0';
    if (is_there) {
        (void)i2d_ASN1_INTEGER(X509_get0_serialNumber(leaf), &at);
        jose_encode(id->data, (size_t)id->length, first);
        jose_encode(serial + 2, (size_t)serial_n - 2, second); /* without tag and length */
        (void)snprintf(ret_id, ISSUED_ID_SIZE, "%s.%s", first, second);
    }
    AUTHORITY_KEYID_free(issuer);
}

static bool is_for(X509 *leaf, char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (X509_check_host(leaf, names[i], 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) != 1)
            return false;
    return true;
}

static const char *judge(X509 *leaf, const EVP_PKEY *key, char *const *names, size_t n,
                         int64_t now_s)
{
    if (leaf == NULL)
        return "no certificate in it";
    if (key == NULL || X509_check_private_key(leaf, key) != 1)
        return "the key is not the certificate's";
    if (seconds_of(X509_get0_notAfter(leaf)) <= now_s)
        return "the certificate has expired";
    return is_for(leaf, names, n) ? NULL : "the certificate is not for all the names";
}

int issued_read(const char *text, size_t text_n, char *const *names, size_t n, int64_t now_s,
                struct issued *ret_issued, const char **ret_why)
{
    BIO *bio = BIO_new_mem_buf(text, (int)text_n);
    X509 *leaf = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    bio = BIO_new_mem_buf(text, (int)text_n);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    const char *wrong = judge(leaf, key, names, n, now_s);
    if (wrong == NULL) {
        ret_issued->not_before_s = seconds_of(X509_get0_notBefore(leaf));
        ret_issued->not_after_s = seconds_of(X509_get0_notAfter(leaf));
        make_id(leaf, ret_issued->id);
    } else {
        *ret_why = wrong;
    }
    X509_free(leaf);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return wrong == NULL ? 0 : -EBADMSG;
}
