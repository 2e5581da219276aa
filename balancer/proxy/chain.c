#include "balancer/proxy/chain.h"

#include <assert.h>
#include <string.h>

#include "balancer/proxy/buffer.h"

struct chain_piece {
    struct chain_piece *next;
    uint32_t start, end;
    uint8_t bytes[];
};

static uint32_t piece_size(const struct buffer_pool *pool)
{
    return (uint32_t)(pool->small.size - sizeof(struct chain_piece));
}

static struct chain_piece *add_piece(struct chain *chain, struct buffer_pool *pool)
{
    struct chain_piece *piece = buffer_pool_get(pool);
    *piece = (struct chain_piece){0};
    if (chain->last != NULL)
        chain->last->next = piece;
    else
        chain->first = piece;
    chain->last = piece;
    return piece;
}

static void drop_first(struct chain *chain, struct buffer_pool *pool)
{
    struct chain_piece *piece = chain->first;
    chain->first = piece->next;
    if (chain->first == NULL)
        chain->last = NULL;
    buffer_pool_put(pool, piece);
}

void chain_add(struct chain *chain, struct buffer_pool *pool, struct span bytes)
{
    const uint32_t size = piece_size(pool);
    while (bytes.n > 0) {
        struct chain_piece *piece = chain->last;
        if (piece == NULL || piece->end == size)
            piece = add_piece(chain, pool);
        uint32_t room = size - piece->end;
        uint32_t n = bytes.n < room ? (uint32_t)bytes.n : room;
        memcpy(piece->bytes + piece->end, bytes.p, n);
        piece->end += n;
        chain->n += n;
        bytes = (struct span){bytes.p + n, bytes.n - n};
    }
}

struct span chain_front(const struct chain *chain)
{
    const struct chain_piece *piece = chain->first;
    if (piece == NULL)
        return (struct span){NULL, 0};
    return (struct span){piece->bytes + piece->start, piece->end - piece->start};
}

void chain_drop(struct chain *chain, struct buffer_pool *pool, size_t n)
{
    struct chain_piece *piece = chain->first;
    assert(n <= chain_front(chain).n);
    if (n == 0)
        return;
    piece->start += (uint32_t)n;
    chain->n -= n;
    if (piece->start == piece->end)
        drop_first(chain, pool);
}

size_t chain_take(struct chain *chain, struct buffer_pool *pool, uint8_t *to, size_t n)
{
    size_t taken = 0;
    while (taken < n && chain->first != NULL) {
        struct span front = chain_front(chain);
        size_t k = n - taken < front.n ? n - taken : front.n;
        memcpy(to + taken, front.p, k);
        taken += k;
        chain_drop(chain, pool, k);
    }
    return taken;
}

void chain_clear(struct chain *chain, struct buffer_pool *pool)
{
    while (chain->first != NULL)
        drop_first(chain, pool);
    chain->n = 0;
}
