#include "balancer/tls/outbound.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/tls/certificate.h"
#include "balancer/tls/files.h"

#define KEY_SIZE 160
#define HOST_SIZE OUTBOUND_NAME_SIZE

struct outbound {
    const struct conf_pool_tls *conf;
    char key[KEY_SIZE];
    pthread_rwlock_t lock; /* for the pointer to the context */
    SSL_CTX *context;
    uint64_t stamp; /* of the files, as of the last attempt to load them */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int slot_index; /* of a session's place for the one to resume later */

static void reserve_slot_index(void)
{
    slot_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* Returns 1: the session is kept. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    void **slot = SSL_get_ex_data(ssl, slot_index);
    if (slot == NULL)
        return 0;
    SSL_SESSION_free(*slot);
    *slot = session;
    return 1;
}

void outbound_forget(void *resumable)
{
    SSL_SESSION_free(resumable);
}

static int fail(const struct outbound *outbound, const char *name, const char *file,
                const char *expected, const struct tls_report *report)
{
    char key[KEY_SIZE + 32];
    (void)snprintf(key, sizeof key, "%s.%s", outbound->key, name);
    tls_say_failed(report, key, file, expected);
    return -EINVAL;
}

static int load_trust(const struct outbound *outbound, SSL_CTX *context,
                      const struct tls_report *report)
{
    const struct conf_pool_tls *conf = outbound->conf;
    if (!conf->verify)
        return 0;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (conf->ca_file == NULL)
        return SSL_CTX_set_default_verify_paths(context) == 1 ? 0 : -ENOMEM;
    if (SSL_CTX_load_verify_file(context, conf->ca_file) == 1)
        return 0;
    return fail(outbound, "ca_file", conf->ca_file, "certificates in PEM format", report);
}

static int load_own(const struct outbound *outbound, SSL_CTX *context,
                    const struct tls_report *report)
{
    const struct conf_pool_tls *conf = outbound->conf;
    if (conf->cert_file == NULL)
        return 0;
    const struct conf_certificate files = {.cert_file = conf->cert_file,
                                           .key_file = conf->key_file};
    struct certificate *own = certificate_load(&files, outbound->key, report);
    if (own == NULL)
        return -EINVAL;
    bool is_done = SSL_CTX_use_cert_and_key(context, own->leaf, own->key, own->chain, 1) == 1;
    certificate_free(own);
    return is_done ? 0
                   : fail(outbound, "cert", conf->cert_file, "a certificate that OpenSSL takes",
                          report);
}

static int configure(const struct outbound *outbound, SSL_CTX *context,
                     const struct tls_report *report)
{
    int least = outbound->conf->min_version == CONF_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    (void)SSL_CTX_set_min_proto_version(context, least);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    (void)SSL_CTX_set_session_cache_mode(context,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    int rc = load_trust(outbound, context, report);
    return rc == 0 ? load_own(outbound, context, report) : rc;
}

static uint64_t look(const struct outbound *outbound)
{
    uint64_t stamp = 0;
    files_look(&stamp, outbound->conf->ca_file);
    files_look(&stamp, outbound->conf->cert_file);
    files_look(&stamp, outbound->conf->key_file);
    return stamp;
}

int outbound_load(struct outbound *outbound, const struct tls_report *report)
{
    outbound->stamp = look(outbound);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        return -ENOMEM;
    int rc = configure(outbound, context, report);
    if (rc != 0) {
        SSL_CTX_free(context);
        return rc;
    }
    (void)pthread_rwlock_wrlock(&outbound->lock);
    SSL_CTX *old = outbound->context;
    outbound->context = context;
    (void)pthread_rwlock_unlock(&outbound->lock);
    SSL_CTX_free(old);
    return 0;
}

int outbound_new(const struct conf_pool_tls *conf, const char *key, const struct tls_report *report,
                 struct outbound **ret_outbound)
{
    struct outbound *outbound = calloc(1, sizeof *outbound);
    if (outbound == NULL || pthread_rwlock_init(&outbound->lock, NULL) != 0) {
        free(outbound);
        return -ENOMEM;
    }
    (void)pthread_once(&once, reserve_slot_index);
    outbound->conf = conf;
    (void)snprintf(outbound->key, sizeof outbound->key, "%s", key);
    int rc = outbound_load(outbound, report);
    if (rc != 0) {
        outbound_free(outbound);
        return rc;
    }
    *ret_outbound = outbound;
    return 0;
}

void outbound_free(struct outbound *outbound)
{
    if (outbound == NULL)
        return;
    SSL_CTX_free(outbound->context);
    (void)pthread_rwlock_destroy(&outbound->lock);
    free(outbound);
}

bool outbound_has_changed(const struct outbound *outbound)
{
    return look(outbound) != outbound->stamp;
}

static void host_of(const char *address, char ret_host[HOST_SIZE])
{
    bool has_brackets = address[0] == '[';
    const char *begin = has_brackets ? address + 1 : address;
    const char *end = has_brackets ? strchr(begin, ']') : strrchr(begin, ':');
    size_t n = end != NULL ? (size_t)(end - begin) : strlen(begin);
    (void)snprintf(ret_host, HOST_SIZE, "%.*s", (int)(n < HOST_SIZE ? n : HOST_SIZE - 1), begin);
}

static bool is_numeric(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

void outbound_name(const struct conf_pool_tls *conf, const char *address,
                   char ret_name[OUTBOUND_NAME_SIZE])
{
    char host[HOST_SIZE];
    host_of(address, host);
    const char *name = conf->server_name != NULL ? conf->server_name : host;
    (void)snprintf(ret_name, OUTBOUND_NAME_SIZE, "%s", is_numeric(name) ? "" : name);
}

/* Whom the endpoint must prove to be. RFC 6066 section 3: addresses are not asked for by name. */
static bool set_name(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (is_numeric(host))
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, host) == 1 &&
           X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}

static bool set_protocols(SSL *ssl, enum outbound_protocols protocols)
{
    static const unsigned char names[] = "\x02h2\x08http/1.1";
    const unsigned h2_n = 3, all_n = sizeof names - 1;
    unsigned from = protocols == OUTBOUND_HTTP_1 ? h2_n : 0;
    unsigned to = protocols == OUTBOUND_HTTP_2 ? h2_n : all_n;
    return SSL_set_alpn_protos(ssl, names + from, to - from) == 0;
}

SSL *outbound_open(struct outbound *outbound, const char *address,
                   enum outbound_protocols protocols, void **resumable)
{
    char host[HOST_SIZE];
    (void)pthread_rwlock_rdlock(&outbound->lock);
    SSL *ssl = SSL_new(outbound->context);
    (void)pthread_rwlock_unlock(&outbound->lock);
    if (ssl == NULL)
        return NULL;
    host_of(address, host);
    const char *name = outbound->conf->server_name;
    if (!set_name(ssl, name != NULL ? name : host) || !set_protocols(ssl, protocols) ||
        SSL_set_ex_data(ssl, slot_index, resumable) != 1) {
        ERR_clear_error();
        SSL_free(ssl);
        return NULL;
    }
    if (*resumable != NULL)
        (void)SSL_set_session(ssl, *resumable);
    SSL_set_connect_state(ssl);
    return ssl;
}
