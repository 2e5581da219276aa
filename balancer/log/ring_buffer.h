/*
 * A bounded queue of bytes between one writing and one reading thread, without locks.
 *
 * What is put is seen whole or not at all: the reader never finds half a record. A full queue
 * refuses. Neither side ever waits for the other.
 */
#ifndef QUOIT_BALANCER_LOG_RING_BUFFER_H
#define QUOIT_BALANCER_LOG_RING_BUFFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/http/span.h"

enum { RING_BUFFER_BYTES = 1 << 19 };

/* Positions count all bytes ever put; each side's own fields are on a cache line of its own. */
struct ring_buffer {
    _Alignas(64) _Atomic uint64_t head; /* the writing side's */
    uint64_t tail_seen;                 /* tail when that side last looked */
    _Alignas(64) _Atomic uint64_t tail; /* the reading side's */
    _Atomic bool is_wanted;             /* the reading side has been told that much is here */
    _Alignas(64) char bytes[RING_BUFFER_BYTES];
};

void ring_buffer_init(struct ring_buffer *ring);

/* Writing side. False: no room, nothing is put. */
bool ring_buffer_put(struct ring_buffer *ring, const char *p, size_t n);

/* Writing side, after a put: whether it is time to wake the reading side. True once for each time
 * the ring gets half full. */
bool ring_buffer_wants_reader(struct ring_buffer *ring);

/* Reading side. The oldest bytes that lie in one piece, at most up_to; empty: nothing is there. */
struct span ring_buffer_peek(struct ring_buffer *ring, size_t up_to);

/* Reading side: gives n peeked bytes back. */
void ring_buffer_drop(struct ring_buffer *ring, size_t n);

/* Reading side, before it reads: from here on a half full ring asks for the reader again. */
void ring_buffer_reader_is_here(struct ring_buffer *ring);

#endif
