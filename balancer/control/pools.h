/*
 * The control plane's side of the pools: which endpoints each has, merged by identity.
 *
 * An endpoint that stays keeps its object, and with it its counters, its connections and its
 * requests. One that is new is made, probed and published; one that is gone leaves the ring at
 * once and lives on until its last request ends. In pools with a ramp weights change step by step
 * (ramping.h); who calls says what time it is (clock_now_us()). Control's thread alone.
 */
#ifndef QUOIT_BALANCER_CONTROL_POOLS_H
#define QUOIT_BALANCER_CONTROL_POOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/pool/pool.h"
#include "conf/conf.h"
#include "discovery/discovery.h"
#include "health/health.h"

struct pools;

/*
 * Makes a run-time pool for each of conf->pools and fills them with their static endpoints. health
 * probes them from now on and must outlive the pools. Returns 0, or -errno after logging what
 * went wrong (a name that does not resolve is not an error: it is logged, and the others serve).
 */
int pools_new(const struct conf *conf, struct health *health, uint64_t now_us,
              struct pools **ret_pools);
void pools_free(struct pools *pools);

/* The run-time pools, as conf->pools. */
struct pool *pools_array(struct pools *pools);

/*
 * Takes what discovery says. Returns true when workers must look (a new snapshot, or an endpoint
 * whose state changed).
 */
bool pools_take_discovery(struct pools *pools, const struct discovery_event *event,
                          uint64_t now_us);

/* Takes a changed verdict; the same return. cookie is the endpoint's serial. */
bool pools_take_verdict(struct pools *pools, uint64_t cookie, bool up, const char *detail,
                        uint64_t now_us);

/* When pools_step() has something to do; POOLS_NEVER while no weight is on its way. */
#define POOLS_NEVER UINT64_MAX
uint64_t pools_next_step_us(const struct pools *pools);

/* Brings the weights that are on their way to where they are now; the same return. Costs a snapshot
 * for each pool whose step is due. */
bool pools_step(struct pools *pools, uint64_t now_us);

/* Whether every pool has heard from its source; else *ret_waiting names one that has not. */
bool pools_are_filled(const struct pools *pools, const char **ret_waiting);

#endif
