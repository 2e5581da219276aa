/*
 * Fields of HTTP/1.1 messages, as the request path writes them, as fields of HTTP/2 (RFC 9113
 * section 8.2): what responses to clients and requests to endpoints have in common. Pure. The bytes
 * are our own: what came from a peer has been through a strict parser.
 */
#ifndef QUOIT_BALANCER_HTTP_H2_FIELDS_H
#define QUOIT_BALANCER_HTTP_H2_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/http/h1.h"
#include "balancer/http/span.h"
#include "conf/conf.h"

/* A message's fields, those of a listener's rules and a route's, and a few of ours. */
#define H2_MAX_FIELDS (H1_MAX_FIELDS + 2 * CONF_MAX_ADDED_FIELDS + 32)

struct h2_field {
    struct span name, value; /* names in any case */
    bool is_private; /* of one client or one request: not for a table that others share (RFC 7541
                        section 7.1.3) */
};

/* The line at *at without its CRLF, *at moved behind it; false if it has no end. */
bool h2_line_next(struct span bytes, size_t *at, struct span *ret_line);

/* A field line's name and value; false if it is none. */
bool h2_line_split(struct span line, struct h2_field *ret_field);

/* The number that decimal digits begin with. */
uint64_t h2_number_read(struct span digits);

/* Takes note of what a field, of this kind by its name, says about the body; whether it is one that
 * HTTP/2 has (section 8.2.2). */
bool h2_field_note(struct h1_framing *framing, enum h1_field_id id, const struct h2_field *field);

/* The fields of a trailer section that ends with an empty line: their number, or -1 if there is no
 * whole one, or one with too many fields; *ret_n is what the section takes of bytes. */
int h2_trailers_read(struct span bytes, struct h2_field *fields, uint32_t max, uint32_t *ret_n);

#endif
