/*
 * Cookie affinity: the value by which a cookie names an endpoint, and the way back.
 *
 *     value     = base64url(tag signature), without padding
 *     tag       = the first 8 bytes of HMAC-SHA256(secret, "endpoint" 0 pool 0 id)
 *     signature = the first 16 bytes of HMAC-SHA256(secret, "cookie" 0 pool 0 tag)
 *
 * A value shows nothing of the endpoint, nobody without the secret can make one, and one pool's is
 * worth nothing in another. It depends on the secret, the pool's name and the endpoint's identity
 * only: every balancer with the same secret has the same values, and endpoints that come or go
 * change nobody else's. So control computes each once, when it makes the endpoint, and the data
 * path looks values up and compares them.
 */
#ifndef QUOIT_BALANCER_POOL_STICKY_H
#define QUOIT_BALANCER_POOL_STICKY_H

#include <stdint.h>

#include "balancer/http/span.h"

#define STICKY_VALUE_LEN 32                      /* 24 bytes in base64url */
#define STICKY_VALUE_SIZE (STICKY_VALUE_LEN + 1) /* with its NUL */

struct member;
struct snapshot;
struct sticky_index;

/* Writes the value with a NUL behind it. Returns 0, or -EIO when OpenSSL refuses. */
int sticky_value(struct span secret, const char *pool, const char *id,
                 char ret_value[STICKY_VALUE_SIZE]);

/*
 * Indexes n members by their endpoints' values (endpoint.h); endpoints without one are left out.
 * For the maker of a snapshot; free() releases it. Returns 0 or -ENOMEM.
 */
int sticky_index_new(const struct member *members, uint32_t n, struct sticky_index **ret_index);

/*
 * The member whose endpoint has the value; NULL: the value is no endpoint's of this snapshot, or
 * the pool has no cookie affinity. O(log n); how long it takes tells nothing of a signature.
 */
const struct member *sticky_find(const struct snapshot *snapshot, struct span value);

#endif
