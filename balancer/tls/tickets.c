#include "balancer/tls/tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Random keys: the one that makes tickets, and the one before it. */
#define RANDOM_KEYS 2u

struct key {
    uint8_t name[16], mac[32], cipher[32];
};

_Static_assert(sizeof(struct key) == TICKETS_KEY_BYTES, "a key is what the file has");

struct tickets {
    pthread_rwlock_t lock; /* for the keys */
    struct key keys[TICKETS_MAX_KEYS];
    unsigned n;
    EVP_CIPHER *cipher;
};

int tickets_rotate(struct tickets *tickets)
{
    struct key fresh;
    if (RAND_bytes((uint8_t *)&fresh, sizeof fresh) != 1)
        return -EIO;
    (void)pthread_rwlock_wrlock(&tickets->lock);
    tickets->keys[1] = tickets->keys[0];
    tickets->keys[0] = fresh;
    tickets->n = tickets->n == 0 ? 1 : RANDOM_KEYS;
    (void)pthread_rwlock_unlock(&tickets->lock);
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return 0;
}

struct tickets *tickets_new(void)
{
    struct tickets *tickets = calloc(1, sizeof *tickets);
    if (tickets == NULL || pthread_rwlock_init(&tickets->lock, NULL) != 0) {
        free(tickets);
        return NULL;
    }
    tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (tickets->cipher == NULL || tickets_rotate(tickets) != 0) {
        tickets_free(tickets);
        return NULL;
    }
    return tickets;
}

void tickets_free(struct tickets *tickets)
{
    if (tickets == NULL)
        return;
    EVP_CIPHER_free(tickets->cipher);
    (void)pthread_rwlock_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets->keys, sizeof tickets->keys);
    free(tickets);
}

/* The bytes of a file, at most size of them; -errno. */
static ssize_t read_file(const char *file, void *bytes, size_t size)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    size_t n = 0;
    ssize_t got;
    while (n < size && (got = read(fd, (uint8_t *)bytes + n, size - n)) != 0) {
        if (got < 0) {
            int error = errno;
            (void)close(fd);
            return -error;
        }
        n += (size_t)got;
    }
    (void)close(fd);
    return (ssize_t)n;
}

int tickets_read(struct tickets *tickets, const char *file)
{
    struct key keys[TICKETS_MAX_KEYS + 1]; /* one more, to see that there are too many */
    ssize_t n = read_file(file, keys, sizeof keys);
    int rc = 0;
    if (n < 0)
        rc = (int)n;
    else if (n == 0 || n % TICKETS_KEY_BYTES != 0 || n > (ssize_t)sizeof tickets->keys)
        rc = -EINVAL;
    if (rc == 0) {
        (void)pthread_rwlock_wrlock(&tickets->lock);
        memcpy(tickets->keys, keys, (size_t)n);
        tickets->n = (unsigned)(n / TICKETS_KEY_BYTES);
        (void)pthread_rwlock_unlock(&tickets->lock);
    }
    OPENSSL_cleanse(keys, sizeof keys);
    return rc;
}

static bool begin_mac(EVP_MAC_CTX *mac, struct key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof digest - 1),
        OSSL_PARAM_END,
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int seal(const struct tickets *tickets, struct key *key, uint8_t *iv, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *mac)
{
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets->cipher)) != 1 ||
        EVP_EncryptInit_ex2(cipher, tickets->cipher, key->cipher, iv, NULL) != 1 ||
        !begin_mac(mac, key))
        return -1;
    return 1;
}

/* Index of the key of that name; n: unknown. */
static unsigned find(const struct tickets *tickets, const uint8_t name[16])
{
    unsigned i = 0;
    while (i < tickets->n && memcmp(tickets->keys[i].name, name, sizeof tickets->keys[i].name) != 0)
        i++;
    return i;
}

/* A copy of the key to use; -1: there is none. */
static int copy_key(struct tickets *tickets, const uint8_t name[16], int is_new, struct key *ret)
{
    (void)pthread_rwlock_rdlock(&tickets->lock);
    unsigned i = is_new ? 0 : find(tickets, name);
    bool is_known = i < tickets->n;
    if (is_known)
        *ret = tickets->keys[i];
    (void)pthread_rwlock_unlock(&tickets->lock);
    return is_known ? (int)i : -1;
}

int tickets_use(struct tickets *tickets, uint8_t name[16], uint8_t *iv, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *mac, int is_new)
{
    struct key key;
    int index = copy_key(tickets, name, is_new, &key);
    if (index < 0)
        return 0;
    int result;
    if (is_new) {
        memcpy(name, key.name, sizeof key.name);
        result = seal(tickets, &key, iv, cipher, mac);
    } else if (EVP_DecryptInit_ex2(cipher, tickets->cipher, key.cipher, iv, NULL) != 1 ||
               !begin_mac(mac, &key)) {
        result = -1;
    } else {
        result = index == 0 ? 1 : 2;
    }
    OPENSSL_cleanse(&key, sizeof key);
    return result;
}
