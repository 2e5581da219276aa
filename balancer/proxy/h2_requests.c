/*
 * The requests that come in over a client's HTTP/2 connection. Everything here is called while
 * bytes are taken in or given out, and only notes what has happened.
 */
#include "balancer/http/h2_request.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/grpc_call.h"
#include "balancer/proxy/h2_client.h"
#include "balancer/proxy/h2_session.h"
#include "balancer/proxy/h2_stream.h"
#include "balancer/proxy/worker.h"

/* Windows opened by less are a nuisance, but for what was sent. */
#define LEAST_WINDOW 64

static struct client *carrier_of(const struct h2_session *session)
{
    return (struct client *)session->conn;
}

static struct worker *worker_of(const struct h2_session *session)
{
    return session->conn->worker;
}

static struct h2_stream *find_stream(nghttp2_session *ng, int32_t id)
{
    return nghttp2_session_get_stream_user_data(ng, id);
}

enum h2_section h2_requests_begin_head(struct h2_session *session, const nghttp2_frame *frame)
{
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return H2_TRAILERS;
    int32_t next = session->last_id == 0 ? 1 : session->last_id + 2;
    session->has_gaps |= frame->hd.stream_id != next;
    session->last_id = frame->hd.stream_id;
    return H2_REQUEST;
}

/* 16 random bytes in base64 (RFC 6455 section 4.1); they are no secret. */
static void make_websocket_key(struct worker *worker, uint8_t key[H2_WEBSOCKET_KEY_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < 21; i++)
        key[i] = (uint8_t)digits[worker_random(worker) >> 58];
    key[21] = (uint8_t) "AQgw"[worker_random(worker) >> 62]; /* the last two of 128 bits */
    key[22] = key[23] = '=';
}

static void fill_inbox(struct h2_stream *stream, enum h2_request_kind kind, enum h2_body body)
{
    struct h2_session *session = stream->session;
    struct worker *worker = worker_of(session);
    uint8_t key[H2_WEBSOCKET_KEY_BYTES];
    struct span spans[H2_REQUEST_SPANS];
    if (kind == H2_WEBSOCKET)
        make_websocket_key(worker, key);
    size_t n = h2_request_spans(&session->head, kind, body, (struct span){key, sizeof key}, spans);
    for (size_t i = 0; i < n; i++)
        h2_inbox_add_head(&stream->inbox, &worker->buffers, spans[i]);
    bool is_chunked =
        body == H2_BODY_FOLLOWS && kind == H2_PLAIN && !session->head.has_content_length;
    stream->inbox.framing = is_chunked ? H2_CHUNKED : H2_RAW;
}

static bool is_head_request(const struct h2_head *head)
{
    return span_equal((struct span){head->room + head->method.at, head->method.n}, SPAN("HEAD"));
}

static struct h2_stream *open_stream(struct h2_session *session, int32_t id)
{
    struct h2_stream *stream = h2_stream_new(session, id);
    counter_add(&worker_of(session)->stats.h2_streams, 1);
    stream->conn = &client_open_stream(carrier_of(session), &transport_h2, stream)->conn;
    h2_stream_make_ready(stream);
    return stream;
}

/* A request's head has come. */
static void begin_stream(struct h2_session *session, const nghttp2_frame *frame)
{
    int32_t id = frame->hd.stream_id;
    struct h2_head *head = &session->head;
    enum h2_request_kind kind = h2_request_kind(head);
    bool is_whole = head->verdict == H2_FINE;
    if (is_whole && kind == H2_INVALID) {
        (void)nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    struct h2_stream *stream = open_stream(session, id);
    carrier_of(session)->n_requests++;
    if (!client_may_ask_again(carrier_of(session)))
        h2_client_drain(session);
    (void)nghttp2_session_set_stream_user_data(session->ng, id, stream);
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    stream->asked = is_head_request(head) ? H2_ASKED_HEAD : H2_ASKED_OTHER;
    if (!is_whole)
        stream->refusal = REASON_HEAD_TOO_LARGE;
    else if (kind == H2_OTHER_PROTOCOL)
        stream->refusal = REASON_PROTOCOL_UNKNOWN;
    else
        fill_inbox(stream, kind, ends ? H2_BODY_NONE : H2_BODY_FOLLOWS);
}

void h2_requests_end_head(struct h2_session *session, const nghttp2_frame *frame)
{
    bool is_request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (is_request)
        begin_stream(session, frame);
    struct h2_stream *stream = find_stream(session->ng, frame->hd.stream_id);
    if (stream == NULL)
        return;
    if (!is_request && stream->conn != NULL && session->head.verdict == H2_FINE)
        h2_inbox_add_trailers(&stream->inbox, &worker_of(session)->buffers,
                              h2_head_fields(&session->head));
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        h2_stream_end(stream);
}

/* The answer to a request that is given up before its end was work for nothing; but a call may be
 * given up when it had said it would be. */
static bool is_nuisance(const struct h2_stream *stream)
{
    if (stream == NULL || stream->conn == NULL)
        return false;
    const struct client *client = (const struct client *)stream->conn;
    return client->request == NULL || !grpc_call_is_due(client->request);
}

static void window_opened(struct h2_session *session, int32_t n)
{
    if (n < LEAST_WINDOW && !h2_guard_owes_window(&session->guard, (uint64_t)n))
        h2_session_count(session, H2_NUISANCE_CONTROL);
}

void h2_requests_frame_received(struct h2_session *session, const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_RST_STREAM:
        counter_add(&worker_of(session)->stats.h2_resets_received, 1);
        if (is_nuisance(find_stream(session->ng, frame->hd.stream_id)))
            h2_session_count(session, H2_NUISANCE_RESET);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        window_opened(session, frame->window_update.window_size_increment);
        break;
    default:
        break;
    }
}

/* The whole answer has gone: what still comes of a request that nobody reads is not wanted. */
static void end_sent(nghttp2_session *ng, const struct h2_stream *stream)
{
    if (stream != NULL && stream->conn == NULL &&
        nghttp2_session_get_stream_remote_close(ng, stream->id) == 0)
        (void)nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
}

void h2_requests_frame_sent(struct h2_session *session, const nghttp2_frame *frame)
{
    bool is_message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (frame->hd.type == NGHTTP2_DATA)
        h2_guard_sent(&session->guard, frame->hd.length);
    if (is_message && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        end_sent(session->ng, find_stream(session->ng, frame->hd.stream_id));
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR) {
        counter_add(&worker_of(session)->stats.h2_resets_sent, 1);
        h2_session_count(session, H2_NUISANCE_RESET); /* the peer may have made us do it */
    }
}
