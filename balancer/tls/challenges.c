#include "balancer/tls/challenges.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "balancer/tls/self_signed.h"

static_assert(SHA256_DIGEST_LENGTH == SELF_SIGNED_DIGEST_BYTES, "the digest of RFC 8737");

struct entry {
    LIST_ENTRY(entry) link;
    SSL_CTX *context; /* NULL: of HTTP-01 */
    char answer[CHALLENGES_ANSWER_SIZE];
    char key[]; /* the token or the name */
};

LIST_HEAD(entry_list, entry);

struct challenges {
    pthread_rwlock_t lock;
    struct entry_list entries;
};

struct challenges *challenges_new(void)
{
    struct challenges *challenges = calloc(1, sizeof *challenges);
    if (challenges == NULL || pthread_rwlock_init(&challenges->lock, NULL) != 0) {
        free(challenges);
        return NULL;
    }
    LIST_INIT(&challenges->entries);
    return challenges;
}

void challenges_free(struct challenges *challenges)
{
    if (challenges == NULL)
        return;
    challenges_clear(challenges);
    (void)pthread_rwlock_destroy(&challenges->lock);
    free(challenges);
}

static void free_entry(struct entry *entry)
{
    SSL_CTX_free(entry->context);
    free(entry);
}

static struct entry *make_entry(const char *key)
{
    size_t n = strlen(key) + 1;
    struct entry *entry = calloc(1, sizeof *entry + n);
    if (entry != NULL)
        memcpy(entry->key, key, n);
    return entry;
}

static void insert(struct challenges *challenges, struct entry *entry)
{
    (void)pthread_rwlock_wrlock(&challenges->lock);
    LIST_INSERT_HEAD(&challenges->entries, entry, link);
    (void)pthread_rwlock_unlock(&challenges->lock);
}

int challenges_add_token(struct challenges *challenges, const char *token, const char *answer)
{
    if (strlen(answer) >= CHALLENGES_ANSWER_SIZE)
        return -EINVAL;
    struct entry *entry = make_entry(token);
    if (entry == NULL)
        return -ENOMEM;
    (void)snprintf(entry->answer, sizeof entry->answer, "%s", answer);
    insert(challenges, entry);
    return 0;
}

/* ---- TLS-ALPN-01 */

static int on_name(SSL *ssl, int *alert, void *argument)
{
    (void)ssl, (void)alert, (void)argument;
    return SSL_TLSEXT_ERR_OK;
}

static int on_protocols(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                        const unsigned char *offered, unsigned offered_n, void *argument)
{
    (void)ssl, (void)argument;
    static const unsigned char ours[] = "\x0a" CHALLENGES_PROTOCOL;
    int found = SSL_select_next_proto((unsigned char **)ret, ret_n, ours, sizeof ours - 1, offered,
                                      offered_n);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool show(SSL_CTX *context, const char *name, const char *answer)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char *names[] = {(char *)name};
    (void)SHA256((const uint8_t *)answer, strlen(answer), digest);
    EVP_PKEY *key = self_signed_key(SELF_SIGNED_ECDSA);
    X509 *certificate = key != NULL ? self_signed_certificate(key, names, 1, digest) : NULL;
    bool is_done =
        certificate != NULL && SSL_CTX_use_cert_and_key(context, certificate, key, NULL, 1) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return is_done;
}

/* Whether a client offers the challenge's protocol and no other (RFC 8737 section 3). */
static bool is_challenge(SSL *ssl)
{
    static const unsigned char offer[] = "\x00\x0b\x0a" CHALLENGES_PROTOCOL;
    const unsigned char *bytes;
    size_t n;
    return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                     &bytes, &n) == 1 &&
           n == sizeof offer - 1 && memcmp(bytes, offer, n) == 0;
}

/* A client that had to say its hello again, under a context that takes no client's certificate, is
 * still here for the challenge. */
static int on_second_hello(SSL *ssl, int *alert, void *argument)
{
    (void)argument;
    *alert = SSL_AD_ILLEGAL_PARAMETER;
    return is_challenge(ssl) ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

/* Stands for a listener's own context in the handshakes of a challenge, and has none of its
 * settings. */
static SSL_CTX *make_context(const char *name, const char *answer)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || !show(context, name, answer)) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_client_hello_cb(context, on_second_hello, NULL);
    (void)SSL_CTX_set_tlsext_servername_callback(context, on_name);
    SSL_CTX_set_alpn_select_cb(context, on_protocols, NULL);
    return context;
}

int challenges_add_name(struct challenges *challenges, const char *name, const char *answer)
{
    struct entry *entry = make_entry(name);
    if (entry == NULL)
        return -ENOMEM;
    entry->context = make_context(name, answer);
    if (entry->context == NULL) {
        free_entry(entry);
        return -ENOMEM;
    }
    insert(challenges, entry);
    return 0;
}

/* ---- all of them */

void challenges_clear(struct challenges *challenges)
{
    struct entry_list old = LIST_HEAD_INITIALIZER(old);
    struct entry *entry;
    (void)pthread_rwlock_wrlock(&challenges->lock);
    while ((entry = LIST_FIRST(&challenges->entries)) != NULL) {
        LIST_REMOVE(entry, link);
        LIST_INSERT_HEAD(&old, entry, link);
    }
    (void)pthread_rwlock_unlock(&challenges->lock);
    while ((entry = LIST_FIRST(&old)) != NULL) {
        LIST_REMOVE(entry, link);
        free_entry(entry);
    }
}

size_t challenges_find_token(struct challenges *challenges, const uint8_t *token, size_t n,
                             char ret_answer[CHALLENGES_ANSWER_SIZE])
{
    size_t answer_n = 0;
    const struct entry *entry;
    (void)pthread_rwlock_rdlock(&challenges->lock);
    LIST_FOREACH(entry, &challenges->entries, link)
    {
        if (entry->context != NULL || strlen(entry->key) != n || memcmp(entry->key, token, n) != 0)
            continue;
        answer_n = strlen(entry->answer);
        memcpy(ret_answer, entry->answer, answer_n + 1);
        break;
    }
    (void)pthread_rwlock_unlock(&challenges->lock);
    return answer_n;
}

/* A reference. */
static SSL_CTX *find_name(struct challenges *challenges, const char *name)
{
    SSL_CTX *context = NULL;
    const struct entry *entry;
    (void)pthread_rwlock_rdlock(&challenges->lock);
    LIST_FOREACH(entry, &challenges->entries, link)
    {
        if (entry->context == NULL || strcasecmp(entry->key, name) != 0)
            continue;
        context = entry->context;
        (void)SSL_CTX_up_ref(context);
        break;
    }
    (void)pthread_rwlock_unlock(&challenges->lock);
    return context;
}

/* The one host name of a client's hello (RFC 6066 section 3): the list's length, a type, the
 * name's length, the name. */
static bool read_name(SSL *ssl, char *ret_name, size_t size)
{
    const unsigned char *bytes;
    size_t n;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &n) != 1 || n < 5 ||
        bytes[2] != TLSEXT_NAMETYPE_host_name)
        return false;
    size_t name_n = (size_t)bytes[3] << 8 | bytes[4];
    if (name_n != n - 5 || name_n >= size || memchr(bytes + 5, '\0', name_n) != NULL)
        return false;
    memcpy(ret_name, bytes + 5, name_n);
    ret_name[name_n] = '\0';
    return true;
}

bool challenges_take_handshake(struct challenges *challenges, SSL *ssl)
{
    char name[256];
    if (!is_challenge(ssl) || !read_name(ssl, name, sizeof name))
        return false;
    SSL_CTX *context = find_name(challenges, name);
    if (context == NULL)
        return false;
    bool is_done = SSL_set_SSL_CTX(ssl, context) != NULL;
    SSL_CTX_free(context);
    /* What a session has of its listener does not change with its context. */
    (void)SSL_set_options(ssl, SSL_OP_NO_TICKET);
    (void)SSL_set_num_tickets(ssl, 0);
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return is_done;
}
