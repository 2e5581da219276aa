#include "balancer/proxy/h2_client.h"

#include <errno.h>

#include "balancer/http/cidr.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/h2_session.h"
#include "balancer/proxy/h2_stream.h"
#include "balancer/proxy/worker.h"

/* The connection's window, in windows of a stream. */
#define CONNECTION_WINDOWS 4

static struct client *carrier_of(const struct h2_session *session)
{
    return (struct client *)session->conn;
}

static const struct conf_client *conf_of(const struct h2_session *session)
{
    return &session->conn->worker->proxy->conf->client;
}

enum h2_preface h2_preface_find(struct span bytes)
{
    const struct span preface = SPAN(NGHTTP2_CLIENT_MAGIC);
    size_t n = bytes.n < preface.n ? bytes.n : preface.n;
    if (n > 0 && memcmp(bytes.p, preface.p, n) != 0)
        return H2_PREFACE_NO;
    return n == preface.n ? H2_PREFACE_WHOLE : H2_PREFACE_PART;
}

/* ---- the role: the session ---- */

static void note_cut(struct h2_session *session, enum reason reason)
{
    struct ip ip;
    if (reason == REASON_CLIENT_IDLE)
        return;
    bool is_ip = ip_parse(client_address(carrier_of(session)), &ip);
    worker_refuse(session->conn->worker, reason, is_ip ? &ip : NULL);
}

static struct pace take_pace(const struct h2_session *session)
{
    const struct conf_client *conf = conf_of(session);
    return (struct pace){(uint64_t)conf->send_timeout_ms * 1000, conf->min_send_rate};
}

static void arm(struct h2_session *session)
{
    const struct conf_client *conf = conf_of(session);
    uint32_t header_ms = conf->header_timeout_ms;
    if (session->settings_us != 0)
        h2_session_limit(session, session->settings_us, header_ms, REASON_CLIENT_TIMEOUT);
    if (session->head_us != 0)
        h2_session_limit(session, session->head_us, header_ms, REASON_CLIENT_TIMEOUT);
    if (session->phase == H2_DRAINING)
        h2_session_limit(session, session->drain_us, DRAIN_IDLE_MS, REASON_DRAINED);
    if (session->n_streams == 0)
        h2_session_limit(session, session->quiet_us, conf->keepalive_timeout_ms,
                         REASON_CLIENT_IDLE);
}

static void close_carrier(struct h2_session *session, enum reason reason)
{
    client_close(carrier_of(session), reason);
}

static void part(struct h2_session *session)
{
    client_part(carrier_of(session));
}

/* ---- the role: streams ---- */

static int submit_head(struct h2_stream *stream, const struct h2_response *response)
{
    nghttp2_session *ng = stream->session->ng;
    nghttp2_nv nv[H2_MAX_FIELDS];
    (void)h2_stream_nv(response->fields, response->n_fields, nv);
    if (response->status < 200)
        return nghttp2_submit_headers(ng, NGHTTP2_FLAG_NONE, stream->id, NULL, nv,
                                      response->n_fields, NULL);
    const nghttp2_data_provider provider = h2_stream_provider(stream);
    bool has_body = response->framing.body != H1_BODY_NONE;
    return nghttp2_submit_response(ng, stream->id, nv, response->n_fields,
                                   has_body ? &provider : NULL);
}

/* Heads are staged as a whole, so they come as a whole. */
static ssize_t take_head(struct h2_stream *stream, struct span bytes)
{
    struct h2_response response;
    if (!h2_response_read(bytes, stream->asked, &response) || submit_head(stream, &response) != 0) {
        errno = EPIPE;
        return -1;
    }
    if (response.status >= 200)
        h2_stream_begin_body(stream, &response.framing);
    h2_session_wake(stream->session);
    return response.head_n;
}

static void lost(struct h2_stream *stream, uint32_t error_code)
{
    (void)stream, (void)error_code; /* see admit() */
}

static bool admit(struct h2_stream *stream)
{
    struct client *client = (struct client *)stream->conn;
    /* Where both sides have ended the request's last bytes may still be on their way. */
    bool is_whole = stream->outbox.is_sent && stream->inbox.has_ended;
    if (stream->state == H2_STREAM_CLOSED && !is_whole) {
        client_close(client, REASON_CLIENT_GONE);
        return false;
    }
    if (stream->refusal != REASON_OK) {
        client_refuse_request(client, stream->refusal);
        return false;
    }
    return true;
}

static uint32_t reset_code(const struct h2_stream *stream)
{
    const struct client *client = (const struct client *)stream->conn;
    if (stream->is_spoiled && !h2_stream_is_tunnel(stream))
        return NGHTTP2_INTERNAL_ERROR;
    if (stream->outbox.step == H2_OUTBOX_END && !stream->is_spoiled)
        return stream->outbox.is_sent ? NGHTTP2_NO_ERROR /* the rest of the request is not wanted */
                                      : H2_LEAVE_BEHIND;
    /* A request that nothing was done about may be sent again; CANCEL is also what a reset is
     * called in a tunnel (RFC 8441 section 5). */
    return client->n_requests == 0 ? NGHTTP2_REFUSED_STREAM : NGHTTP2_CANCEL;
}

static void freed(struct h2_session *session)
{
    (void)session;
}

static void frame_unsent(struct h2_session *session, const nghttp2_frame *frame)
{
    (void)session, (void)frame;
}

static const struct h2_role role = {
    .gone = REASON_CLIENT_GONE,
    .slow = REASON_CLIENT_SLOW,
    .control = H2_NUISANCE_CONTROL,
    .empty = H2_NUISANCE_EMPTY,
    .pace = take_pace,
    .arm = arm,
    .note_cut = note_cut,
    .close = close_carrier,
    .part = part,
    .begin_head = h2_requests_begin_head,
    .end_head = h2_requests_end_head,
    .frame_received = h2_requests_frame_received,
    .frame_sent = h2_requests_frame_sent,
    .frame_unsent = frame_unsent,
    .take_head = take_head,
    .lost = lost,
    .admit = admit,
    .reset_code = reset_code,
    .freed = freed,
};

/* ---- the carrier ---- */

static void on_io(struct conn *conn, int revents)
{
    h2_session_on_io(((struct client *)conn)->session, revents);
}

static void on_deadline(struct conn *conn, enum reason reason)
{
    struct client *carrier = (struct client *)conn;
    struct h2_session *session = carrier->session;
    if (reason == REASON_CLIENT_SLOW)
        h2_session_look_at_peer(session);
    else if (reason == REASON_DRAINED)
        h2_client_drain_last(session);
    else if (reason == REASON_CLIENT_TIMEOUT)
        h2_session_cut(session,
                       session->head_us != 0 ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_SETTINGS_TIMEOUT,
                       REASON_CLIENT_TIMEOUT);
    else
        h2_session_cut(session, NGHTTP2_NO_ERROR, REASON_CLIENT_IDLE);
    if (conn_is_open(conn))
        h2_session_turn(session);
}

static const struct conn_ops session_ops = {
    .on_io = on_io, .on_deadline = on_deadline, .use = BUFFER_FOR_REQUEST};

/* ---- life ---- */

static void submit_settings(struct h2_session *session)
{
    const struct conf_client *conf = conf_of(session);
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, conf->http2_max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, conf->http2_window_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, conf->max_head_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    int32_t window = (int32_t)(conf->http2_window_bytes * CONNECTION_WINDOWS);
    (void)nghttp2_submit_settings(session->ng, NGHTTP2_FLAG_NONE, entries,
                                  sizeof entries / sizeof *entries);
    (void)nghttp2_session_set_local_window_size(session->ng, NGHTTP2_FLAG_NONE, 0, window);
    session->settings_us = worker_now_us(session->conn->worker);
}

void h2_client_begin(struct client *client)
{
    struct worker *worker = client->conn.worker;
    struct h2_session *session = slab_get(&worker->h2_session_slab);
    h2_session_init(session, &role, &client->conn, &worker->stats.client_bytes_in);
    session->ng = h2_callbacks_new_server(session);
    client->session = session;
    client->conn.ops = &session_ops;
    counter_add(&worker->stats.h2_sessions, 1);
    submit_settings(session);
    if (worker->draining)
        h2_client_drain(session);
    h2_session_take_in(session);
    h2_session_turn(session);
}

void h2_client_drain(struct h2_session *session)
{
    if (session->phase != H2_OPEN)
        return;
    session->phase = H2_DRAINING;
    session->drain_us = worker_now_us(session->conn->worker);
    (void)nghttp2_submit_shutdown_notice(session->ng);
    h2_session_wake(session);
}

void h2_client_drain_last(struct h2_session *session)
{
    if (session->phase == H2_LAST || session->phase == H2_ENDING)
        return;
    session->phase = H2_LAST;
    (void)nghttp2_submit_goaway(session->ng, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(session->ng),
                                NGHTTP2_NO_ERROR, NULL, 0);
    h2_session_wake(session);
}

void h2_client_free(struct h2_session *session, enum reason reason)
{
    struct worker *worker = session->conn->worker;
    struct h2_stream *stream;
    while ((stream = TAILQ_FIRST(&session->all)) != NULL) {
        stream->state = H2_STREAM_CLOSED;
        if (stream->conn != NULL)
            client_close((struct client *)stream->conn, reason); /* frees it */
        else
            h2_stream_free(stream);
    }
    h2_session_end(session, NGHTTP2_CANCEL);
    ev_clear_pending(worker->loop, &session->turn);
    worker_bury(worker, &worker->h2_session_slab, session);
}
