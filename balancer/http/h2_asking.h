/*
 * Heads of HTTP/1.1 requests, as the request path writes them, as HTTP/2 fields (RFC 9113 sections
 * 8.2.2 and 8.3.1): what goes to an endpoint. Pure. The bytes are our own: a client's have been
 * through the strict parser.
 */
#ifndef QUOIT_BALANCER_HTTP_H2_ASKING_H
#define QUOIT_BALANCER_HTTP_H2_ASKING_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/h1.h"
#include "balancer/http/h2_fields.h"
#include "balancer/http/h2_response.h"
#include "balancer/http/span.h"

struct h2_asking {
    uint32_t head_n; /* bytes of the head */
    enum h2_asked asked;
    struct h1_framing framing; /* body NONE, LENGTH or CHUNKED, and content_length */
    uint32_t n_fields;
    struct h2_field fields[H2_MAX_FIELDS]; /* into the bytes; pseudo-fields first */
};

/* Reads the head that bytes begin with; false if there is no whole one, or one with too many
 * fields. Host becomes :authority; a request without one, or with an empty one, has none. id_name:
 * the name of the field that is another in each request; n == 0: there is none. */
bool h2_asking_read(struct span bytes, struct span scheme, struct span id_name,
                    struct h2_asking *ret_asking);

#endif
