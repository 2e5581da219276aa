/*
 * An HTTP/2 connection of a client: a session (h2_session.h) whose carrier is a client (client.h),
 * and each of whose streams has a client of its own, which is the connection's in all but its
 * requests.
 */
#ifndef QUOIT_BALANCER_PROXY_H2_CLIENT_H
#define QUOIT_BALANCER_PROXY_H2_CLIENT_H

#include <nghttp2/nghttp2.h>

#include "balancer/http/h2_request.h"
#include "balancer/http/reason.h"
#include "balancer/http/span.h"

struct client;
struct h2_session;

enum h2_preface {
    H2_PREFACE_NO,   /* it is something else */
    H2_PREFACE_PART, /* so far it could be one */
    H2_PREFACE_WHOLE,
};

/* Whether bytes begin as HTTP/2 does (RFC 9113 section 3.4). */
enum h2_preface h2_preface_find(struct span bytes);

/* Goes on with client's connection as one of HTTP/2; what is in its in buffer is the beginning.
 * The client may be closed when it returns. */
void h2_client_begin(struct client *client);

/* Tells the peer to open no more streams. */
void h2_client_drain(struct h2_session *session);

/* A while later: which of them was the last. Ends when all are through. */
void h2_client_drain_last(struct h2_session *session);

/* The carrier is being closed: closes the streams for this reason and frees the session. */
void h2_client_free(struct h2_session *session, enum reason reason);

/* ---- the requests that come in, and what else its frames mean (h2_requests.c) ---- */

enum h2_section h2_requests_begin_head(struct h2_session *session, const nghttp2_frame *frame);
void h2_requests_end_head(struct h2_session *session, const nghttp2_frame *frame);
void h2_requests_frame_received(struct h2_session *session, const nghttp2_frame *frame);
void h2_requests_frame_sent(struct h2_session *session, const nghttp2_frame *frame);

#endif
