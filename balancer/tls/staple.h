/*
 * The OCSP response that clients get with a certificate: control puts it there, handshakes in any
 * thread take copies of it for as long as it is valid.
 */
#ifndef QUOIT_BALANCER_TLS_STAPLE_H
#define QUOIT_BALANCER_TLS_STAPLE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct staple {
    pthread_rwlock_t lock;
    uint8_t *bytes; /* NULL: none */
    size_t n;
    time_t until;
};

/* Returns 0 or -ENOMEM. */
int staple_init(struct staple *staple);

void staple_fini(struct staple *staple);

/* Any thread: a copy to be freed with OPENSSL_free(), and its length; 0: there is none that is
 * still valid, or memory is out. */
size_t staple_copy(struct staple *staple, time_t now, uint8_t **ret_bytes);

/* Control: puts a copy of the bytes in the place of what is there. Returns 0 or -ENOMEM. */
int staple_set(struct staple *staple, const uint8_t *bytes, size_t n, time_t until);

/* Control: nothing is stapled any more. */
void staple_clear(struct staple *staple);

/* Control: until when it is valid, which may be in the past; 0: there is none. */
time_t staple_until(const struct staple *staple);

#endif
