/*
 * One HTTP/2 stream: the transport of a connection that speaks HTTP/1.1 (transport.h). Its inbox
 * holds the request as HTTP/1.1 has it; what is written is an HTTP/1.1 response, taken apart here.
 *
 * Lives until both its client is closed and nghttp2 has let go of it; freed through the worker.
 */
#ifndef QUOIT_BALANCER_PROXY_H2_STREAM_H
#define QUOIT_BALANCER_PROXY_H2_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balancer/http/h1.h"
#include "balancer/http/h2_response.h"
#include "balancer/http/reason.h"
#include "balancer/proxy/h2_inbox.h"
#include "balancer/proxy/patience.h"
#include "balancer/proxy/transport.h"

struct client;
struct h2_session;

enum h2_outbox_step {
    H2_OUTBOX_HEAD,
    H2_OUTBOX_BODY,
    H2_OUTBOX_END, /* the whole response has been written */
};

struct h2_outbox {
    enum h2_outbox_step step;
    enum h2_asked asked;
    struct chain payload; /* written, not sent */
    struct h1_body body;
    uint8_t *trailers; /* their text; NULL: none */
    uint32_t trailers_n;
    bool is_deferred; /* nghttp2 waits for payload */
    bool is_sent;     /* the stream's end as well */
};

struct h2_stream {
    struct h2_session *session;
    struct client *client; /* NULL: closed */
    int32_t id;
    enum reason refusal; /* the answer that it gets at once; REASON_OK: it is served */
    bool is_open;        /* for nghttp2 */
    bool is_ready;       /* in the session's queue */
    bool is_spoiled;     /* its end is to look like a failure */
    bool is_orphan;
    struct h2_inbox inbox;
    struct h2_outbox outbox;
    struct patience patience; /* of an orphan */
    TAILQ_ENTRY(h2_stream) link, ready_link, orphan_link;
};

extern const struct transport transport_h2;

/* For a request whose head has come. */
struct h2_stream *h2_stream_new(struct h2_session *session, int32_t id);

/* Does what can be done for its client now. */
void h2_stream_run(struct h2_stream *stream);

/* It has something to do in the session's next turn. */
void h2_stream_make_ready(struct h2_stream *stream);

/* Payload has come; it counts against the windows until it is read. */
void h2_stream_take(struct h2_stream *stream, struct span payload);

/* nghttp2 has let go of it. */
void h2_stream_closed(struct h2_stream *stream);

/* Ends it without nghttp2, which is about to go. */
void h2_stream_free(struct h2_stream *stream, enum reason reason);

#endif
