#include "balancer/tls/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/tls/ocsp.h"
#include "balancer/tls/self_signed.h"

#define MAX_CHAIN 32

static void key_of(const char *key, const char *name, char *ret_text, size_t size)
{
    (void)snprintf(ret_text, size, "%s.%s", key, name);
}

void certificate_free(struct certificate *certificate)
{
    if (certificate == NULL)
        return;
    X509_free(certificate->leaf);
    sk_X509_pop_free(certificate->chain, X509_free);
    EVP_PKEY_free(certificate->key);
    staple_fini(&certificate->staple);
    for (size_t i = 0; i < certificate->n_names; i++)
        free(certificate->names[i]);
    free(certificate->names);
    free(certificate);
}

/* ---- files */

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *text, int size, int is_write, void *context)
{
    (void)text, (void)size, (void)is_write, (void)context;
    return -1;
}

static bool read_chain(struct certificate *certificate, BIO *bio)
{
    certificate->leaf = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
    certificate->chain = sk_X509_new_null();
    if (certificate->leaf == NULL || certificate->chain == NULL)
        return false;
    for (int i = 0; i < MAX_CHAIN; i++) {
        X509 *next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (next == NULL)
            break;
        if (sk_X509_push(certificate->chain, next) <= 0) {
            X509_free(next);
            return false;
        }
    }
    /* "no start line" is how the end of the file looks. */
    unsigned long code = ERR_peek_last_error();
    bool is_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (is_end || code == 0)
        ERR_clear_error();
    return is_end || code == 0;
}

static bool load_chain(struct certificate *certificate, const char *file)
{
    BIO *bio = BIO_new_file(file, "r");
    bool is_read = bio != NULL && read_chain(certificate, bio);
    BIO_free(bio);
    return is_read;
}

static bool load_key(struct certificate *certificate, const char *file)
{
    BIO *bio = BIO_new_file(file, "r");
    if (bio != NULL)
        certificate->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    return certificate->key != NULL;
}

/* ---- names */

static bool add_name(struct certificate *certificate, const char *text, size_t n)
{
    char *name = strndup(text, n);
    char **names = reallocarray(certificate->names, certificate->n_names + 1, sizeof *names);
    if (names != NULL)
        certificate->names = names;
    if (name == NULL || names == NULL) {
        free(name);
        return false;
    }
    for (char *c = name; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    certificate->names[certificate->n_names++] = name;
    return true;
}

/* A name with a NUL in it is an attempt to pass for a shorter one. */
static bool add_string(struct certificate *certificate, const ASN1_STRING *string)
{
    const char *text = (const char *)ASN1_STRING_get0_data(string);
    size_t n = (size_t)ASN1_STRING_length(string);
    if (n == 0 || memchr(text, '\0', n) != NULL)
        return true;
    return add_name(certificate, text, n);
}

static bool add_common_name(struct certificate *certificate)
{
    const X509_NAME *subject = X509_get_subject_name(certificate->leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return true;
    return add_string(certificate, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

/* The DNS names that it is for; the common name where it has none (RFC 6125 section 6.4.4). */
static bool find_names(struct certificate *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate->leaf, NID_subject_alt_name, NULL, NULL);
    bool is_done = true;
    for (int i = 0; is_done && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            is_done = add_string(certificate, name->d.dNSName);
    }
    if (names == NULL)
        is_done = add_common_name(certificate);
    GENERAL_NAMES_free(names);
    return is_done;
}

/* ---- dates */

static void check_dates(struct certificate *certificate, const char *key, const char *file,
                        const struct tls_report *report)
{
    struct tm end = {0};
    const ASN1_TIME *not_after = X509_get0_notAfter(certificate->leaf);
    if (ASN1_TIME_to_tm(not_after, &end) == 1)
        certificate->not_after = timegm(&end);
    if (X509_cmp_current_time(not_after) < 0)
        tls_say(report, TLS_WARNING, key, file, "certificate has expired");
    if (X509_cmp_current_time(X509_get0_notBefore(certificate->leaf)) > 0)
        tls_say(report, TLS_WARNING, key, file, "certificate is not valid yet");
}

/* ---- OCSP */

/* Why there is nothing to staple; NULL: there is. */
static const char *load_ocsp(struct certificate *certificate, const char *file)
{
    FILE *in = fopen(file, "re");
    if (in == NULL)
        return "the OCSP response cannot be opened";
    uint8_t *bytes = malloc(OCSP_MAX_BYTES);
    size_t n = bytes != NULL ? fread(bytes, 1, OCSP_MAX_BYTES, in) : 0;
    (void)fclose(in);
    X509 *issuer = ocsp_issuer(certificate->leaf, certificate->chain);
    struct ocsp_verdict verdict = ocsp_judge(certificate->leaf, issuer, bytes, n, time(NULL));
    if (verdict.status == OCSP_STATUS_GOOD &&
        staple_set(&certificate->staple, bytes, n, verdict.until) != 0)
        verdict.why = "no memory";
    free(bytes);
    return verdict.why;
}

/* ---- all together */

static bool load(struct certificate *certificate, const struct conf_certificate *conf,
                 const char *key, const struct tls_report *report)
{
    char cert_key[128], key_key[128], ocsp_key[128];
    const char *key_file = conf->key_file != NULL ? conf->key_file : conf->cert_file;
    key_of(key, "cert", cert_key, sizeof cert_key);
    key_of(key, "key", key_key, sizeof key_key);
    key_of(key, "ocsp", ocsp_key, sizeof ocsp_key);
    ERR_clear_error();
    if (!load_chain(certificate, conf->cert_file)) {
        tls_say_failed(report, cert_key, conf->cert_file, "a certificate in PEM format");
        return false;
    }
    if (!load_key(certificate, key_file)) {
        tls_say_failed(report, key_key, key_file,
                       "a private key in PEM format without a passphrase");
        return false;
    }
    if (X509_check_private_key(certificate->leaf, certificate->key) != 1) {
        tls_say_failed(report, key_key, key_file, "the key of the certificate");
        return false;
    }
    check_dates(certificate, cert_key, conf->cert_file, report);
    const char *wrong = conf->ocsp_file != NULL ? load_ocsp(certificate, conf->ocsp_file) : NULL;
    if (wrong != NULL)
        tls_say(report, TLS_WARNING, ocsp_key, conf->ocsp_file, wrong);
    return find_names(certificate);
}

static struct certificate *make_empty(void)
{
    struct certificate *certificate = calloc(1, sizeof *certificate);
    if (certificate != NULL && staple_init(&certificate->staple) == 0)
        return certificate;
    free(certificate);
    return NULL;
}

struct certificate *certificate_load(const struct conf_certificate *conf, const char *key,
                                     const struct tls_report *report)
{
    struct certificate *certificate = make_empty();
    if (certificate != NULL && load(certificate, conf, key, report))
        return certificate;
    certificate_free(certificate);
    return NULL;
}

static bool stand_in(struct certificate *certificate, const struct conf_certificate *conf)
{
    struct tm end = {0};
    certificate->is_placeholder = true;
    certificate->chain = sk_X509_new_null();
    certificate->key = self_signed_key(SELF_SIGNED_ECDSA);
    if (certificate->chain == NULL || certificate->key == NULL)
        return false;
    certificate->leaf = self_signed_certificate(certificate->key, conf->names, conf->n_names, NULL);
    if (certificate->leaf == NULL)
        return false;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate->leaf), &end) == 1)
        certificate->not_after = timegm(&end);
    return find_names(certificate);
}

struct certificate *certificate_placeholder(const struct conf_certificate *conf)
{
    struct certificate *certificate = make_empty();
    if (certificate != NULL && stand_in(certificate, conf))
        return certificate;
    certificate_free(certificate);
    return NULL;
}
