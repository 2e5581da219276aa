/*
 * Bounded load (Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", SODA
 * 2018) with a term for chance on top. An endpoint takes a request by hash while
 *
 *     in flight < ceil(factor * fair) + slack * sqrt(fair)
 *     fair = (requests in flight in the pool, this one included) * weight / weights of the usable
 *
 * Without the second term a pool with few requests in flight would push away every other one:
 * where 0.6 are fair, chance alone puts two or three on one endpoint.
 */
#include <math.h>

#include "balancer/policy/policies.h"

double pick_limit(const struct snapshot *snapshot, const struct member *member, uint32_t in_flight)
{
    const struct conf_pool *conf = snapshot->conf;
    double live = atomic_load_explicit(&snapshot->live_weight, memory_order_relaxed);
    if (!(conf->balance_factor > 0) || !(live > 0))
        return INFINITY;
    /* An endpoint that has just come up may not be in the sum yet. */
    double part = member->weight < live ? member->weight / live : 1;
    double fair = ((double)in_flight + 1) * part;
    return ceil(conf->balance_factor * fair) + conf->balance_slack * sqrt(fair);
}
