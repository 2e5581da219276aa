#include "balancer/proxy/buffer.h"

#include <assert.h>

void buffer_pool_init(struct buffer_pool *pool, uint32_t small_bytes)
{
    slab_init(&pool->small, small_bytes, 1024);
    slab_init(&pool->large, BUFFER_LARGE_BYTES, 64);
}

void buffer_pool_fini(struct buffer_pool *pool)
{
    slab_fini(&pool->small);
    slab_fini(&pool->large);
}

static struct slab *slab_of(struct buffer_pool *pool, uint32_t size)
{
    return size == BUFFER_LARGE_BYTES ? &pool->large : &pool->small;
}

uint32_t buffer_reserve(struct buffer *b, struct buffer_pool *pool)
{
    if (b->data == NULL) {
        struct slab *slab = b->wants_large ? &pool->large : &pool->small;
        b->data = slab_get(slab);
        b->size = (uint32_t)slab->size;
        b->start = b->end = 0;
    } else if (buffer_room(b) < b->size / 2 && b->start > 0 && !b->held) {
        memmove(b->data, b->data + b->start, buffer_used(b));
        b->end -= b->start;
        b->start = 0;
    }
    return buffer_room(b);
}

void buffer_release(struct buffer *b, struct buffer_pool *pool)
{
    if (b->data != NULL)
        slab_put(slab_of(pool, b->size), b->data);
    *b = (struct buffer){.wants_large = b->wants_large};
}

void buffer_consume(struct buffer *b, struct buffer_pool *pool, uint32_t n)
{
    assert(n <= buffer_used(b));
    b->start += n;
    if (b->start == b->end && !b->held)
        buffer_release(b, pool);
}

bool buffer_append(struct buffer *b, struct buffer_pool *pool, struct span bytes)
{
    if (buffer_room(b) < bytes.n && buffer_reserve(b, pool) < bytes.n)
        return false;
    memcpy(b->data + b->end, bytes.p, bytes.n);
    b->end += (uint32_t)bytes.n;
    return true;
}

uint32_t buffer_pull(struct buffer *b, uint32_t from)
{
    assert(from <= b->start);
    memmove(b->data, b->data + from, b->end - from);
    b->start -= from;
    b->end -= from;
    return from;
}

void buffer_hold(struct buffer *b)
{
    b->held = true;
}

void buffer_unhold(struct buffer *b, struct buffer_pool *pool)
{
    b->held = false;
    if (b->start == b->end)
        buffer_release(b, pool);
}
