/*
 * The proof that an endpoint has read the key of a WebSocket handshake (RFC 6455 section 4.2.2).
 * Clients of HTTP/1.1 check it themselves; for those of HTTP/2, who have no key (RFC 8441 section
 * 5), whoever made the key does. Pure.
 */
#ifndef QUOIT_BALANCER_HTTP_WEBSOCKET_H
#define QUOIT_BALANCER_HTTP_WEBSOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/h1.h"

/* Whether the response has one Sec-WebSocket-Accept, and that is for the Sec-WebSocket-Key of the
 * request. */
bool websocket_is_accepted(const struct h1_lines *request, const uint8_t *request_message,
                           const struct h1_lines *response, const uint8_t *response_message);

#endif
