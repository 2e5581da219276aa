/*
 * Cookie affinity: where a request's cookie sends it.
 *
 * A session's endpoint comes before every policy: whatever the algorithm says, over its bound or
 * not, and even at weight 0, since draining takes no new sessions but keeps those there are. Only
 * where it cannot serve does the policy choose, and a new cookie moves the session.
 */
#ifndef QUOIT_BALANCER_POLICY_STICKY_H
#define QUOIT_BALANCER_POLICY_STICKY_H

#include "balancer/http/h1.h"
#include "balancer/policy/policy.h"

/* What came of a request's cookie. X(name, word) */
#define STICKY_RESULTS(X)                                                                          \
    X(MISS, "miss")       /* there is none */                                                      \
    X(HIT, "hit")         /* it names the endpoint to use */                                       \
    X(UNKNOWN, "unknown") /* no endpoint of the pool: forged, another's, of one that is gone */    \
    X(DOWN, "down")       /* its endpoint is down: endpoint_state_word() says why */               \
    X(TRIED, "tried")     /* its endpoint failed this request */

enum sticky_result {
#define X(name, word) STICKY_##name,
    STICKY_RESULTS(X)
#undef X
        STICKY_N_RESULTS
};

/* The word above, as explanations write it. */
const char *sticky_word(enum sticky_result result);

/*
 * What comes of the value of a cookie; never a MISS. Looks at the pick's snapshot and at who was
 * tried, and changes nothing. *ret_member is the member that the value names whatever the result;
 * NULL where it names none.
 */
enum sticky_result sticky_resolve(const struct pick *pick, struct span value,
                                  const struct member **ret_member);

/*
 * The same for the fields of a request: of the cookies with the pool's name, in all Cookie fields,
 * the first that names a member counts. A MISS if there is none, or if the pool has no cookie
 * affinity; *ret_member is NULL then.
 */
enum sticky_result sticky_ask(const struct pick *pick, const struct h1_lines *lines,
                              const uint8_t *message, const struct member **ret_member);

#endif
