/*
 * The choice of an endpoint for a request: its session first, then the policy of its pool, over the
 * current snapshot.
 */
#ifndef QUOIT_BALANCER_PROXY_CHOICE_H
#define QUOIT_BALANCER_PROXY_CHOICE_H

#include "balancer/proxy/request.h"

/* The endpoint for the next attempt (no reference taken), or NULL. Counts the key, once a request,
 * and how the choice came about. */
struct endpoint *choice_make(struct request *request);

/* Whether a session, or a key that must not be served elsewhere, ties it to one endpoint. */
bool choice_is_tied(const struct request *request);

/* Whether an attempt at another endpoint than the present one is allowed and possible. */
bool choice_has_other(const struct request *request);

#endif
