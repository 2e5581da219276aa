#include "balancer/log/ring_buffer.h"

#include <assert.h>
#include <string.h>

_Static_assert((RING_BUFFER_BYTES & (RING_BUFFER_BYTES - 1)) == 0, "must be a power of two");

void ring_buffer_init(struct ring_buffer *ring)
{
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->is_wanted, false);
    ring->tail_seen = 0;
}

static size_t index_of(uint64_t position)
{
    return (size_t)(position & (RING_BUFFER_BYTES - 1));
}

bool ring_buffer_put(struct ring_buffer *ring, const char *p, size_t n)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head + n - ring->tail_seen > RING_BUFFER_BYTES)
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head + n - ring->tail_seen > RING_BUFFER_BYTES)
        return false;
    size_t to_end = RING_BUFFER_BYTES - index_of(head);
    size_t first = n < to_end ? n : to_end;
    memcpy(ring->bytes + index_of(head), p, first);
    memcpy(ring->bytes, p + first, n - first);
    atomic_store_explicit(&ring->head, head + n, memory_order_release);
    return true;
}

bool ring_buffer_wants_reader(struct ring_buffer *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head - ring->tail_seen < RING_BUFFER_BYTES / 2)
        return false;
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head - ring->tail_seen < RING_BUFFER_BYTES / 2)
        return false;
    /* An exchange on both sides: either the reader sees this head, or we see its false. */
    return !atomic_exchange(&ring->is_wanted, true);
}

void ring_buffer_reader_is_here(struct ring_buffer *ring)
{
    atomic_exchange(&ring->is_wanted, false);
}

struct span ring_buffer_peek(struct ring_buffer *ring, size_t up_to)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    size_t n = (size_t)(head - tail);
    size_t to_end = RING_BUFFER_BYTES - index_of(tail);
    if (n > to_end)
        n = to_end;
    if (n > up_to)
        n = up_to;
    return (struct span){(const uint8_t *)ring->bytes + index_of(tail), n};
}

void ring_buffer_drop(struct ring_buffer *ring, size_t n)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    assert(n <= atomic_load_explicit(&ring->head, memory_order_relaxed) - tail);
    atomic_store_explicit(&ring->tail, tail + n, memory_order_release);
}
