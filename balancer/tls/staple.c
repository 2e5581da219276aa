#include "balancer/tls/staple.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

int staple_init(struct staple *staple)
{
    *staple = (struct staple){.bytes = NULL};
    return -pthread_rwlock_init(&staple->lock, NULL);
}

void staple_fini(struct staple *staple)
{
    free(staple->bytes);
    (void)pthread_rwlock_destroy(&staple->lock);
}

size_t staple_copy(struct staple *staple, time_t now, uint8_t **ret_bytes)
{
    uint8_t *copy = NULL;
    size_t n = 0;
    (void)pthread_rwlock_rdlock(&staple->lock);
    if (staple->bytes != NULL && now < staple->until) {
        n = staple->n;
        copy = OPENSSL_memdup(staple->bytes, n);
    }
    (void)pthread_rwlock_unlock(&staple->lock);
    if (copy == NULL)
        return 0;
    *ret_bytes = copy;
    return n;
}

/* Owns bytes from now on. */
static void replace(struct staple *staple, uint8_t *bytes, size_t n, time_t until)
{
    (void)pthread_rwlock_wrlock(&staple->lock);
    uint8_t *old = staple->bytes;
    staple->bytes = bytes;
    staple->n = n;
    staple->until = until;
    (void)pthread_rwlock_unlock(&staple->lock);
    free(old);
}

int staple_set(struct staple *staple, const uint8_t *bytes, size_t n, time_t until)
{
    uint8_t *copy = malloc(n);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, bytes, n);
    replace(staple, copy, n, until);
    return 0;
}

void staple_clear(struct staple *staple)
{
    replace(staple, NULL, 0, 0);
}

time_t staple_until(const struct staple *staple)
{
    return staple->until;
}
