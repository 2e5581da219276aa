/*
 * A pool at run time: the published snapshot, its generation, and the counters.
 *
 * The RW lock guards the pointer to the current snapshot and nothing else: it is held for a load
 * and an increment, or for a swap. Workers compare the generation first and take the lock only
 * when it has changed.
 */
#ifndef QUOIT_BALANCER_POOL_POOL_H
#define QUOIT_BALANCER_POOL_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "balancer/pool/heat.h"
#include "balancer/pool/snapshot.h"
#include "balancer/pool/stats.h"

/* What /metrics tells of a pool's discovery; control writes it. Zero for static pools. */
struct pool_source_stats {
    _Atomic uint64_t last_contact_us; /* monotonic clock; 0: never */
    _Atomic uint64_t updates, errors, held;
    _Atomic uint64_t index;
    _Atomic uint32_t is_held; /* 1 while an answer is held back */
};

/* One worker's part of a pool, a cache line apart from the next worker's. */
struct pool_local {
    _Alignas(64) gauge in_flight;   /* requests at endpoints; all may read it */
    gauge retrying;                 /* of them, retries: see proxy/retry.h */
    _Atomic uint32_t waiting;       /* requests for room at endpoints (proxy/queue.h) */
    _Atomic uint32_t waiting_any;   /* of them, those that any endpoint will do for */
    _Atomic uint32_t waiting_tried; /* and those that any will do for but some */
    struct heat *heat;              /* NULL where no key can be hot */
    struct pool_stats stats;
};

struct pool {
    const struct conf_pool *conf;
    bool has_ring;
    struct ring_options ring_options; /* all zero without a ring */
    pthread_rwlock_t lock;
    struct snapshot *current; /* under lock; never NULL once the pool is made */
    _Atomic uint64_t generation;
    struct pool_source_stats source;
    struct pool_local *locals; /* one a worker */
    uint32_t n_locals;
};

/* Makes a pool with an empty snapshot (number 0). Returns 0 or -errno. */
int pool_init(struct pool *pool, const struct conf_pool *conf, uint32_t n_workers);
void pool_fini(struct pool *pool);

/* The worker's request goes to an endpoint, and is over (n is 1 or -1). */
static inline void pool_add_in_flight(struct pool *pool, uint32_t worker, int32_t n)
{
    gauge_add(&pool->locals[worker].in_flight, n);
}

/* Requests at endpoints, of all workers, as of about now. */
static inline uint32_t pool_in_flight(const struct pool *pool)
{
    return gauge_sum(&pool->locals->in_flight, sizeof *pool->locals, pool->n_locals);
}

/* Requests that take part in the pool's retry budget, of all workers, as of about now. */
static inline uint32_t pool_retrying(const struct pool *pool)
{
    return gauge_sum(&pool->locals->retrying, sizeof *pool->locals, pool->n_locals);
}

/* Requests that wait for room at an endpoint, of all workers, as of about now. */
static inline uint32_t pool_waiting(const struct pool *pool)
{
    return gauge_sum(&pool->locals->waiting, sizeof *pool->locals, pool->n_locals);
}

/* The key's share of the pool's requests of late, all workers together; any thread. */
double pool_key_share(const struct pool *pool, uint64_t hash);

/* A reference to the current snapshot; any thread. */
struct snapshot *pool_acquire(struct pool *pool);

/* Makes snapshot (whose reference it takes) the current one; control only. */
void pool_publish(struct pool *pool, struct snapshot *snapshot);

#endif
