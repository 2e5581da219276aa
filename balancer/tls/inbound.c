#include "balancer/tls/inbound.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "balancer/tls/certificate.h"
#include "balancer/tls/challenges.h"
#include "balancer/tls/files.h"
#include "balancer/tls/names.h"
#include "balancer/tls/ocsp.h"
#include "balancer/tls/scope.h"
#include "balancer/tls/tickets.h"

#define KEY_SIZE 64
/* Longer than any of the protocols' names together, each with its length in front. */
#define ALPN_SIZE 64

/* What the clients that ask for some of the names get. */
struct context {
    SSL_CTX *ssl;
    struct names_choice choice;
    struct inbound_set *set;
};

struct inbound_set {
    _Atomic uint32_t references;
    struct inbound *inbound;
    struct certificate **certificates;
    size_t n_certificates;
    struct names names;
    struct context *contexts; /* the first is the default */
    size_t n_contexts;
    uint8_t scope[SCOPE_BYTES]; /* of its sessions */
    X509_STORE *authorities;    /* of clients' certificates; NULL: they are not asked for any */
    STACK_OF(X509_NAME) * authority_names;
};

struct inbound {
    const struct conf_tls *conf;
    char key[KEY_SIZE];
    struct tickets *tickets;
    struct challenges *challenges; /* NULL: none are answered */
    pthread_rwlock_t lock;         /* for the pointer to the set */
    struct inbound_set *set;
    uint64_t stamp; /* of the files, as of the last attempt to load them */
    double rotated_s;
    uint8_t alpn[ALPN_SIZE];
    size_t alpn_n;
};

/* ---- in the handshake: any worker */

static const struct context *context_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* The context that has the certificates of a name. */
static SSL_CTX *find_context(const struct inbound_set *set, const struct names_choice *choice)
{
    for (size_t i = 0; i < set->n_contexts; i++)
        if (memcmp(&set->contexts[i].choice, choice, sizeof *choice) == 0)
            return set->contexts[i].ssl;
    return NULL;
}

/* An authority that asks whether a name is ours is not a client. */
static int on_hello(SSL *ssl, int *alert, void *argument)
{
    (void)alert;
    const struct inbound *inbound = argument;
    if (inbound->challenges != NULL)
        (void)challenges_take_handshake(inbound->challenges, ssl);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int on_name(SSL *ssl, int *alert, void *argument)
{
    (void)argument;
    const struct inbound_set *set = context_of(ssl)->set;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct names_choice *choice = name != NULL ? names_find(&set->names, name) : NULL;
    if (choice != NULL) {
        (void)SSL_set_SSL_CTX(ssl, find_context(set, choice));
        return SSL_TLSEXT_ERR_OK;
    }
    if (!set->inbound->conf->strict_sni)
        return SSL_TLSEXT_ERR_NOACK;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_protocols(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                        const unsigned char *offered, unsigned offered_n, void *argument)
{
    (void)ssl;
    const struct inbound *inbound = argument;
    int found = SSL_select_next_proto((unsigned char **)ret, ret_n, inbound->alpn,
                                      (unsigned)inbound->alpn_n, offered, offered_n);
    /* RFC 7301 section 3.2: without a protocol in common there is nothing to talk. */
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_new)
{
    return tickets_use(context_of(ssl)->set->inbound->tickets, name, iv, cipher, mac, is_new);
}

/* Staples the response for the certificate that was chosen. */
static int on_status(SSL *ssl, void *argument)
{
    (void)argument;
    const struct context *context = context_of(ssl);
    const X509 *leaf = SSL_get_certificate(ssl);
    for (unsigned i = 0; i < NAMES_KINDS; i++) {
        uint32_t number = context->choice.by_kind[i];
        struct certificate *certificate =
            number != NAMES_NONE ? context->set->certificates[number] : NULL;
        if (certificate == NULL || certificate->leaf != leaf)
            continue;
        uint8_t *copy;
        size_t n = staple_copy(&certificate->staple, time(NULL), &copy);
        if (n == 0)
            break;
        SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)n); /* owns it now */
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* ---- a context */

static int version_of(enum conf_tls_version version)
{
    return version == CONF_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

static bool set_words(SSL_CTX *ssl, const struct inbound *inbound, const struct tls_report *report)
{
    const struct conf_tls *conf = inbound->conf;
    const struct {
        const char *name;
        bool is_done;
    } words[] = {
        {"ciphers", SSL_CTX_set_cipher_list(ssl, conf->ciphers) == 1},
        {"cipher_suites", SSL_CTX_set_ciphersuites(ssl, conf->cipher_suites) == 1},
        {"curves", SSL_CTX_set1_groups_list(ssl, conf->curves) == 1},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char key[KEY_SIZE + 64];
        if (words[i].is_done)
            continue;
        (void)snprintf(key, sizeof key, "%s.%s", inbound->key, words[i].name);
        tls_say(report, TLS_ERROR, key, NULL, "OpenSSL knows none of these, or not all");
        ERR_clear_error();
        return false;
    }
    return true;
}

/* OpenSSL gives what it caches an id; in TLS 1.3 this is a ticket that says nothing else. */
static void set_session_cache(SSL_CTX *ssl, const struct conf_tls *conf)
{
    bool is_used = conf->n_cached_sessions > 0;
    (void)SSL_CTX_set_session_cache_mode(ssl, is_used ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
    /* It counts the one that is being added, for which it makes room. */
    (void)SSL_CTX_sess_set_cache_size(ssl, (long)conf->n_cached_sessions + 1);
}

static void set_sessions(SSL_CTX *ssl, const struct inbound_set *set)
{
    const struct conf_tls *conf = set->inbound->conf;
    bool resumes = conf->has_tickets || conf->n_cached_sessions > 0;
    (void)SSL_CTX_set_session_id_context(ssl, set->scope, sizeof set->scope);
    (void)SSL_CTX_set_timeout(ssl, (long)(conf->ticket_rotation_ms / 1000));
    set_session_cache(ssl, conf);
    /* Clients use one several times; a second one costs each handshake as much as the first. */
    (void)SSL_CTX_set_num_tickets(ssl, resumes ? 1 : 0);
    if (!conf->has_tickets) {
        (void)SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
        return;
    }
    (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket);
    (void)SSL_CTX_set_session_ticket_cb(ssl, NULL, scope_admit, NULL);
}

static void set_client_auth(SSL_CTX *ssl, const struct inbound_set *set)
{
    enum conf_client_auth auth = set->inbound->conf->client_auth;
    if (set->authorities == NULL)
        return;
    int mode = SSL_VERIFY_PEER;
    if (auth == CONF_CLIENT_AUTH_REQUIRED)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ssl, mode, NULL);
    (void)SSL_CTX_set1_verify_cert_store(ssl, set->authorities);
    SSL_CTX_set_client_CA_list(ssl, SSL_dup_CA_list(set->authority_names));
}

static bool add_certificates(const struct context *context, const struct tls_report *report)
{
    const struct inbound *inbound = context->set->inbound;
    for (unsigned i = 0; i < NAMES_KINDS; i++) {
        uint32_t number = context->choice.by_kind[i];
        if (number == NAMES_NONE)
            continue;
        const struct certificate *one = context->set->certificates[number];
        if (SSL_CTX_use_cert_and_key(context->ssl, one->leaf, one->key, one->chain, 1) == 1)
            continue;
        char key[KEY_SIZE + 64];
        (void)snprintf(key, sizeof key, "%s.certificates.%u.cert", inbound->key, number);
        tls_say_failed(report, key, inbound->conf->certificates[number].cert_file,
                       "a certificate that OpenSSL takes");
        return false;
    }
    return true;
}

static int make_context(struct context *context, const struct tls_report *report)
{
    const struct inbound *inbound = context->set->inbound;
    SSL_CTX *ssl = context->ssl = SSL_CTX_new(TLS_server_method());
    if (ssl == NULL)
        return -ENOMEM;
    (void)SSL_CTX_set_app_data(ssl, context);
    (void)SSL_CTX_set_min_proto_version(ssl, version_of(inbound->conf->min_version));
    (void)SSL_CTX_set_max_proto_version(ssl, version_of(inbound->conf->max_version));
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ssl, 1); /* a record comes in one system call, not in two */
    SSL_CTX_set_client_hello_cb(ssl, on_hello, (void *)inbound);
    (void)SSL_CTX_set_tlsext_servername_callback(ssl, on_name);
    SSL_CTX_set_alpn_select_cb(ssl, on_protocols, (void *)inbound);
    (void)SSL_CTX_set_tlsext_status_cb(ssl, on_status);
    set_sessions(ssl, context->set);
    set_client_auth(ssl, context->set);
    bool is_done = set_words(ssl, inbound, report) && add_certificates(context, report);
    return is_done ? 0 : -EINVAL;
}

/* ---- a set */

static void free_set(struct inbound_set *set)
{
    for (size_t i = 0; i < set->n_contexts; i++)
        SSL_CTX_free(set->contexts[i].ssl);
    free(set->contexts);
    for (size_t i = 0; i < set->n_certificates; i++)
        certificate_free(set->certificates[i]);
    free(set->certificates);
    names_fini(&set->names);
    X509_STORE_free(set->authorities);
    sk_X509_NAME_pop_free(set->authority_names, X509_NAME_free);
    free(set);
}

void inbound_set_unref(struct inbound_set *set)
{
    if (set == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1)
        free_set(set);
}

static unsigned kind_of(const struct certificate *certificate)
{
    switch (EVP_PKEY_get_base_id(certificate->key)) {
    case EVP_PKEY_EC:
        return 0;
    case EVP_PKEY_RSA:
        return 1;
    default:
        return 2;
    }
}

/* What is wrong about the OCSP response that clients are to get with the certificate, or NULL. */
static const char *staple_trouble(const struct certificate *certificate, bool is_fetched)
{
    if (is_fetched)
        return ocsp_obstacle(certificate->leaf, certificate->chain);
    if (staple_until(&certificate->staple) != 0 || !ocsp_must_staple(certificate->leaf))
        return NULL;
    return "clients expect an OCSP response with this certificate, and there is none";
}

/* Whether the set in use has something better than a placeholder for certificate number i. */
static bool has_good_one(const struct inbound *inbound, size_t i)
{
    return inbound->set != NULL && !inbound->set->certificates[i]->is_placeholder;
}

/* One that quoit gets for itself may not be there yet, or be no good: it will come. */
static struct certificate *load_certificate(const struct inbound *inbound, size_t i,
                                            const struct tls_report *report)
{
    const struct conf_certificate *conf = &inbound->conf->certificates[i];
    struct certificate *certificate = NULL;
    char key[KEY_SIZE + 64];
    (void)snprintf(key, sizeof key, "%s.certificates.%zu", inbound->key, i);
    bool may_wait = conf->n_names > 0 && !has_good_one(inbound, i);
    if (!may_wait || access(conf->cert_file, F_OK) == 0)
        certificate = certificate_load(conf, key, report);
    if (certificate == NULL && may_wait)
        return certificate_placeholder(conf);
    if (certificate == NULL)
        return NULL;
    bool is_fetched = inbound->conf->fetches_ocsp && conf->ocsp_file == NULL;
    const char *trouble = staple_trouble(certificate, is_fetched);
    if (trouble != NULL)
        tls_say(report, TLS_WARNING, key, conf->cert_file, trouble);
    return certificate;
}

static int load_certificates(struct inbound_set *set, const struct tls_report *report)
{
    const struct conf_tls *conf = set->inbound->conf;
    set->certificates = calloc(conf->n_certificates, sizeof(void *));
    if (set->certificates == NULL)
        return -ENOMEM;
    set->n_certificates = conf->n_certificates;
    int rc = 0;
    for (size_t i = 0; i < conf->n_certificates; i++) {
        set->certificates[i] = load_certificate(set->inbound, i, report);
        if (set->certificates[i] == NULL)
            rc = -EINVAL; /* the others' mistakes are told too */
    }
    return rc;
}

static int fail_authorities(const struct inbound_set *set, const char *name, const char *file,
                            const char *expected, const struct tls_report *report)
{
    char key[KEY_SIZE + 64];
    (void)snprintf(key, sizeof key, "%s.%s", set->inbound->key, name);
    tls_say_failed(report, key, file, expected);
    return -EINVAL;
}

static int load_authorities(struct inbound_set *set, const struct tls_report *report)
{
    const struct conf_tls *conf = set->inbound->conf;
    if (conf->client_auth == CONF_CLIENT_AUTH_NONE)
        return 0;
    set->authorities = X509_STORE_new();
    if (set->authorities == NULL)
        return -ENOMEM;
    set->authority_names = SSL_load_client_CA_file(conf->client_ca_file);
    if (set->authority_names == NULL ||
        X509_STORE_load_file(set->authorities, conf->client_ca_file) != 1)
        return fail_authorities(set, "client_ca_file", conf->client_ca_file,
                                "certificates in PEM format", report);
    if (conf->client_crl_file == NULL)
        return 0;
    X509_LOOKUP *lookup = X509_STORE_add_lookup(set->authorities, X509_LOOKUP_file());
    if (lookup == NULL || X509_load_crl_file(lookup, conf->client_crl_file, X509_FILETYPE_PEM) <= 0)
        return fail_authorities(set, "client_crl_file", conf->client_crl_file,
                                "revocation lists in PEM format", report);
    (void)X509_STORE_set_flags(set->authorities, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return 0;
}

/* After the files it is made of have been loaded: one that cannot be read now has just gone. */
static int load_scope(struct inbound_set *set, const struct tls_report *report)
{
    const struct conf_tls *conf = set->inbound->conf;
    if (scope_of(conf, set->inbound->key, set->scope) == 0)
        return 0;
    return fail_authorities(set, "client_ca_file", conf->client_ca_file,
                            "certificates in PEM format", report);
}

static int collect_names(struct inbound_set *set)
{
    for (size_t i = 0; i < set->n_certificates; i++) {
        const struct certificate *one = set->certificates[i];
        for (size_t k = 0; k < one->n_names; k++)
            if (names_add(&set->names, one->names[k], (uint32_t)i, kind_of(one)) != 0)
                return -ENOMEM;
    }
    names_sort(&set->names);
    return 0;
}

static int add_context(struct inbound_set *set, const struct names_choice *choice,
                       const struct tls_report *report)
{
    if (find_context(set, choice) != NULL)
        return 0;
    struct context *context = &set->contexts[set->n_contexts++];
    *context = (struct context){.choice = *choice, .set = set};
    return make_context(context, report);
}

/* What the first certificate's first name gets, or itself where it has no name. */
static struct names_choice default_choice(const struct inbound_set *set)
{
    const struct certificate *first = set->certificates[0];
    struct names_choice alone;
    const struct names_choice *choice = NULL;
    for (unsigned i = 0; i < NAMES_KINDS; i++)
        alone.by_kind[i] = i == kind_of(first) ? 0 : NAMES_NONE;
    for (size_t i = 0; i < first->n_names && choice == NULL; i++)
        choice = names_find(&set->names, first->names[i]);
    return choice != NULL ? *choice : alone;
}

static int make_contexts(struct inbound_set *set, const struct tls_report *report)
{
    struct names_choice first = default_choice(set);
    size_t most = 1;
    for (size_t i = 0; i < set->n_certificates; i++)
        most += set->certificates[i]->n_names;
    /* Contexts are pointed at: the array never moves. */
    set->contexts = calloc(most, sizeof *set->contexts);
    if (set->contexts == NULL)
        return -ENOMEM;
    int rc = add_context(set, &first, report);
    for (size_t i = 0; rc == 0 && i < names_count(&set->names); i++)
        rc = add_context(set, names_at(&set->names, i), report);
    return rc;
}

static int load_set(struct inbound *inbound, const struct tls_report *report,
                    struct inbound_set **ret_set)
{
    struct inbound_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return -ENOMEM;
    atomic_init(&set->references, 1);
    set->inbound = inbound;
    int rc = load_certificates(set, report);
    int authorities = load_authorities(set, report); /* the mistakes of both are told */
    rc = rc == 0 ? authorities : rc;
    if (rc == 0)
        rc = load_scope(set, report);
    if (rc == 0)
        rc = collect_names(set);
    if (rc == 0)
        rc = make_contexts(set, report);
    if (rc != 0) {
        free_set(set);
        return rc;
    }
    *ret_set = set;
    return 0;
}

/* ---- the listener */

static uint64_t look(const struct inbound *inbound)
{
    const struct conf_tls *conf = inbound->conf;
    uint64_t stamp = 0;
    for (size_t i = 0; i < conf->n_certificates; i++) {
        files_look(&stamp, conf->certificates[i].cert_file);
        files_look(&stamp, conf->certificates[i].key_file);
        files_look(&stamp, conf->certificates[i].ocsp_file);
    }
    files_look(&stamp, conf->client_ca_file);
    files_look(&stamp, conf->client_crl_file);
    files_look(&stamp, conf->ticket_file);
    return stamp;
}

static int load_tickets(struct inbound *inbound, const struct tls_report *report)
{
    const char *file = inbound->conf->ticket_file;
    if (file == NULL)
        return 0;
    int rc = tickets_read(inbound->tickets, file);
    if (rc == 0)
        return 0;
    char key[KEY_SIZE + 16];
    (void)snprintf(key, sizeof key, "%s.ticket_file", inbound->key);
    tls_say(report, TLS_ERROR, key, file,
            rc == -EINVAL ? "expected 1 to 16 keys of 80 bytes each" : strerrordesc_np(-rc));
    return -EINVAL;
}

/* What was fetched for a certificate stays with it when its file is read again. */
static void keep_staples(struct inbound_set *set, const struct inbound_set *old)
{
    for (size_t i = 0; old != NULL && i < set->n_certificates && i < old->n_certificates; i++) {
        struct certificate *now = set->certificates[i];
        const struct staple *staple = &old->certificates[i]->staple;
        if (set->inbound->conf->certificates[i].ocsp_file != NULL || staple->bytes == NULL ||
            X509_cmp(now->leaf, old->certificates[i]->leaf) != 0)
            continue;
        (void)staple_set(&now->staple, staple->bytes, staple->n, staple->until);
    }
}

int inbound_load(struct inbound *inbound, const struct tls_report *report)
{
    struct inbound_set *set;
    inbound->stamp = look(inbound);
    int rc = load_set(inbound, report, &set);
    if (rc != 0)
        return rc;
    rc = load_tickets(inbound, report);
    if (rc != 0) {
        free_set(set);
        return rc;
    }
    keep_staples(set, inbound->set);
    (void)pthread_rwlock_wrlock(&inbound->lock);
    struct inbound_set *old = inbound->set;
    inbound->set = set;
    (void)pthread_rwlock_unlock(&inbound->lock);
    inbound_set_unref(old);
    return 0;
}

static void list_protocols(struct inbound *inbound)
{
    static const char *const names[] = {
        [CONF_ALPN_HTTP_1_1] = "http/1.1", [CONF_ALPN_HTTP_2] = "h2"};
    static const uint8_t usual[] = {CONF_ALPN_HTTP_2, CONF_ALPN_HTTP_1_1};
    bool is_said = inbound->conf->n_alpn > 0;
    const uint8_t *protocols = is_said ? inbound->conf->alpn : usual;
    size_t n_protocols = is_said ? inbound->conf->n_alpn : sizeof usual;
    for (size_t i = 0; i < n_protocols; i++) {
        const char *name = names[protocols[i]];
        size_t n = strlen(name);
        if (inbound->alpn_n + 1 + n > sizeof inbound->alpn)
            return; /* one of them twice */
        inbound->alpn[inbound->alpn_n++] = (uint8_t)n;
        memcpy(inbound->alpn + inbound->alpn_n, name, n);
        inbound->alpn_n += n;
    }
}

int inbound_new(const struct conf_tls *conf, const char *key, const struct tls_report *report,
                struct inbound **ret_inbound)
{
    struct inbound *inbound = calloc(1, sizeof *inbound);
    if (inbound == NULL || pthread_rwlock_init(&inbound->lock, NULL) != 0) {
        free(inbound);
        return -ENOMEM;
    }
    inbound->conf = conf;
    (void)snprintf(inbound->key, sizeof inbound->key, "%s", key);
    list_protocols(inbound);
    inbound->tickets = tickets_new();
    int rc = inbound->tickets != NULL ? inbound_load(inbound, report) : -ENOMEM;
    if (rc != 0) {
        inbound_free(inbound);
        return rc;
    }
    *ret_inbound = inbound;
    return 0;
}

void inbound_use_challenges(struct inbound *inbound, struct challenges *challenges)
{
    inbound->challenges = challenges;
}

void inbound_free(struct inbound *inbound)
{
    if (inbound == NULL)
        return;
    inbound_set_unref(inbound->set);
    tickets_free(inbound->tickets);
    (void)pthread_rwlock_destroy(&inbound->lock);
    free(inbound);
}

bool inbound_has_changed(const struct inbound *inbound)
{
    return look(inbound) != inbound->stamp;
}

bool inbound_rotate(struct inbound *inbound, double now_s)
{
    const struct conf_tls *conf = inbound->conf;
    if (conf->ticket_file != NULL || !conf->has_tickets)
        return false;
    bool is_first = inbound->rotated_s == 0;
    if (!is_first && now_s - inbound->rotated_s < conf->ticket_rotation_ms / 1000.0)
        return false;
    inbound->rotated_s = now_s;
    return !is_first && tickets_rotate(inbound->tickets) == 0;
}

bool inbound_expiry(const struct inbound *inbound, size_t i, const char **ret_file,
                    time_t *ret_not_after)
{
    if (i >= inbound->set->n_certificates)
        return false;
    *ret_file = inbound->conf->certificates[i].cert_file;
    *ret_not_after = inbound->set->certificates[i]->not_after;
    return true;
}

struct certificate *inbound_certificate(const struct inbound *inbound, size_t i)
{
    return i < inbound->set->n_certificates ? inbound->set->certificates[i] : NULL;
}

SSL *inbound_open(struct inbound *inbound, struct inbound_set **ret_set)
{
    (void)pthread_rwlock_rdlock(&inbound->lock);
    struct inbound_set *set = inbound->set;
    atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    (void)pthread_rwlock_unlock(&inbound->lock);
    SSL *ssl = SSL_new(set->contexts[0].ssl);
    if (ssl == NULL) {
        inbound_set_unref(set);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    *ret_set = set;
    return ssl;
}
