/*
 * Heads of HTTP/2 responses as HTTP/1.1 ones (RFC 9113 sections 8.2 and 8.3.2): what comes from an
 * endpoint. Pure. The fields are read by h2_request.h's h2_head_add(), with the section
 * H2_RESPONSE; the result is read by the same strict parser as an endpoint's own bytes.
 */
#ifndef QUOIT_BALANCER_HTTP_H2_ANSWER_H
#define QUOIT_BALANCER_HTTP_H2_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/http/h2_request.h"
#include "balancer/http/h2_response.h"
#include "balancer/http/span.h"

/* Its status, 100 to 999; 0: the section is malformed, or has none, or it is 101, which HTTP/2 does
 * not have (section 8.6). */
uint16_t h2_answer_status(const struct h2_head *head);

/* How its body comes in HTTP/1.1. */
enum h2_answer_body {
    H2_ANSWER_NONE,    /* there is none: to HEAD, or by its status */
    H2_ANSWER_LENGTH,  /* as long as the head says; an end with the head is a length of 0 */
    H2_ANSWER_CHUNKED, /* the head does not say */
};

/* body: whether the stream goes on behind the head. */
enum h2_answer_body h2_answer_body(const struct h2_head *head, enum h2_asked asked,
                                   enum h2_body body);

#define H2_ANSWER_SPANS 8

/* The HTTP/1.1 head, in pieces to be joined; returns their number. Its status must be good. */
size_t h2_answer_spans(const struct h2_head *head, enum h2_answer_body body,
                       struct span ret_spans[H2_ANSWER_SPANS]);

#endif
