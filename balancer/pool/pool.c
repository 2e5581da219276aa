#include "balancer/pool/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/pool/ring_choice.h"

static struct pool_local *locals_new(uint32_t n)
{
    size_t size = (n > 0 ? n : 1) * sizeof(struct pool_local);
    struct pool_local *locals = aligned_alloc(_Alignof(struct pool_local), size);
    if (locals != NULL)
        memset(locals, 0, size);
    return locals;
}

int pool_init(struct pool *pool, const struct conf_pool *conf, uint32_t n_workers)
{
    memset(pool, 0, sizeof *pool);
    pool->conf = conf;
    (void)ring_choice(conf, &pool->ring_options);
    pool->n_locals = n_workers;
    pool->locals = locals_new(n_workers);
    pool->current = snapshot_new(conf, 0);
    int r = -ENOMEM;
    if (pool->locals != NULL && pool->current != NULL)
        r = -pthread_rwlock_init(&pool->lock, NULL);
    if (r < 0) {
        free(pool->locals);
        snapshot_unref(pool->current);
    }
    return r;
}

void pool_fini(struct pool *pool)
{
    pthread_rwlock_destroy(&pool->lock);
    snapshot_unref(pool->current);
    free(pool->locals);
}

struct snapshot *pool_acquire(struct pool *pool)
{
    int r = pthread_rwlock_rdlock(&pool->lock);
    assert(r == 0);
    struct snapshot *snapshot = snapshot_ref(pool->current);
    pthread_rwlock_unlock(&pool->lock);
    return snapshot;
}

void pool_publish(struct pool *pool, struct snapshot *snapshot)
{
    int r = pthread_rwlock_wrlock(&pool->lock);
    assert(r == 0);
    struct snapshot *old = pool->current;
    pool->current = snapshot;
    /* Under the lock: who sees the new generation and then locks finds the new snapshot. */
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    pthread_rwlock_unlock(&pool->lock);
    snapshot_unref(old); /* may free a ring and endpoints: not while readers wait */
}
