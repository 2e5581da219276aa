/*
 * An HTTP/2 connection of a client (RFC 9113): many requests over one connection.
 *
 *   carrier: a client (client.h) whose connection has the socket or TLS beneath it
 *      └─ session: nghttp2, deadlines, what the peer is allowed to cost
 *           └─ streams (h2_stream.h), each with a client of its own, whose connection has the
 *              stream for its transport and speaks HTTP/1.1: what serves a request does not know
 *
 * Bytes come in through nghttp2's callbacks (h2_callbacks.c), which only fill the streams' inboxes
 * and note who is ready. Requests run in the session's turn, once for all that has happened in a
 * turn of the loop, and what they have written leaves together. Nothing is closed in a callback.
 *
 * Flow control is back-pressure: a window opens as the stream's connection reads, and a stream
 * takes no more of an answer than its outbox holds.
 */
#ifndef QUOIT_BALANCER_PROXY_H2_SESSION_H
#define QUOIT_BALANCER_PROXY_H2_SESSION_H

#include <ev.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balancer/http/h2_request.h"
#include "balancer/http/reason.h"
#include "balancer/http/span.h"
#include "balancer/proxy/h2_guard.h"
#include "balancer/proxy/patience.h"

struct client;
struct h2_stream;

TAILQ_HEAD(h2_stream_queue, h2_stream);

enum h2_preface {
    H2_PREFACE_NO,   /* it is something else */
    H2_PREFACE_PART, /* so far it could be one */
    H2_PREFACE_WHOLE,
};

/* Whether bytes begin as HTTP/2 does (RFC 9113 section 3.4). */
enum h2_preface h2_preface_find(struct span bytes);

enum h2_phase {
    H2_OPEN,
    H2_DRAINING, /* the peer has been told to open no more streams, and has time to hear of it */
    H2_LAST,     /* it has been told which stream was the last; those that run go on to their end */
    H2_ENDING,   /* an error has been told: all is over once that is written */
};

struct h2_session {
    struct client *carrier;
    nghttp2_session *ng;
    struct ev_timer turn; /* never runs; fed as an event when there is something to do */
    enum h2_phase phase;
    enum reason reason; /* of H2_ENDING */

    struct span unsent;           /* of nghttp2's last frame, valid until it is asked for more */
    struct h2_stream_queue ready; /* have something to do */
    struct h2_stream_queue all;
    struct h2_stream_queue orphans; /* answered; their last bytes wait for a window */
    uint32_t n_ready, n_streams;

    struct h2_head head; /* of the header block that is coming in */
    uint8_t *head_room;  /* its memory; NULL: none is */
    uint64_t head_left;  /* bytes of fields that it may still bring, beyond what is kept */

    int32_t last_id; /* the highest one that the peer has opened */
    bool has_gaps;   /* it has passed by some, which it may not open any more */

    uint64_t quiet_us;    /* since when there is no stream, or it began */
    uint64_t head_us;     /* since when a header block is coming in; 0: none */
    uint64_t drain_us;    /* since when it drains */
    uint64_t settings_us; /* since when our settings have waited for an answer; 0: they have it */
    struct patience patience; /* with the peer, to take what is written */
    struct h2_guard guard;
};

/* Goes on with client's connection as one of HTTP/2; what is in its in buffer is the beginning.
 * The client may be closed when it returns. */
void h2_session_begin(struct client *client);

/* Tells the peer to open no more streams. */
void h2_session_drain(struct h2_session *session);

/* A while later: which of them was the last. Ends when all are through. */
void h2_session_drain_last(struct h2_session *session);

/* The carrier is being closed: closes the streams for this reason and frees the session. */
void h2_session_free(struct h2_session *session, enum reason reason);

/* ---- for h2_callbacks.c and h2_stream.c ---- */

/* Makes its turn come. */
void h2_session_wake(struct h2_session *session);

/* Ends it with an error for the peer, counted under reason. */
void h2_session_cut(struct h2_session *session, uint32_t error_code, enum reason reason);

/* Counts what the peer costs, and cuts it off when it is too much. */
void h2_session_count(struct h2_session *session, enum h2_nuisance nuisance);

/* The memory of a header block goes back. */
void h2_session_drop_head(struct h2_session *session);

/* nghttp2 with its callbacks and options; aborts when memory is out. */
nghttp2_session *h2_callbacks_new(struct h2_session *session);

#endif
