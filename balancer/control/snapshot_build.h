/*
 * Builds the snapshot of a pool: control's work, off every lock.
 *
 * Only membership and weights are in a snapshot. Health is not: it is an atomic of the endpoint,
 * and a flap rebuilds nothing.
 */
#ifndef QUOIT_BALANCER_CONTROL_SNAPSHOT_BUILD_H
#define QUOIT_BALANCER_CONTROL_SNAPSHOT_BUILD_H

#include <stddef.h>

#include "balancer/pool/snapshot.h"

/*
 * Makes the snapshot that follows previous (NULL: none) from members[0..n-1], taking references of
 * its own to their endpoints. Their order is the configured one; it counts only in the rings of
 * algorithms that number their servers. Writes *ret and returns 0; the one reference is the
 * caller's, to be given to pool_publish(). -EINVAL: two endpoints with one id, or more of them than
 * a ring holds; -E2BIG: the weights ask for more virtual nodes than a ring holds; -ENOMEM.
 *
 * Its members are sorted by endpoint id. With a hashing algorithm it has a ring over them, node i
 * being member i: derived from previous's ring where that was made with the same options, else
 * built anew, with the same result.
 */
int snapshot_build(const struct conf_pool *conf, const struct member *members, size_t n,
                   const struct snapshot *previous, struct snapshot **ret);

#endif
