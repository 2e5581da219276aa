/*
 * Message heads as they are forwarded: serialised from the parsed message, hop-by-hop fields out
 * (RFC 9110 section 7.6.1), what trail.h describes in; before it, on connections that want it, the
 * PROXY protocol's header.
 */
#ifndef QUOIT_BALANCER_PROXY_FORWARD_H
#define QUOIT_BALANCER_PROXY_FORWARD_H

#include <stdbool.h>

#include "balancer/http/reason.h"

struct request;

/* Once, when the request's head is complete: marks the fields that are replaced, decides about
 * Upgrade. REASON_OK, or why quoit answers the request itself. */
enum reason forward_prepare(struct request *request);

/* Stages the request's head for its upstream; false when it does not fit. */
bool forward_request(struct request *request);

/* Stages the final response's head for the client, and decides how the body is framed and whether
 * the connection stays; false when it does not fit. */
bool forward_response(struct request *request);

/* Stages an interim (1xx) response; false when it does not fit. */
bool forward_interim(struct request *request);

/* Stages an answer of our own with the request's reason; decides about the connection. False when
 * it does not fit: interim responses that the client does not read are in its way. */
bool forward_reply(struct request *request);

#endif
