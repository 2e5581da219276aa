/*
 * The operator's header rules (http/header_rules.h) on the heads of a request: its listener's, then
 * its route's. They are for what comes from the other side and for what quoit answers itself, not
 * for the fields that it adds to every message, and not for interim responses.
 *
 * Most requests have no rules; what serves those that do is kept out of their way.
 */
#ifndef QUOIT_BALANCER_PROXY_RULED_H
#define QUOIT_BALANCER_PROXY_RULED_H

#include <stdbool.h>

#include "balancer/http/span.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/request.h"

struct head;

#define RULED_COLD __attribute__((cold))

/* Whether there are rules for the head to the endpoint, and for the one to the client. The first
 * needs a route. */
static inline bool ruled_has_request(const struct request *r)
{
    return (r->client->listener->request_headers.n | r->route->request_headers.n) != 0;
}

static inline bool ruled_has_response(const struct request *r)
{
    return r->client->listener->response_headers.n != 0 ||
           (r->route != NULL && r->route->response_headers.n != 0);
}

/* Marks the fields of the head that are not forwarded. */
RULED_COLD void ruled_mark_request(struct request *request);
RULED_COLD void ruled_mark_response(struct request *request, const uint8_t *message);

/* Whether a field of this name is not forwarded. */
RULED_COLD bool ruled_drops_request(const struct request *request, struct span name);
RULED_COLD bool ruled_drops_response(const struct request *request, struct span name);

/* Adds the fields that the rules want. */
RULED_COLD void ruled_add_to_request(struct head *head, const struct request *request);
RULED_COLD void ruled_add_to_response(struct head *head, const struct request *request);

#endif
