/*
 * One run of the simulation: requests arrive by chance, a balancer chooses, a cache serves.
 *
 * Arrivals are a Poisson process, objects come by Zipf's law. A balancer sees its own requests in
 * flight at once, and nothing of another balancer's. The caches fill during the warm-up, the first
 * third of which comes at half the rate unless it is to be a cold start.
 */
#ifndef QUOIT_TESTS_SIM_RUN_H
#define QUOIT_TESTS_SIM_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "scheme.h"

enum { RUN_OBJECTS = 200000, RUN_MAX_WINDOWS = 200, RUN_MAX_BALANCERS = 8 };

#define RUN_WINDOW_S 0.5
#define RUN_LIMIT_MS 25 /* of the 99th percentile, for a rate that is sustained */

/* What happens at_s seconds after the warm-up. */
struct event {
    double at_s;
    uint32_t join;   /* so many endpoints join … */
    double ramp_s;   /* … and come to full weight after so long */
    bool crash;      /* one endpoint is found down */
    double hot_part; /* from then on this part of all requests is for one unpopular object */
};

struct plan {
    const struct scheme *scheme;
    double zipf, rate; /* requests a second */
    uint32_t endpoints, capacity, balancers, workers;
    uint64_t warm_up, measured; /* requests */
    uint64_t seed;
    bool cold_start; /* empty caches meet the full rate at once */
    struct event event;
};

/* docs/hashing.md's model: 20 endpoints of 2500 objects, Zipf 1.0, one balancer, one worker. */
struct plan plan_default(const struct scheme *scheme, double rate);

struct window {
    double requests, misses;
};

struct outcome {
    double hit_rate;
    double max_to_average; /* requests of the busiest endpoint */
    double mean_ms, p99_ms, p999_ms;
    double overflowed, hot; /* parts of the requests that went elsewhere for that reason */
    bool is_sustained;      /* p99 within its limit; if not, the run may have ended early */
    uint32_t n_windows;     /* whole ones */
    struct window windows[RUN_MAX_WINDOWS];
};

void run(const struct plan *plan, struct outcome *ret_outcome);

#endif
