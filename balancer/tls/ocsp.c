#include "balancer/tls/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

/* How far the responder's clock may be ahead of ours. */
#define MAX_SKEW_S 300
#define MIN_REFRESH_S 60
#define FEATURE_STATUS_REQUEST 5 /* the TLS extension of that number (RFC 6066) */

/* ---- what certificates say */

X509 *ocsp_issuer(X509 *leaf, STACK_OF(X509) * chain)
{
    for (int i = 0; i < sk_X509_num(chain); i++)
        if (X509_check_issued(sk_X509_value(chain, i), leaf) == X509_V_OK)
            return sk_X509_value(chain, i);
    return NULL;
}

char *ocsp_responder(X509 *leaf)
{
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(leaf);
    char *found = NULL;
    for (int i = 0; found == NULL && i < sk_OPENSSL_STRING_num(urls); i++) {
        const char *url = sk_OPENSSL_STRING_value(urls, i);
        if (strncasecmp(url, "http://", strlen("http://")) == 0)
            found = OPENSSL_strdup(url);
    }
    X509_email_free(urls);
    return found;
}

const char *ocsp_obstacle(X509 *leaf, STACK_OF(X509) * chain)
{
    char *url = ocsp_responder(leaf);
    bool has_responder = url != NULL;
    OPENSSL_free(url);
    if (!has_responder)
        return "the certificate names no OCSP responder with an http:// URL";
    bool has_issuer = ocsp_issuer(leaf, chain) != NULL;
    return has_issuer ? NULL : "the certificate's issuer, whom OCSP needs, is not in the file";
}

bool ocsp_must_staple(X509 *leaf)
{
    TLS_FEATURE *features = X509_get_ext_d2i(leaf, NID_tlsfeature, NULL, NULL);
    bool is_there = false;
    for (int i = 0; !is_there && i < sk_ASN1_INTEGER_num(features); i++)
        is_there = ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == FEATURE_STATUS_REQUEST;
    TLS_FEATURE_free(features);
    return is_there;
}

/* ---- the request */

size_t ocsp_request(X509 *leaf, X509 *issuer, uint8_t **ret_bytes)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, leaf, issuer);
    uint8_t *bytes = NULL;
    int n = 0;
    if (request != NULL && id != NULL && OCSP_request_add0_id(request, id) != NULL) {
        id = NULL; /* the request's now */
        n = i2d_OCSP_REQUEST(request, &bytes);
    }
    OCSP_CERTID_free(id);
    OCSP_REQUEST_free(request);
    ERR_clear_error();
    if (n <= 0)
        return 0;
    *ret_bytes = bytes;
    return (size_t)n;
}

/* ---- the response */

static struct ocsp_verdict unusable(const char *why)
{
    return (struct ocsp_verdict){.status = OCSP_STATUS_UNUSABLE, .why = why};
}

/* Whether it is signed by the issuer or by whom the issuer lets answer in its place. The issuer is
 * trusted itself: what it leads to is our clients' concern. */
static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer, time_t now)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *issuers = sk_X509_new_null();
    bool is_done = false;
    if (store != NULL && issuers != NULL && sk_X509_push(issuers, issuer) > 0 &&
        X509_STORE_add_cert(store, issuer) == 1 &&
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1) {
        X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), now);
        is_done = OCSP_basic_verify(basic, issuers, store, 0) == 1;
    }
    sk_X509_free(issuers);
    X509_STORE_free(store);
    return is_done;
}

/* The part of the response about the certificate; NULL: it has none. */
static OCSP_SINGLERESP *find_single(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
    if (issuer == NULL)
        return OCSP_resp_get0(basic, 0);
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, leaf, issuer);
    int at = id != NULL ? OCSP_resp_find(basic, id, -1) : -1;
    OCSP_CERTID_free(id);
    return at >= 0 ? OCSP_resp_get0(basic, at) : NULL;
}

static bool read_time(const ASN1_GENERALIZEDTIME *text, time_t *ret_time)
{
    struct tm parts = {0};
    if (text == NULL || ASN1_TIME_to_tm(text, &parts) != 1)
        return false;
    *ret_time = timegm(&parts);
    return true;
}

static struct ocsp_verdict judge_single(OCSP_SINGLERESP *single, time_t now)
{
    ASN1_GENERALIZEDTIME *this_update = NULL, *next_update = NULL;
    time_t from, until;
    int status = OCSP_single_get0_status(single, NULL, NULL, &this_update, &next_update);
    if (!read_time(this_update, &from) || from > now + MAX_SKEW_S)
        return unusable("the OCSP response is not valid yet");
    if (!read_time(next_update, &until))
        return unusable("the OCSP response does not say until when it is valid");
    if (until <= now)
        return unusable("the OCSP response has expired");
    if (status == V_OCSP_CERTSTATUS_REVOKED)
        return (struct ocsp_verdict){.status = OCSP_STATUS_REVOKED,
                                     .why = "the certificate is revoked"};
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return unusable("the OCSP responder does not know the certificate");
    return (struct ocsp_verdict){.status = OCSP_STATUS_GOOD, .until = until};
}

static struct ocsp_verdict judge_basic(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer, time_t now)
{
    if (issuer != NULL && !is_signed(basic, issuer, now))
        return unusable("the OCSP response is not signed by the certificate's issuer or for it");
    OCSP_SINGLERESP *single = find_single(basic, leaf, issuer);
    if (single == NULL)
        return unusable("an OCSP response about another certificate");
    return judge_single(single, now);
}

static struct ocsp_verdict judge_response(OCSP_RESPONSE *response, X509 *leaf, X509 *issuer,
                                          time_t now)
{
    if (response == NULL)
        return unusable("no OCSP response");
    if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return unusable("an OCSP response that is an error");
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    if (basic == NULL)
        return unusable("an OCSP response without an answer");
    struct ocsp_verdict verdict = judge_basic(basic, leaf, issuer, now);
    OCSP_BASICRESP_free(basic);
    return verdict;
}

struct ocsp_verdict ocsp_judge(X509 *leaf, X509 *issuer, const uint8_t *bytes, size_t n, time_t now)
{
    const uint8_t *at = bytes;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)n);
    struct ocsp_verdict verdict = judge_response(response, leaf, issuer, now);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return verdict;
}

time_t ocsp_refresh_after(time_t now, time_t until)
{
    time_t half = (until - now) / 2;
    return half > MIN_REFRESH_S ? half : MIN_REFRESH_S;
}
