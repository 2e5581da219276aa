/*
 * One HTTP/2 stream: the transport of a connection that speaks HTTP/1.1 (transport.h), its owner.
 * Its inbox holds what has come as HTTP/1.1 has it; what is written is an HTTP/1.1 message, taken
 * apart here.
 *
 * Lives until both its owner has closed it and nghttp2 has let go of it; freed through the worker.
 */
#ifndef QUOIT_BALANCER_PROXY_H2_STREAM_H
#define QUOIT_BALANCER_PROXY_H2_STREAM_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balancer/http/h1.h"
#include "balancer/http/h2_fields.h"
#include "balancer/http/h2_response.h"
#include "balancer/http/reason.h"
#include "balancer/proxy/h2_inbox.h"
#include "balancer/proxy/patience.h"
#include "balancer/proxy/transport.h"

struct conn;
struct h2_session;

enum h2_outbox_step {
    H2_OUTBOX_HEAD,
    H2_OUTBOX_BODY,
    H2_OUTBOX_END, /* the whole message has been written */
};

struct h2_outbox {
    enum h2_outbox_step step;
    struct chain payload; /* written, not sent */
    struct h1_body body;
    uint8_t *trailers; /* their text; NULL: none */
    uint32_t trailers_n;
    bool is_deferred; /* nghttp2 waits for payload */
    bool is_sent;     /* the stream's end as well */
};

enum h2_stream_state {
    H2_STREAM_WAITS, /* for its session to begin */
    H2_STREAM_OPEN,
    H2_STREAM_CLOSED, /* nghttp2 has let go of it */
};

struct h2_stream {
    struct h2_session *session;
    struct conn *conn; /* the owner's; NULL: closed */
    int32_t id;        /* 0: nghttp2 does not know it yet */
    enum h2_stream_state state;
    enum h2_asked asked;
    enum reason refusal; /* of a client's: the answer that it gets at once; REASON_OK: is served */
    int error;           /* of an endpoint's: errno for its owner, behind what has come; 0 */
    bool has_head;       /* of an endpoint's: the final response has begun */
    bool is_ready;       /* in the session's queue */
    bool is_moved;       /* came from another session that had no room for it */
    bool is_spoiled;     /* its end is to look like a failure */
    bool is_orphan;
    struct h2_inbox inbox;
    struct h2_outbox outbox;
    struct patience patience; /* of an orphan */
    TAILQ_ENTRY(h2_stream) link, ready_link, orphan_link;
};

extern const struct transport transport_h2;

/* Of session, without an owner yet. */
struct h2_stream *h2_stream_new(struct h2_session *session, int32_t id);

/* Does what can be done for its owner now. */
void h2_stream_run(struct h2_stream *stream);

/* It has something to do in the session's next turn. */
void h2_stream_make_ready(struct h2_stream *stream);

/* Payload has come; it counts against the windows until it is read. */
void h2_stream_take(struct h2_stream *stream, struct span payload);

/* No more comes. */
void h2_stream_end(struct h2_stream *stream);

/* nghttp2 has let go of it. */
void h2_stream_closed(struct h2_stream *stream, uint32_t error_code);

/* Whether it is a tunnel; also once our side of it has ended. */
bool h2_stream_is_tunnel(const struct h2_stream *stream);

/* It is over for all. */
void h2_stream_free(struct h2_stream *stream);

/* One that waits does so for another session to begin. */
void h2_stream_move(struct h2_stream *stream, struct h2_session *to);

void h2_stream_reset(struct h2_stream *stream, uint32_t error_code);

/* ---- for a role's take_head() ---- */

/* Fields as nghttp2 wants them, which makes names lower case; returns nv. */
nghttp2_nv *h2_stream_nv(const struct h2_field *fields, uint32_t n, nghttp2_nv *nv);

/* Gives the body that is written from now on. */
nghttp2_data_provider h2_stream_provider(struct h2_stream *stream);

/* The head is out, and this follows. */
void h2_stream_begin_body(struct h2_stream *stream, const struct h1_framing *framing);

#endif
