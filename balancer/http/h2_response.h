/*
 * Heads of HTTP/1.1 responses, as the request path writes them, as HTTP/2 fields (RFC 9113 sections
 * 8.2.2 and 8.3.2). Pure. The bytes are our own: an endpoint's have been through the strict parser.
 */
#ifndef QUOIT_BALANCER_HTTP_H2_RESPONSE_H
#define QUOIT_BALANCER_HTTP_H2_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/h1.h"
#include "balancer/http/h2_fields.h"
#include "balancer/http/span.h"

struct h2_response {
    uint32_t head_n; /* bytes of the head */
    uint16_t status; /* 101 becomes 200: a tunnel is open (RFC 8441 section 5) */
    bool is_tunnel;
    struct h1_framing framing; /* body, and content_length with H1_BODY_LENGTH */
    uint32_t n_fields;
    struct h2_field fields[H2_MAX_FIELDS]; /* into the bytes; the first is :status */
};

enum h2_asked { H2_ASKED_HEAD, H2_ASKED_OTHER };

/* Reads the head that bytes begin with; false if there is no whole one, or one with too many
 * fields. */
bool h2_response_read(struct span bytes, enum h2_asked asked, struct h2_response *ret_response);

#endif
