#include "balancer/proxy/h2_session.h"

#include <errno.h>

#include "balancer/http/cidr.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/h2_stream.h"
#include "balancer/proxy/worker.h"

/* The connection's window, in windows of a stream. */
#define CONNECTION_WINDOWS 4
/* How often the peer is looked at while it takes nothing, within client.send_timeout. */
#define LOOKS 4

static const struct conf_client *conf_of(const struct h2_session *session)
{
    return &session->carrier->conn.worker->proxy->conf->client;
}

enum h2_preface h2_preface_find(struct span bytes)
{
    const struct span preface = SPAN(NGHTTP2_CLIENT_MAGIC);
    size_t n = bytes.n < preface.n ? bytes.n : preface.n;
    if (n > 0 && memcmp(bytes.p, preface.p, n) != 0)
        return H2_PREFACE_NO;
    return n == preface.n ? H2_PREFACE_WHOLE : H2_PREFACE_PART;
}

void h2_session_wake(struct h2_session *session)
{
    if (!ev_is_pending(&session->turn))
        ev_feed_event(session->carrier->conn.worker->loop, &session->turn, EV_CUSTOM);
}

void h2_session_drop_head(struct h2_session *session)
{
    if (session->head_room != NULL)
        buffer_pool_put(&session->carrier->conn.worker->buffers, session->head_room);
    session->head_room = NULL;
    session->head_us = 0;
}

void h2_session_cut(struct h2_session *session, uint32_t error_code, enum reason reason)
{
    if (session->phase == H2_ENDING)
        return;
    struct client *carrier = session->carrier;
    session->phase = H2_ENDING;
    session->reason = reason;
    if (reason != REASON_CLIENT_IDLE) {
        struct ip ip;
        bool is_ip = ip_parse(client_address(carrier), &ip);
        worker_refuse(carrier->conn.worker, reason, is_ip ? &ip : NULL);
    }
    (void)nghttp2_session_terminate_session(session->ng, error_code);
    h2_session_wake(session);
}

void h2_session_count(struct h2_session *session, enum h2_nuisance nuisance)
{
    uint64_t now_us = worker_now_us(session->carrier->conn.worker);
    if (h2_guard_count(&session->guard, nuisance, now_us))
        return;
    h2_session_cut(session, NGHTTP2_ENHANCE_YOUR_CALM,
                   nuisance == H2_NUISANCE_RESET ? REASON_HTTP2_RESETS : REASON_HTTP2_FLOOD);
}

/* ---- writing ---- */

/* Stages what nghttp2 gave last, or writes of it what goes. Returns false once nothing goes. */
static bool put(struct h2_session *session)
{
    struct conn *conn = &session->carrier->conn;
    struct span *unsent = &session->unsent;
    if (buffer_append(&conn->out, &conn->worker->buffers, *unsent)) {
        unsent->n = 0;
        return true;
    }
    ssize_t went = conn_write(conn, unsent->p, unsent->n);
    if (went < 0) {
        conn->error = EPIPE;
        return false;
    }
    *unsent = (struct span){unsent->p + went, unsent->n - (size_t)went};
    return unsent->n == 0;
}

static void flush(struct h2_session *session)
{
    struct conn *conn = &session->carrier->conn;
    for (;;) {
        if (session->unsent.n > 0 && !put(session))
            return;
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(session->ng, &bytes);
        if (n <= 0)
            break;
        session->unsent = (struct span){bytes, (size_t)n};
    }
    if (conn_has_output(conn) && conn_write(conn, NULL, 0) < 0)
        conn->error = EPIPE;
}

static bool has_unsent(const struct h2_session *session)
{
    return session->unsent.n > 0 || conn_has_output(&session->carrier->conn);
}

/* ---- reading ---- */

/* What nghttp2 will not go on after. */
static void fail(struct h2_session *session, int error)
{
    switch (error) {
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        h2_session_cut(session, NGHTTP2_PROTOCOL_ERROR, REASON_HTTP2_ERROR);
        break;
    case NGHTTP2_ERR_FLOODED:
        h2_session_cut(session, NGHTTP2_ENHANCE_YOUR_CALM, REASON_HTTP2_FLOOD);
        break;
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        h2_session_cut(session, NGHTTP2_ENHANCE_YOUR_CALM, REASON_HTTP2_HEADERS);
        break;
    default:
        h2_session_cut(session, NGHTTP2_INTERNAL_ERROR, REASON_HTTP2_ERROR);
        break;
    }
}

static void take_in(struct h2_session *session)
{
    struct conn *conn = &session->carrier->conn;
    uint32_t n = buffer_used(&conn->in);
    if (n == 0)
        return;
    if (session->phase != H2_ENDING) {
        ssize_t taken = nghttp2_session_mem_recv(session->ng, buffer_bytes(&conn->in), n);
        if (taken < 0)
            fail(session, (int)taken);
    }
    buffer_consume(&conn->in, &conn->worker->buffers, n);
}

/* ---- deadlines ---- */

static struct pace take_pace(const struct h2_session *session)
{
    const struct conf_client *conf = conf_of(session);
    return (struct pace){(uint64_t)conf->send_timeout_ms * 1000, conf->min_send_rate};
}

static void limit(struct h2_session *session, uint64_t since_us, uint32_t timeout_ms,
                  enum reason reason)
{
    conn_limit_deadline(&session->carrier->conn, since_us + (uint64_t)timeout_ms * 1000, reason);
}

/* For the peer to take what is written: the connection as a whole, and who waits for a window. */
static void arm_taking(struct h2_session *session, uint64_t now_us)
{
    struct conn *conn = &session->carrier->conn;
    const struct pace pace = take_pace(session);
    const struct h2_stream *orphan = TAILQ_FIRST(&session->orphans);
    if (!conn->wants_write) {
        patience_rest(&session->patience, now_us);
    } else {
        if (session->patience.seen_bytes == 0)
            session->patience.seen_bytes = conn_taken(conn);
        patience_wait(&session->patience, now_us);
    }
    if (conn->wants_write || orphan != NULL)
        conn_limit_deadline(conn, now_us + pace.full_us / LOOKS, REASON_CLIENT_SLOW);
}

static void arm(struct h2_session *session)
{
    const struct conf_client *conf = conf_of(session);
    struct conn *conn = &session->carrier->conn;
    conn_set_deadline(conn, 0, REASON_OK);
    if (session->settings_us != 0)
        limit(session, session->settings_us, conf->header_timeout_ms, REASON_CLIENT_TIMEOUT);
    if (session->head_us != 0)
        limit(session, session->head_us, conf->header_timeout_ms, REASON_CLIENT_TIMEOUT);
    if (session->phase == H2_DRAINING)
        limit(session, session->drain_us, DRAIN_IDLE_MS, REASON_DRAINED);
    if (session->n_streams == 0)
        limit(session, session->quiet_us, conf->keepalive_timeout_ms, REASON_CLIENT_IDLE);
    arm_taking(session, worker_now_us(conn->worker));
}

/* ---- turns ---- */

/* Each of those that are ready now, once. */
static void run_streams(struct h2_session *session)
{
    for (uint32_t n = session->n_ready; n > 0 && session->n_ready > 0; n--) {
        struct h2_stream *stream = TAILQ_FIRST(&session->ready);
        TAILQ_REMOVE(&session->ready, stream, ready_link);
        session->n_ready--;
        stream->is_ready = false;
        h2_stream_run(stream);
    }
}

/* Whether it has come to its end, and everything of it is written. */
static bool is_over(const struct h2_session *session)
{
    if (session->phase == H2_ENDING)
        return !nghttp2_session_want_write(session->ng) || session->carrier->conn.wants_write;
    return !nghttp2_session_want_read(session->ng) && !nghttp2_session_want_write(session->ng) &&
           !has_unsent(session);
}

static void turn(struct h2_session *session)
{
    struct client *carrier = session->carrier;
    struct conn *conn = &carrier->conn;
    run_streams(session);
    flush(session);
    if (conn->read_ended || conn->error != 0) {
        client_close(carrier, REASON_CLIENT_GONE);
    } else if (is_over(session)) {
        if (has_unsent(session))
            client_close(carrier, session->reason);
        else
            client_part(carrier);
    } else {
        arm(session);
        conn_update(conn);
    }
}

static void on_turn(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    turn(timer->data);
}

static void on_io(struct conn *conn, int revents)
{
    struct client *carrier = (struct client *)conn;
    if (revents & EV_READ) {
        ssize_t n = conn_read(conn);
        if (n > 0)
            counter_add(&conn->worker->stats.client_bytes_in, (uint64_t)n);
        take_in(carrier->session);
    }
    turn(carrier->session);
}

/* Streams that wait for a window which does not come. */
static void drop_orphans(struct h2_session *session)
{
    const struct pace pace = take_pace(session);
    uint64_t now_us = worker_now_us(session->carrier->conn.worker);
    struct h2_stream *stream;
    TAILQ_FOREACH(stream, &session->orphans, orphan_link)
    {
        patience_look(&stream->patience, &pace, now_us, stream->patience.seen_bytes);
        if (patience_is_over(&stream->patience, &pace))
            (void)nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, stream->id,
                                            NGHTTP2_CANCEL);
    }
}

static void look_at_peer(struct h2_session *session)
{
    struct conn *conn = &session->carrier->conn;
    const struct pace pace = take_pace(session);
    drop_orphans(session);
    if (!conn->wants_write)
        return;
    patience_look(&session->patience, &pace, worker_now_us(conn->worker), conn_taken(conn));
    if (patience_is_over(&session->patience, &pace))
        client_close(session->carrier, REASON_CLIENT_SLOW);
}

static void on_deadline(struct conn *conn, enum reason reason)
{
    struct client *carrier = (struct client *)conn;
    struct h2_session *session = carrier->session;
    if (reason == REASON_CLIENT_SLOW)
        look_at_peer(session);
    else if (reason == REASON_DRAINED)
        h2_session_drain_last(session);
    else if (reason == REASON_CLIENT_TIMEOUT)
        h2_session_cut(session,
                       session->head_us != 0 ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_SETTINGS_TIMEOUT,
                       REASON_CLIENT_TIMEOUT);
    else
        h2_session_cut(session, NGHTTP2_NO_ERROR, REASON_CLIENT_IDLE);
    if (conn_is_open(conn))
        turn(session);
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
}

static void init(struct h2_session *session, struct client *client)
{
    uint64_t now_us = worker_now_us(client->conn.worker);
    *session = (struct h2_session){.carrier = client, .quiet_us = now_us, .settings_us = now_us};
    TAILQ_INIT(&session->ready);
    TAILQ_INIT(&session->all);
    TAILQ_INIT(&session->orphans);
    ev_init(&session->turn, on_turn);
    /* Behind all else of a turn of the loop: what endpoints have answered meanwhile goes along. */
    ev_set_priority(&session->turn, EV_MINPRI);
    session->turn.data = session;
    session->ng = h2_callbacks_new(session);
}

void h2_session_begin(struct client *client)
{
    struct worker *worker = client->conn.worker;
    struct h2_session *session = slab_get(&worker->h2_session_slab);
    init(session, client);
    client->session = session;
    client->conn.ops = &session_ops;
    counter_add(&worker->stats.h2_sessions, 1);
    submit_settings(session);
    if (worker->draining)
        h2_session_drain(session);
    take_in(session);
    turn(session);
}

void h2_session_drain(struct h2_session *session)
{
    if (session->phase != H2_OPEN)
        return;
    session->phase = H2_DRAINING;
    session->drain_us = worker_now_us(session->carrier->conn.worker);
    (void)nghttp2_submit_shutdown_notice(session->ng);
    h2_session_wake(session);
}

void h2_session_drain_last(struct h2_session *session)
{
    if (session->phase == H2_LAST || session->phase == H2_ENDING)
        return;
    session->phase = H2_LAST;
    (void)nghttp2_submit_goaway(session->ng, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(session->ng),
                                NGHTTP2_NO_ERROR, NULL, 0);
    h2_session_wake(session);
}

void h2_session_free(struct h2_session *session, enum reason reason)
{
    struct worker *worker = session->carrier->conn.worker;
    struct h2_stream *stream;
    while ((stream = TAILQ_FIRST(&session->all)) != NULL)
        h2_stream_free(stream, reason);
    h2_session_drop_head(session);
    ev_clear_pending(worker->loop, &session->turn);
    nghttp2_session_del(session->ng);
    worker_bury(worker, &worker->h2_session_slab, session);
}
