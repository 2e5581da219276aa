/*
 * What a request tells its endpoint about the way it came, and what it is called: X-Forwarded-* and
 * Forwarded (RFC 7239), Max-Forwards, the request id, traceparent, Via.
 *
 * Of such fields only those of trusted proxies are believed; who is trusted, and what becomes of
 * their fields, are options (client.trusted_proxies, forwarded_headers). What is added here comes
 * behind the client's own fields, so that nothing the client says, in Connection or elsewhere, can
 * take it away.
 */
#ifndef QUOIT_BALANCER_PROXY_TRAIL_H
#define QUOIT_BALANCER_PROXY_TRAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/h1.h"
#include "balancer/http/trace.h"
#include "conf/conf.h"

struct head;
struct request;

/* Where a name of the request is: in its head, in what was made here, or nowhere. */
enum trail_name { TRAIL_NAME_NONE, TRAIL_NAME_PASSED, TRAIL_NAME_MADE };

/* Part of struct request, and zero at first. */
struct trail {
    enum conf_forwarded_mode mode; /* REPLACE unless the client is trusted */
    uint32_t field_ids;            /* bits of enum h1_field_id: which fields the head has */
    uint32_t n_request_ids, request_id_field; /* fields that carry one, and the last of them */
    bool has_max_forwards;
    uint32_t max_forwards; /* as it goes on */
    enum trail_name request_id, trace;
    struct h1_range passed_request_id, passed_trace; /* the whole value, and the trace's id */
    uint8_t made_request_id[REQUEST_ID_BYTES];
    uint8_t made_traceparent[TRACEPARENT_BYTES];
};

/*
 * Once, when the head is complete: marks the fields that are not forwarded as they came, names the
 * request. REASON_OK, or why quoit answers it: BAD_REQUEST for a malformed Max-Forwards of TRACE or
 * OPTIONS, LAST_HOP for OPTIONS and METHOD_REFUSED for TRACE when it says 0.
 */
enum reason trail_prepare(struct request *request);

/* Whether the client's head has a field of this kind. */
bool trail_has(const struct request *request, enum h1_field_id id);

/* Adds all of it to the head for the endpoint. */
void trail_add(struct head *head, const struct request *request);

/* The endpoint's fields that carry a request id are not for the client where quoit tells it one. */
void trail_mark_response(const struct request *request, struct h1_lines *lines,
                         const uint8_t *message);

/* Adds the request id to a head for the client, where the operator wants that. */
void trail_add_to_response(struct head *head, const struct request *request);

/* A Via field: a message that came over HTTP/2, or HTTP/1 of this minor version (RFC 9110 section
 * 7.6.3). */
void trail_add_via(struct head *head, bool is_h2, uint8_t minor);

/* The request's id and its trace's id, n == 0 without; wherever the head is now. */
struct span trail_request_id(const struct request *request);
struct span trail_trace_id(const struct request *request);

#endif
