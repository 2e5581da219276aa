#include "balancer/pool/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/pool/ring_choice.h"

static void locals_free(struct pool *pool)
{
    for (uint32_t i = 0; pool->locals != NULL && i < pool->n_locals; i++)
        heat_free(pool->locals[i].heat);
    free(pool->locals);
}

static bool has_hot_keys(const struct pool *pool)
{
    return pool->has_ring && pool->conf->affinity == CONF_AFFINITY_CACHE &&
           pool->conf->hot_key_share > 0;
}

static int locals_init(struct pool *pool)
{
    uint32_t n = pool->n_locals;
    size_t size = (n > 0 ? n : 1) * sizeof(struct pool_local);
    pool->locals = aligned_alloc(_Alignof(struct pool_local), size);
    if (pool->locals == NULL)
        return -ENOMEM;
    memset(pool->locals, 0, size);
    for (uint32_t i = 0; has_hot_keys(pool) && i < n; i++) {
        pool->locals[i].heat = heat_new();
        if (pool->locals[i].heat == NULL)
            return -ENOMEM;
    }
    return 0;
}

int pool_init(struct pool *pool, const struct conf_pool *conf, uint32_t n_workers)
{
    memset(pool, 0, sizeof *pool);
    pool->conf = conf;
    pool->has_ring = ring_choice(conf, &pool->ring_options);
    pool->n_locals = n_workers;
    pool->current = snapshot_new(conf, 0);
    int r = pool->current != NULL ? locals_init(pool) : -ENOMEM;
    if (r == 0)
        r = -pthread_rwlock_init(&pool->lock, NULL);
    if (r < 0) {
        locals_free(pool);
        snapshot_unref(pool->current);
    }
    return r;
}

void pool_fini(struct pool *pool)
{
    pthread_rwlock_destroy(&pool->lock);
    snapshot_unref(pool->current);
    locals_free(pool);
}

double pool_key_share(const struct pool *pool, uint64_t hash)
{
    double sum = 0, total = 0;
    for (uint32_t i = 0; i < pool->n_locals; i++) {
        const struct heat *heat = pool->locals[i].heat;
        if (heat == NULL)
            return 0;
        sum += heat_share(heat, hash) * heat_total(heat);
        total += heat_total(heat);
    }
    return total > 0 ? sum / total : 0;
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
