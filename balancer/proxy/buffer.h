/*
 * Bounded byte buffers for connections.
 *
 * A buffer has memory only while bytes are in it: an idle connection holds none. The memory comes
 * from the worker's pool in two sizes; a reader that has filled a small one gets a large one next,
 * so that small messages stay in cache and long bodies cost few system calls.
 *
 *     data ... start ====bytes==== end ....room.... size
 *
 * A held buffer keeps every byte since it was held, also consumed ones, so that a request can be
 * sent again; its bytes do not move.
 */
#ifndef QUOIT_BALANCER_PROXY_BUFFER_H
#define QUOIT_BALANCER_PROXY_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/http/span.h"
#include "balancer/proxy/slab.h"

/* One worker's memory for buffers. */
struct buffer_pool {
    struct slab small, large;
    uint64_t used_bytes;  /* by what was taken and not given back */
    uint64_t limit_bytes; /* 0: none; kept by those who ask, see memory.h */
};

/* What a buffer is for. */
enum buffer_use { BUFFER_FOR_REQUEST, BUFFER_FOR_RESPONSE, BUFFER_USES };

#define BUFFER_LARGE_BYTES 262144u

struct buffer {
    uint8_t *data; /* NULL: no memory */
    uint32_t start, end, size;
    bool held;
    bool wants_large;
};

void buffer_pool_init(struct buffer_pool *pool, uint32_t small_bytes);
void buffer_pool_fini(struct buffer_pool *pool);

/* How many small buffers there are left within the limit; without one UINT32_MAX. Requests may not
 * use the last quarter of it. */
uint32_t buffer_pool_left(const struct buffer_pool *pool, enum buffer_use use);

static inline bool buffer_pool_allows(const struct buffer_pool *pool, enum buffer_use use)
{
    return pool->limit_bytes == 0 || buffer_pool_left(pool, use) > 0;
}

/* Whether there is enough for whoever wants more than he needs: half of the limit is free. */
static inline bool buffer_pool_is_ample(const struct buffer_pool *pool)
{
    return pool->limit_bytes == 0 || pool->used_bytes <= pool->limit_bytes / 2;
}

/* Memory of the size of a small buffer, for other uses. */
void *buffer_pool_get(struct buffer_pool *pool);
void buffer_pool_put(struct buffer_pool *pool, void *memory);

static inline uint32_t buffer_used(const struct buffer *b)
{
    return b->end - b->start;
}

static inline const uint8_t *buffer_bytes(const struct buffer *b)
{
    return b->data == NULL ? NULL : b->data + b->start;
}

static inline uint32_t buffer_room(const struct buffer *b)
{
    return b->size - b->end;
}

/* Whether bytes could be added, taking memory into account that it does not have yet. */
static inline bool buffer_has_room(const struct buffer *b)
{
    return b->data == NULL || b->end < b->size || (!b->held && b->start > 0);
}

/* Makes memory, whatever the limit, and as much contiguous room as there can be; returns the room.
 */
uint32_t buffer_reserve(struct buffer *b, struct buffer_pool *pool);

/* The caller has put n bytes at data + end. */
static inline void buffer_added(struct buffer *b, uint32_t n)
{
    b->end += n;
}

/* Drops n bytes from the front; memory of an empty buffer that is not held goes back. */
void buffer_consume(struct buffer *b, struct buffer_pool *pool, uint32_t n);

/* Appends; false, with nothing appended, when there is too little room. */
bool buffer_append(struct buffer *b, struct buffer_pool *pool, struct span bytes);

void buffer_hold(struct buffer *b);

/* Ends the hold; the memory of an empty buffer goes back. */
void buffer_unhold(struct buffer *b, struct buffer_pool *pool);

/* Moves the bytes from data + from on to the front, held or not; returns from. Nobody may point
 * into them. */
uint32_t buffer_pull(struct buffer *b, uint32_t from);

/* Drops everything. */
void buffer_release(struct buffer *b, struct buffer_pool *pool);

#endif
