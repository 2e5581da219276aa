/*
 * A connection to an endpoint that speaks HTTP/2: a session (h2_session.h) whose streams carry a
 * request each. What serves a request sees an upstream (upstream.h) whose connection has the stream
 * for its transport.
 *
 *     OPENING ──► UP ──► (retired) ──► closed
 *        │ TCP, TLS, the endpoint's SETTINGS: until they are there nothing of a request is taken,
 * so │ that what fails until then is a connection that was not made └──► the connection goes to the
 * first request, and the others' to links of their own, where an endpoint that may chose HTTP/1.1
 *
 * A retired link takes no more streams, and ends with those that it has: it is old, has carried
 * enough, was told to go away, or is suspected to be dead. A closed one is kept, without its
 * connection, while there are requests that still read what has come.
 */
#ifndef QUOIT_BALANCER_PROXY_H2_LINK_H
#define QUOIT_BALANCER_PROXY_H2_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balancer/http/h2_request.h"
#include "balancer/pool/endpoint.h"
#include "balancer/proxy/conn.h"
#include "balancer/proxy/h2_session.h"
#include "balancer/proxy/upstream.h"

struct conf_pool;
struct worker;

enum h2_link_phase { H2_LINK_OPENING, H2_LINK_UP };

struct h2_link {
    struct conn conn; /* first: conn_ops get it */
    struct h2_session session;
    LIST_ENTRY(h2_link) link;        /* the endpoint's, of those that may take streams */
    LIST_ENTRY(h2_link) worker_link; /* the worker's, while it is open */
    struct endpoint *endpoint;       /* a reference */
    const struct conf_pool *pool;
    enum h2_link_phase phase;
    bool is_listed;  /* in the endpoint's list: there may be room for one more stream */
    bool is_retired; /* takes no more */
    bool is_idle;    /* counted among the endpoint's idle connections */
    bool was_told;   /* GOAWAY has come */
    uint32_t n_requests;
    uint64_t opened_us, heard_us; /* when something came last */
    uint64_t counted_bytes;       /* of those written */
};

/* A link to endpoint with room for one more stream, that began after since_us; or NULL. */
struct h2_link *h2_link_find(struct worker *worker, struct endpoint *endpoint, uint64_t since_us);

/* Begins a new one. Returns 0 or -errno. */
int h2_link_open(struct worker *worker, struct endpoint *endpoint, const struct conf_pool *pool,
                 struct h2_link **ret_link);

/* From now on conn, which is not open yet, travels over a new stream of link. */
void h2_link_add(struct h2_link *link, struct conn *conn, const struct conn_ops *ops);

/* The link beneath a connection; NULL: it has none. */
struct h2_link *h2_link_of(const struct conn *conn);

/* A request has given up waiting for an answer on conn: a link that has been silent meanwhile is
 * retired. */
void h2_link_suspect(const struct conn *conn, uint64_t since_us);

/* Closes those to endpoint that carry nothing. */
void h2_link_close_idle(struct worker *worker, struct endpoint *endpoint);

/* Closes all of the worker's. */
void h2_link_close_all(struct worker *worker);

/* ---- for h2_answers.c ---- */

/* The endpoint speaks HTTP/2: its SETTINGS are here. */
void h2_link_came_up(struct h2_link *link);

/* There may be more room on it than before. */
void h2_link_offer(struct h2_link *link);

void h2_link_retire(struct h2_link *link);

/* What its streams' frames mean. */
enum h2_section h2_answers_begin_head(struct h2_session *session, const nghttp2_frame *frame);
void h2_answers_end_head(struct h2_session *session, const nghttp2_frame *frame);
void h2_answers_frame_received(struct h2_session *session, const nghttp2_frame *frame);
void h2_answers_frame_sent(struct h2_session *session, const nghttp2_frame *frame);
void h2_answers_frame_unsent(struct h2_session *session, const nghttp2_frame *frame);

#endif
