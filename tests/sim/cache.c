#include "cache.h"

#include <string.h>

void cache_init(struct cache *cache, uint32_t n_objects, uint32_t capacity)
{
    memset(cache, 0, sizeof *cache);
    cache->lru = lru_new(n_objects, capacity);
}

void cache_fini(struct cache *cache)
{
    lru_free(cache->lru);
}

double cache_serve(struct cache *cache, uint32_t object, double now_ms, struct draws *draws,
                   bool *ret_hit)
{
    uint32_t worker = 0;
    for (uint32_t i = 1; i < CACHE_WORKERS; i++) {
        if (cache->free_at_ms[i] < cache->free_at_ms[worker])
            worker = i;
    }
    *ret_hit = lru_touch(cache->lru, object);
    double work_ms = draw_between(draws, 0.5, 1.5) * (*ret_hit ? 1 : 10);
    double start_ms = cache->free_at_ms[worker] > now_ms ? cache->free_at_ms[worker] : now_ms;
    cache->free_at_ms[worker] = start_ms + work_ms;
    return cache->free_at_ms[worker];
}
