#include "balancer/proxy/buffer.h"

#include <assert.h>

void buffer_pool_init(struct buffer_pool *pool, uint32_t small_bytes)
{
    pool->used_bytes = pool->limit_bytes = 0;
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

uint32_t buffer_pool_left(const struct buffer_pool *pool, enum buffer_use use)
{
    if (pool->limit_bytes == 0)
        return UINT32_MAX;
    uint64_t limit = use == BUFFER_FOR_REQUEST ? pool->limit_bytes / 4 * 3 : pool->limit_bytes;
    uint64_t n = limit > pool->used_bytes ? (limit - pool->used_bytes) / pool->small.size : 0;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void *take(struct buffer_pool *pool, struct slab *slab)
{
    pool->used_bytes += slab->size;
    return slab_get(slab);
}

static void give_back(struct buffer_pool *pool, struct slab *slab, void *memory)
{
    assert(pool->used_bytes >= slab->size);
    pool->used_bytes -= slab->size;
    slab_put(slab, memory);
}

void *buffer_pool_get(struct buffer_pool *pool)
{
    return take(pool, &pool->small);
}

void buffer_pool_put(struct buffer_pool *pool, void *memory)
{
    give_back(pool, &pool->small, memory);
}

uint32_t buffer_reserve(struct buffer *b, struct buffer_pool *pool)
{
    if (b->data == NULL) {
        bool is_large = b->wants_large && buffer_pool_is_ample(pool);
        struct slab *slab = is_large ? &pool->large : &pool->small;
        b->data = take(pool, slab);
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
        give_back(pool, slab_of(pool, b->size), b->data);
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
