/*
 * The admin listener's JSON API, version 1: read only, GET.
 *
 *     /api/v1/pools[?pool=NAME]      describe_pools() (explain/describe.h)
 *     /api/v1/hot_keys[?pool=NAME]   describe_hot_keys(); NAME may be left out of a single pool
 *     /api/v1/explain?request=HEAD&client=ADDRESS&pool=NAME&key=KEY
 *                                    explain() (explain/explain.h); each may be left out
 *
 * Values are encoded as in forms: percent escapes, and a plus sign for a space, as curl does it.
 * Errors are { error } with 400 or 404. Answers are UTF-8 whatever bytes a key has.
 */
#ifndef QUOIT_BALANCER_ADMIN_API_H
#define QUOIT_BALANCER_ADMIN_API_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/explain/explain.h"
#include "balancer/http/span.h"

struct api_answer {
    uint16_t status;
    char *text; /* the caller frees it */
    size_t n;
};

/* Whether path is one of the above. */
bool api_has(struct span path);

/* Answers path with query (what stands behind the '?'). Returns 0 or -ENOMEM. */
int api_answer(const struct explain_source *source, struct span path, struct span query,
               struct api_answer *ret_answer);

#endif
