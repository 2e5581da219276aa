/*
 * What stands at an endpoint: a cache with so many workers and a queue in front of them.
 */
#ifndef QUOIT_TESTS_SIM_CACHE_H
#define QUOIT_TESTS_SIM_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "draw.h"
#include "lru.h"

enum { CACHE_WORKERS = 16 };

struct cache {
    struct lru *lru;
    double free_at_ms[CACHE_WORKERS];
};

void cache_init(struct cache *cache, uint32_t n_objects, uint32_t capacity);
void cache_fini(struct cache *cache);

/*
 * Takes a request; calls come in the order of now_ms. Returns when its answer is ready. Who comes
 * first is served first, by the first worker that is free, for 0.5 to 1.5 ms if the object is there
 * and 5 to 15 ms if it must be fetched; it counts as there from the moment it is asked for.
 */
double cache_serve(struct cache *cache, uint32_t object, double now_ms, struct draws *draws,
                   bool *ret_hit);

#endif
