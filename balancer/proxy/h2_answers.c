/*
 * The answers that come in over a link. Everything here is called while bytes are taken in or given
 * out, and only notes what has happened.
 */
#include <errno.h>

#include "balancer/http/h2_answer.h"
#include "balancer/proxy/h2_link.h"
#include "balancer/proxy/h2_stream.h"
#include "balancer/proxy/worker.h"

/* Interim responses that a client has not taken yet, in bytes of their heads. */
#define MAX_HEADS_BYTES 65536

static struct h2_link *link_of(const struct h2_session *session)
{
    return (struct h2_link *)session->conn;
}

static struct endpoint_stats *stats_of(const struct h2_session *session)
{
    const struct h2_link *link = link_of(session);
    return &link->endpoint->locals[link->conn.worker->index].stats;
}

static struct h2_stream *find_stream(const struct h2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session->ng, id);
}

enum h2_section h2_answers_begin_head(struct h2_session *session, const nghttp2_frame *frame)
{
    const struct h2_stream *stream = find_stream(session, frame->hd.stream_id);
    return stream == NULL || stream->has_head ? H2_TRAILERS : H2_RESPONSE;
}

/* Its owner hears of it behind what has come before. */
static void refuse(struct h2_stream *stream)
{
    stream->error = EBADMSG;
    h2_stream_reset(stream, NGHTTP2_PROTOCOL_ERROR);
}

static void add_head(struct h2_stream *stream, const struct h2_head *head, enum h2_body follows)
{
    struct buffer_pool *pool = &stream->session->conn->worker->buffers;
    struct span spans[H2_ANSWER_SPANS];
    enum h2_answer_body body = h2_answer_body(head, stream->asked, follows);
    size_t n = h2_answer_spans(head, body, spans);
    for (size_t i = 0; i < n; i++)
        h2_inbox_add_head(&stream->inbox, pool, spans[i]);
    stream->has_head = h2_answer_status(head) >= 200;
    stream->inbox.framing = body == H2_ANSWER_CHUNKED ? H2_CHUNKED : H2_RAW;
}

void h2_answers_end_head(struct h2_session *session, const nghttp2_frame *frame)
{
    const struct h2_head *head = &session->head;
    struct h2_stream *stream = find_stream(session, frame->hd.stream_id);
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (stream == NULL || stream->conn == NULL || stream->error != 0)
        return;
    bool is_bad = head->verdict != H2_FINE || stream->inbox.head_n + head->n > MAX_HEADS_BYTES ||
                  (head->section == H2_RESPONSE && h2_answer_status(head) == 0);
    if (is_bad) {
        refuse(stream);
        return;
    }
    if (head->section == H2_RESPONSE)
        add_head(stream, head, ends ? H2_BODY_NONE : H2_BODY_FOLLOWS);
    else
        h2_inbox_add_trailers(&stream->inbox, &session->conn->worker->buffers,
                              h2_head_fields(head));
    if (ends)
        h2_stream_end(stream);
    else
        h2_stream_make_ready(stream);
}

static void settings_came(struct h2_link *link)
{
    h2_link_came_up(link);
    h2_link_offer(link);
}

static void told_to_go_away(struct h2_session *session)
{
    struct h2_link *link = link_of(session);
    if (!link->was_told)
        counter_add(&stats_of(session)->h2_goaways, 1);
    link->was_told = true;
    h2_link_retire(link);
}

void h2_answers_frame_received(struct h2_session *session, const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
            settings_came(link_of(session));
        break;
    case NGHTTP2_GOAWAY:
        told_to_go_away(session);
        break;
    case NGHTTP2_RST_STREAM:
        if (frame->rst_stream.error_code == NGHTTP2_REFUSED_STREAM)
            counter_add(&stats_of(session)->h2_refused, 1);
        break;
    default:
        break;
    }
}

/* What nghttp2 resets it has found to be malformed. */
void h2_answers_frame_sent(struct h2_session *session, const nghttp2_frame *frame)
{
    if (frame->hd.type != NGHTTP2_RST_STREAM)
        return;
    struct h2_stream *stream = find_stream(session, frame->hd.stream_id);
    if (stream != NULL && stream->conn != NULL && !stream->inbox.has_ended && stream->error == 0)
        stream->error = EBADMSG;
}

/* A request that was not sent after all: the endpoint knows nothing of it. */
void h2_answers_frame_unsent(struct h2_session *session, const nghttp2_frame *frame)
{
    bool is_request =
        frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    struct h2_stream *stream = is_request ? find_stream(session, frame->hd.stream_id) : NULL;
    if (stream != NULL)
        stream->error = ESTALE;
}
