/*
 * What nghttp2 tells about a session: called while bytes are taken in or given out. Everything here
 * only notes what has happened; requests run in the session's turn.
 */
#include <stdlib.h>

#include "balancer/http/h2_request.h"
#include "balancer/proxy/conn.h"
#include "balancer/proxy/h2_session.h"
#include "balancer/proxy/h2_stream.h"
#include "balancer/proxy/worker.h"

/* Acknowledgements that a peer may leave unread. */
#define MAX_ACKS 500
/* More than one read can bring, after which the guard has had its say. */
#define MAX_RESETS (UINT64_C(1) << 20)
/* What a header block may unpack to, by the size of what is kept of it, before the peer is cut off:
 * it has to be unpacked, kept or not, since later ones refer to it. */
#define UNPACKED_FACTOR 8
/* A peer may answer each DATA frame by opening both windows, and by a PING that measures how long
 * it was under way: gRPC's Go library does. */
#define ANSWERS_TO_DATA 3

static struct worker *worker_of(const struct h2_session *session)
{
    return session->conn->worker;
}

static struct h2_stream *find_stream(nghttp2_session *ng, int32_t id)
{
    return nghttp2_session_get_stream_user_data(ng, id);
}

/* ---- header blocks ---- */

static bool is_header_block(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    (void)ng;
    struct h2_session *session = context;
    struct worker *worker = worker_of(session);
    if (!is_header_block(frame))
        return 0;
    if (session->head_room == NULL)
        session->head_room = buffer_pool_get(&worker->buffers);
    uint32_t room = (uint32_t)worker->buffers.small.size;
    h2_head_init(&session->head, session->role->begin_head(session, frame), session->head_room,
                 room);
    session->head_left = (uint64_t)room * UNPACKED_FACTOR;
    session->head_us = worker_now_us(worker);
    return 0;
}

/* Nothing more will be told of the block, which is unpacked all the same. */
static int refuse_block(struct h2_session *session, const nghttp2_frame *frame)
{
    (void)nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                    NGHTTP2_PROTOCOL_ERROR);
    h2_session_drop_head(session);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* One that unpacks to far more than any request has is an attack (RFC 7541 section 7.3). */
static bool spend_head(struct h2_session *session, size_t n)
{
    const size_t entry = n + 32; /* as RFC 7541 section 4.1 counts */
    if (entry <= session->head_left) {
        session->head_left -= entry;
        return true;
    }
    h2_session_cut(session, NGHTTP2_ENHANCE_YOUR_CALM, REASON_HTTP2_HEADERS);
    return false;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags,
                     void *context)
{
    (void)ng, (void)flags;
    struct h2_session *session = context;
    if (!is_header_block(frame) || session->head_room == NULL)
        return 0;
    if (!spend_head(session, name_n + value_n))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    enum h2_verdict verdict =
        h2_head_add(&session->head, (struct span){name, name_n}, (struct span){value, value_n});
    return verdict == H2_MALFORMED ? refuse_block(session, frame) : 0;
}

/* nghttp2 would leave such a field out. */
static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags,
                             void *context)
{
    (void)ng, (void)name, (void)name_n, (void)value, (void)value_n, (void)flags;
    return refuse_block(context, frame);
}

static void headers_received(struct h2_session *session, const nghttp2_frame *frame)
{
    session->role->end_head(session, frame);
    h2_session_drop_head(session);
}

/* ---- frames ---- */

static void settings_received(struct h2_session *session, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
        session->settings_us = 0;
    h2_session_count(session, session->role->control);
}

static void data_received(struct h2_session *session, const nghttp2_frame *frame)
{
    struct h2_stream *stream = find_stream(session->ng, frame->hd.stream_id);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        if (frame->hd.length == frame->data.padlen) /* nothing but padding, or not even that */
            h2_session_count(session, session->role->empty);
    } else if (stream != NULL) {
        h2_stream_end(stream);
    }
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    (void)ng;
    struct h2_session *session = context;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        headers_received(session, frame);
        break;
    case NGHTTP2_DATA:
        data_received(session, frame);
        break;
    case NGHTTP2_SETTINGS:
        settings_received(session, frame);
        break;
    case NGHTTP2_PING:
        h2_session_count(session, session->role->control);
        break;
    default:
        break;
    }
    session->role->frame_received(session, frame);
    return 0;
}

/* What nghttp2 has refused itself, a header block for what it lacks among it. */
static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error,
                            void *context)
{
    (void)ng, (void)error;
    if (is_header_block(frame))
        h2_session_drop_head(context);
    return 0;
}

/* Those that nghttp2 does not tell as received. */
static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *context)
{
    struct h2_session *session = context;
    bool is_old = hd->type == NGHTTP2_HEADERS && hd->stream_id < session->last_id;
    /* One that was passed by (RFC 9113 section 5.1.1); nghttp2 takes it for one that has ended. */
    if (is_old && session->has_gaps && nghttp2_session_find_stream(ng, hd->stream_id) == NULL)
        h2_session_cut(session, NGHTTP2_PROTOCOL_ERROR, REASON_HTTP2_ERROR);
    if (hd->type == NGHTTP2_CONTINUATION && hd->length == 0)
        h2_session_count(session, session->role->empty);
    else if (hd->type == NGHTTP2_PRIORITY)
        h2_session_count(session, session->role->control);
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                   void *context)
{
    (void)flags, (void)context;
    struct h2_stream *stream = find_stream(ng, id);
    if (stream != NULL)
        h2_stream_take(stream, (struct span){bytes, n});
    else
        (void)nghttp2_session_consume_connection(ng, n);
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error_code, void *context)
{
    (void)context;
    struct h2_stream *stream = find_stream(ng, id);
    if (stream == NULL)
        return 0;
    (void)nghttp2_session_set_stream_user_data(ng, id, NULL);
    h2_stream_closed(stream, error_code);
    return 0;
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    struct h2_session *session = context;
    bool is_message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    bool is_end = is_message && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct h2_stream *stream = is_end ? find_stream(ng, frame->hd.stream_id) : NULL;
    if (frame->hd.type == NGHTTP2_DATA && frame->hd.length > 0)
        h2_guard_allow(&session->guard, session->role->control, ANSWERS_TO_DATA);
    if (stream != NULL)
        stream->outbox.is_sent = true;
    session->role->frame_sent(session, frame);
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        h2_session_cut(session, frame->goaway.error_code, REASON_HTTP2_ERROR);
    return 0;
}

static int on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame, int error,
                             void *context)
{
    (void)ng, (void)error;
    struct h2_session *session = context;
    session->role->frame_unsent(session, frame);
    return 0;
}

/* ---- the object ---- */

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
}

enum side { AS_SERVER, AS_CLIENT };

static nghttp2_session *new_session(struct h2_session *session, enum side side)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session *ng;
    nghttp2_mem *memory = &worker_of(session)->h2_memory.calls;
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
        abort();
    set_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, MAX_ACKS);
    /* The session's guard counts resets of both sides; another bound would only hide its reason. */
    nghttp2_option_set_stream_reset_rate_limit(option, MAX_RESETS, MAX_RESETS);
    int rc = side == AS_SERVER
                 ? nghttp2_session_server_new3(&ng, callbacks, session, option, memory)
                 : nghttp2_session_client_new3(&ng, callbacks, session, option, memory);
    if (rc != 0)
        abort();
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return ng;
}

nghttp2_session *h2_callbacks_new_server(struct h2_session *session)
{
    return new_session(session, AS_SERVER);
}

nghttp2_session *h2_callbacks_new_client(struct h2_session *session)
{
    return new_session(session, AS_CLIENT);
}
