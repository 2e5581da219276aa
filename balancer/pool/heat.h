/*
 * Heat: which keys of a pool a worker has lately seen often.
 *
 * A worker counts every request that has a key; the past fades, so that a key that was hot is not
 * for long. Control reads along, for `explain`, `plan` and the admin API.
 */
#ifndef QUOIT_BALANCER_POOL_HEAT_H
#define QUOIT_BALANCER_POOL_HEAT_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/http/span.h"

#define HEAT_KEY_BYTES 48 /* of a hot key that are remembered */
#define HEAT_TOP 64       /* hot keys that are remembered, at most */

struct heat;

/* NULL when memory is out. 68 KiB. */
struct heat *heat_new(void);
void heat_free(struct heat *heat); /* accepts NULL */

/*
 * Counts one request for the key of that hash (ring_key_hash()) and returns its share of the
 * requests lately counted, 0 to 1; 0 where it is too small to be told from noise. Shares are taken
 * of no fewer than some thousand requests, so that the first ones do not look hot. Its worker only.
 */
double heat_count(struct heat *heat, uint64_t hash, struct span key, uint64_t now_us);

/* The same without counting; any thread, as is what follows. */
double heat_share(const struct heat *heat, uint64_t hash);

/* A key that is hot enough to be told from noise. */
struct heat_key {
    uint64_t hash;
    double share;
    size_t n; /* of its bytes, at most HEAT_KEY_BYTES are here */
    uint8_t bytes[HEAT_KEY_BYTES];
};

/* Requests counted of late: what shares of several workers are weighed with. */
uint32_t heat_total(const struct heat *heat);

/* Writes the hot keys in no order; returns how many. */
size_t heat_top(const struct heat *heat, struct heat_key ret_keys[HEAT_TOP]);

#endif
