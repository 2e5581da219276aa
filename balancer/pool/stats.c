#include "balancer/pool/stats.h"

const uint32_t latency_bounds_us[LATENCY_BOUNDS] = {
#define X(us) us,
    LATENCY_BOUNDS_US(X)
#undef X
};

void histogram_add(struct histogram *histogram, uint64_t us)
{
    /* Counting the bounds below us needs no branch, and compilers make vector code of it; 32 bits
     * are enough, for all the bounds are. */
    uint32_t clamped = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    uint32_t bucket = 0;
    for (uint32_t i = 0; i < LATENCY_BOUNDS; i++)
        bucket += clamped > latency_bounds_us[i];
    counter_add(&histogram->buckets[bucket], 1);
    counter_add(&histogram->sum_us, us);
}
