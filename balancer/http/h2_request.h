/*
 * HTTP/2 heads as HTTP/1.1 ones (RFC 9113 sections 8.2, 8.3 and 8.5, RFC 8441): requests that
 * clients send, and the reading of fields that endpoints' responses (h2_answer.h) share.
 *
 * Pure: fields in, bytes out. Whatever cannot be told in HTTP/1.1 without a doubt is refused here,
 * also what the HTTP/2 library is to refuse before; the result is read by the same strict parser
 * as a client's own bytes.
 */
#ifndef QUOIT_BALANCER_HTTP_H2_REQUEST_H
#define QUOIT_BALANCER_HTTP_H2_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/http/h1.h"
#include "balancer/http/span.h"

enum h2_verdict {
    H2_FINE,
    H2_MALFORMED, /* RFC 9113 section 8.1.1: the stream is reset */
    H2_TOO_LARGE, /* more than there is room for */
};

enum h2_section { H2_REQUEST, H2_RESPONSE, H2_TRAILERS };

/* A section being read. The text of its fields lies in room, behind the pseudo-fields' values. */
struct h2_head {
    uint8_t *room;
    uint32_t size, n;
    enum h2_section section;
    enum h2_verdict verdict;
    struct h1_range method, scheme, path, authority, protocol, status; /* n == 0: not there */
    uint32_t fields_at;  /* where the fields' text begins */
    uint32_t cookie_end; /* behind the last byte of the one Cookie line's value; 0: none */
    uint8_t pseudo_seen; /* bits of those that were there */
    bool has_host, has_content_length;
};

/* room: memory for all of it, which stays the caller's. */
void h2_head_init(struct h2_head *head, enum h2_section section, uint8_t *room, uint32_t size);

/* The next field. After anything but H2_FINE the verdict stays as it is. */
enum h2_verdict h2_head_add(struct h2_head *head, struct span name, struct span value);

enum h2_request_kind {
    H2_PLAIN,
    H2_WEBSOCKET,      /* extended CONNECT */
    H2_OTHER_PROTOCOL, /* extended CONNECT for a protocol that is not spoken here */
    H2_INVALID,        /* pseudo-fields are missing or do not go together */
};

/* What a whole section of a request asks for. */
enum h2_request_kind h2_request_kind(const struct h2_head *head);

enum h2_body { H2_BODY_NONE, H2_BODY_FOLLOWS };

#define H2_REQUEST_SPANS 12
#define H2_WEBSOCKET_KEY_BYTES 24

/*
 * The HTTP/1.1 head, in pieces to be joined; returns their number. kind is H2_PLAIN or
 * H2_WEBSOCKET, whose key the caller makes (RFC 6455 section 4.1). A body without a length is
 * announced as chunked.
 */
size_t h2_request_spans(const struct h2_head *head, enum h2_request_kind kind, enum h2_body body,
                        struct span websocket_key, struct span ret_spans[H2_REQUEST_SPANS]);

/* The text of all fields of a trailer section, without the empty line. */
static inline struct span h2_head_fields(const struct h2_head *head)
{
    return (struct span){head->room + head->fields_at, head->n - head->fields_at};
}

#endif
