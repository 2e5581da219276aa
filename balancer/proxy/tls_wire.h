/*
 * What is between OpenSSL and the socket of a connection: a BIO, and the records that are on their
 * way.
 *
 * A long answer leaves two records at a time: the kernel takes them for little more than one. A
 * record that OpenSSL has sealed is sealed for good, so what the socket has no room for waits here,
 * in memory of the worker's buffers, and nothing that is written later passes it.
 */
#ifndef QUOIT_BALANCER_PROXY_TLS_WIRE_H
#define QUOIT_BALANCER_PROXY_TLS_WIRE_H

#include <openssl/bio.h>
#include <openssl/ssl3.h>
#include <stdbool.h>
#include <stdint.h>

#include "balancer/proxy/chain.h"

struct conn;

/* What a record has beside its payload, at most. */
#define TLS_RECORD_OVERHEAD ((size_t)SSL3_RT_HEADER_LENGTH + SSL3_RT_MAX_ENCRYPTED_OVERHEAD)
#define TLS_BATCH_BYTES (2u * (SSL3_RT_MAX_PLAIN_LENGTH + TLS_RECORD_OVERHEAD))

/* Records that are to leave together. */
struct tls_batch {
    size_t n;
    bool is_last; /* no record follows the next one */
    uint8_t bytes[TLS_BATCH_BYTES];
};

/* Part of a connection's channel; all zero but conn: nothing is on its way. */
struct tls_wire {
    struct conn *conn;
    struct tls_batch *batch; /* what OpenSSL writes goes there; NULL: to the socket */
    struct chain unsent;     /* sealed, and waits for room */
    uint32_t n_left;         /* bytes that have left of a batch whose rest is unsent */
    int error;               /* errno of the socket, when a batch or its rest could not be sent */
    uint8_t *early;          /* what was read before the handshake began; NULL: none (left) */
    uint32_t early_at, early_n;
    bool has_heard; /* the peer has sent something */
    bool is_ready;  /* the handshake is done */
};

/* A BIO over it, for SSL_set_bio(); aborts when memory is out. */
BIO *tls_wire_bio(struct tls_wire *wire);

/* What is in the connection's in buffer was read before the handshake began, which it belongs to.
 */
void tls_wire_take_early(struct tls_wire *wire);

/* Sends what is unsent. False: not all of it has gone, and errno says why. */
bool tls_wire_flush(struct tls_wire *wire);

/* What OpenSSL writes from now on goes into batch. Nothing may be unsent. */
void tls_wire_begin(struct tls_wire *wire, struct tls_batch *batch);

/* Sends the batch, and keeps of it what does not go. Returns as tls_wire_flush() does. */
bool tls_wire_end(struct tls_wire *wire);

/* Drops everything. */
void tls_wire_fini(struct tls_wire *wire);

#endif
