/*
 * A queue of bytes in pieces of a worker's buffer memory: what has come before it is wanted, or
 * waits for its window. Holds no memory while it is empty. Whoever adds keeps to a bound.
 */
#ifndef QUOIT_BALANCER_PROXY_CHAIN_H
#define QUOIT_BALANCER_PROXY_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/http/span.h"

struct buffer_pool;
struct chain_piece;

/* All zero: empty. */
struct chain {
    struct chain_piece *first, *last;
    size_t n; /* bytes in it */
};

void chain_add(struct chain *chain, struct buffer_pool *pool, struct span bytes);

/* Moves up to n bytes from the front to `to`; returns how many. */
size_t chain_take(struct chain *chain, struct buffer_pool *pool, uint8_t *to, size_t n);

/* The bytes at the front that lie side by side, until something is done to the chain; none: it is
 * empty. */
struct span chain_front(const struct chain *chain);

/* Drops n bytes at the front, no more than chain_front() has. */
void chain_drop(struct chain *chain, struct buffer_pool *pool, size_t n);

/* Drops everything. */
void chain_clear(struct chain *chain, struct buffer_pool *pool);

#endif
