#include "balancer/explain/why.h"

#include <inttypes.h>
#include <stdio.h>

#include "balancer/explain/bytes.h"

#define NAME_BYTES 96
#define OBSTACLE_BYTES 256

/* What kept the first candidate from being chosen, as a clause. */
static void print_obstacle(const struct pick *pick, char to[OBSTACLE_BYTES])
{
    const struct pick_candidate *first = &pick->trace->candidates[0];
    const struct endpoint *endpoint = pick->snapshot->members[first->member].endpoint;
    char name[NAME_BYTES];
    bytes_print(span_of(endpoint->address), name, sizeof name);
    switch (first->verdict) {
    case PICK_VERDICT_UNUSABLE:
        snprintf(to, OBSTACLE_BYTES, "%s is %s", name, endpoint_state_word(endpoint));
        break;
    case PICK_VERDICT_WEIGHTLESS:
        snprintf(to, OBSTACLE_BYTES, "%s has weight 0", name);
        break;
    case PICK_VERDICT_OVER_BOUND:
        snprintf(to, OBSTACLE_BYTES,
                 "%s is over its bound (%" PRIu32 " requests in flight, limit %.4g)", name,
                 first->in_flight, first->limit);
        break;
    case PICK_VERDICT_FULL:
        snprintf(to, OBSTACLE_BYTES, "%s has as many connections in use as it may", name);
        break;
    case PICK_VERDICT_TRIED:
        snprintf(to, OBSTACLE_BYTES, "%s has been tried", name);
        break;
    default:
        snprintf(to, OBSTACLE_BYTES, "%s is busier", name);
        break;
    }
}

static const char *why_turn(const struct pick *pick)
{
    switch (pick->snapshot->conf->algorithm) {
    case CONF_ALGORITHM_LEAST_REQUESTS:
        return "it has the fewest requests in flight for its weight; among equals one is drawn";
    case CONF_ALGORITHM_RANDOM_TWO:
        return "the better of two random endpoints takes it; which these are cannot be told";
    case CONF_ALGORITHM_ROUND_ROBIN:
        return "endpoints take turns, for each worker on its own; whose turn it is cannot be told";
    default:
        return pick->has_key ? "the key's walk ended before it met an endpoint that can take it; "
                               "then endpoints take turns"
                             : "the request has no key, so endpoints take turns; whose turn it is "
                               "cannot be told";
    }
}

static void print_hot(const struct pick *pick, char *to, size_t size)
{
    snprintf(to, size,
             "the key is hot, with %.1f %% of the pool's requests: it is the least busy of the "
             "key's first %" PRIu32 " endpoints",
             100 * pick->key_share, pick->trace->alternatives);
}

void why_print(const struct pick *pick, char *to, size_t size)
{
    char obstacle[OBSTACLE_BYTES] = "";
    if (pick->trace->n > 0)
        print_obstacle(pick, obstacle);
    switch (pick->trace->way) {
    case PICK_HOME:
        snprintf(to, size, "it is the first in the key's order");
        break;
    case PICK_NEXT:
        snprintf(to, size, "%s: it is the next in the key's order that can take it", obstacle);
        break;
    case PICK_OVERFLOW:
        snprintf(to, size, "%s: it is the next in the key's order with room", obstacle);
        break;
    case PICK_HOT:
        print_hot(pick, to, size);
        break;
    case PICK_SCAN:
        snprintf(to, size,
                 "%s, and the key's walk met nobody who can take it: it is the first who can, "
                 "from a place in the list that hangs on the key",
                 obstacle);
        break;
    case PICK_TURN:
        snprintf(to, size, "%s", why_turn(pick));
        break;
    default:
        snprintf(to, size, "no endpoint of the pool can take it: quoit answers %u (%s)",
                 reason_status(REASON_NO_ENDPOINT), reason_word(REASON_NO_ENDPOINT));
        break;
    }
}
