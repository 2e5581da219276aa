/*
 * One HTTP/2 connection (RFC 9113), towards a client (h2_client.h) or an endpoint (h2_link.h): many
 * requests over one connection.
 *
 *   carrier: the connection, with the socket or TLS beneath it
 *      └─ session: nghttp2, what the peer is allowed to cost
 *           └─ streams (h2_stream.h), each the transport of a connection of its own that speaks
 *              HTTP/1.1: what serves a request does not know
 *
 * Bytes come in through nghttp2's callbacks (h2_callbacks.c), which only fill the streams' inboxes
 * and note who is ready. Requests run in the session's turn, once for all that has happened in a
 * turn of the loop, and what they have written leaves together. Nothing is closed in a callback.
 *
 * Flow control is back-pressure: a window opens as the stream's connection reads, and a stream
 * takes no more of a message than its outbox holds.
 *
 * What differs between the two sides is the session's role.
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
#include "balancer/pool/stats.h"
#include "balancer/proxy/h2_guard.h"
#include "balancer/proxy/patience.h"

struct conn;
struct h2_session;
struct h2_stream;

TAILQ_HEAD(h2_stream_queue, h2_stream);

enum h2_phase {
    H2_OPEN,
    H2_DRAINING, /* the peer has been told to open no more streams, and has time to hear of it */
    H2_LAST,     /* it has been told which stream was the last; those that run go on to their end */
    H2_ENDING,   /* an error has been told: all is over once that is written */
};

struct h2_role {
    /* ---- the session ---- */
    enum reason gone, slow;          /* the peer has left; it takes nothing */
    enum h2_nuisance control, empty; /* what its frames of these kinds count as */
    struct pace (*pace)(const struct h2_session *session); /* asked of it in taking bytes */
    void (*arm)(struct h2_session *session); /* sets the carrier's deadlines, but for `slow` */
    void (*note_cut)(struct h2_session *session, enum reason reason);
    void (*close)(struct h2_session *session, enum reason reason); /* the carrier, at once */
    void (*part)(struct h2_session *session); /* all is said and written: ends it politely */

    /* ---- frames; as nghttp2 tells of them */
    enum h2_section (*begin_head)(struct h2_session *session, const nghttp2_frame *frame);
    void (*end_head)(struct h2_session *session, const nghttp2_frame *frame);
    void (*frame_received)(struct h2_session *session, const nghttp2_frame *frame);
    void (*frame_sent)(struct h2_session *session, const nghttp2_frame *frame);
    void (*frame_unsent)(struct h2_session *session, const nghttp2_frame *frame);

    /* ---- streams ---- */
    /* The head that bytes begin with goes out: how long it is, or -1 with errno. */
    ssize_t (*take_head)(struct h2_stream *stream, struct span bytes);
    /* nghttp2 has let go of one whose owner has not. */
    void (*lost)(struct h2_stream *stream, uint32_t error_code);
    /* Whether its owner is to hear of events; may close it instead. */
    bool (*admit)(struct h2_stream *stream);
    /* Its owner closes it: the code to reset it with; H2_LEAVE_BEHIND: what was written is whole,
     * and still to be sent. */
    uint32_t (*reset_code)(const struct h2_stream *stream);
    /* One has been freed. */
    void (*freed)(struct h2_session *session);
};

#define H2_LEAVE_BEHIND UINT32_MAX

struct h2_session {
    const struct h2_role *role;
    struct conn *conn;    /* the carrier's */
    nghttp2_session *ng;  /* NULL: it has not begun yet, or is over */
    counter *received;    /* counts bytes that come in */
    struct ev_timer turn; /* never runs; fed as an event when there is something to do */
    bool is_running;      /* its streams are, in its turn */
    enum h2_phase phase;
    enum reason reason; /* of H2_ENDING */

    struct span unsent;           /* of nghttp2's last frame, valid until it is asked for more */
    struct h2_stream_queue ready; /* have something to do */
    struct h2_stream_queue all;
    struct h2_stream_queue orphans; /* closed; their last bytes wait for a window */
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

void h2_session_init(struct h2_session *session, const struct h2_role *role, struct conn *conn,
                     counter *received);

/* Makes its turn come. */
void h2_session_wake(struct h2_session *session);

/* Its turn, now. The carrier may be closed when it returns. */
void h2_session_turn(struct h2_session *session);

/* What has come is read; then its turn. */
void h2_session_on_io(struct h2_session *session, int revents);

/* Takes what is in the carrier's in buffer. */
void h2_session_take_in(struct h2_session *session);

/* The deadline has passed that is the role's `slow`: gives up what does not move. */
void h2_session_look_at_peer(struct h2_session *session);

/* A deadline of the carrier, timeout_ms after since_us. */
void h2_session_limit(struct h2_session *session, uint64_t since_us, uint32_t timeout_ms,
                      enum reason reason);

/* Ends it with an error for the peer, counted under reason. */
void h2_session_cut(struct h2_session *session, uint32_t error_code, enum reason reason);

/* Counts what the peer costs, and cuts it off when it is too much. */
void h2_session_count(struct h2_session *session, enum h2_nuisance nuisance);

/* nghttp2 goes; the streams are told that it has let go of them, with this code. */
void h2_session_end(struct h2_session *session, uint32_t error_code);

/* The memory of a header block goes back. */
void h2_session_drop_head(struct h2_session *session);

/* nghttp2 with its callbacks and options, as a server and as a client; aborts when memory is out.
 */
nghttp2_session *h2_callbacks_new_server(struct h2_session *session);
nghttp2_session *h2_callbacks_new_client(struct h2_session *session);

#endif
