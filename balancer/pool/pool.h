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

#include "balancer/pool/snapshot.h"
#include "balancer/pool/stats.h"

/* What /metrics tells of a pool's discovery; control writes it. Zero for static pools. */
struct pool_source_stats {
    _Atomic uint64_t last_contact_us; /* monotonic clock; 0: never */
    _Atomic uint64_t updates, errors, held;
    _Atomic uint64_t index;
    _Atomic uint32_t is_held; /* 1 while an answer is held back */
};

/* One worker's counters of a pool, a cache line apart from the next worker's. */
struct pool_local {
    _Alignas(64) struct pool_stats stats;
};

struct pool {
    const struct conf_pool *conf;
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

/* A reference to the current snapshot; any thread. */
struct snapshot *pool_acquire(struct pool *pool);

/* Makes snapshot (whose reference it takes) the current one; control only. */
void pool_publish(struct pool *pool, struct snapshot *snapshot);

#endif
