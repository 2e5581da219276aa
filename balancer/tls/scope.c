#include "balancer/tls/scope.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(SCOPE_BYTES == 32, "the size of SHA-256");

/* file may be NULL. A mark before each keeps the end of one from being the beginning of the next.
 */
static bool add_file(EVP_MD_CTX *digest, const char *mark, const char *file)
{
    uint8_t bytes[4096];
    size_t n;
    if (file == NULL)
        return true;
    FILE *stream = fopen(file, "rbe");
    if (stream == NULL)
        return false;
    bool is_fine = EVP_DigestUpdate(digest, mark, strlen(mark)) == 1;
    while (is_fine && (n = fread(bytes, 1, sizeof bytes, stream)) > 0)
        is_fine = EVP_DigestUpdate(digest, bytes, n) == 1;
    is_fine = is_fine && ferror(stream) == 0;
    (void)fclose(stream);
    return is_fine;
}

static bool add_rules(EVP_MD_CTX *digest, const struct conf_tls *conf, const char *key)
{
    const uint8_t auth = (uint8_t)conf->client_auth;
    if (EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(digest, key, strlen(key) + 1) != 1 ||
        EVP_DigestUpdate(digest, &auth, sizeof auth) != 1)
        return false;
    return conf->client_auth == CONF_CLIENT_AUTH_NONE ||
           (add_file(digest, "CA:", conf->client_ca_file) &&
            add_file(digest, "CRL:", conf->client_crl_file));
}

int scope_of(const struct conf_tls *conf, const char *key, uint8_t ret_scope[SCOPE_BYTES])
{
    uint8_t scope[SCOPE_BYTES];
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (digest == NULL)
        abort(); /* memory is out */
    bool is_fine = add_rules(digest, conf, key) && EVP_DigestFinal_ex(digest, scope, NULL) == 1;
    EVP_MD_CTX_free(digest);
    if (!is_fine)
        return -EIO;
    memcpy(ret_scope, scope, sizeof scope);
    return 0;
}

SSL_TICKET_RETURN scope_admit(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                              size_t name_n, SSL_TICKET_STATUS status, void *unused)
{
    (void)ssl, (void)name, (void)name_n, (void)unused;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    const X509 *peer = SSL_SESSION_get0_peer(session);
    if (peer != NULL && X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}
