#include "balancer/proxy/h2_session.h"

#include <errno.h>

#include "balancer/proxy/conn.h"
#include "balancer/proxy/h2_stream.h"
#include "balancer/proxy/worker.h"

/* How often the peer is looked at while it takes nothing, within the time it has for that. */
#define LOOKS 4

void h2_session_wake(struct h2_session *session)
{
    /* What streams write while they run goes along with the rest of the turn. */
    if (!session->is_running && !ev_is_pending(&session->turn))
        ev_feed_event(session->conn->worker->loop, &session->turn, EV_CUSTOM);
}

void h2_session_drop_head(struct h2_session *session)
{
    if (session->head_room != NULL)
        buffer_pool_put(&session->conn->worker->buffers, session->head_room);
    session->head_room = NULL;
    session->head_us = 0;
}

void h2_session_cut(struct h2_session *session, uint32_t error_code, enum reason reason)
{
    if (session->phase == H2_ENDING)
        return;
    session->phase = H2_ENDING;
    session->reason = reason;
    session->role->note_cut(session, reason);
    (void)nghttp2_session_terminate_session(session->ng, error_code);
    h2_session_wake(session);
}

void h2_session_count(struct h2_session *session, enum h2_nuisance nuisance)
{
    if (h2_guard_count(&session->guard, nuisance, worker_now_us(session->conn->worker)))
        return;
    h2_session_cut(session, NGHTTP2_ENHANCE_YOUR_CALM,
                   nuisance == H2_NUISANCE_RESET ? REASON_HTTP2_RESETS : REASON_HTTP2_FLOOD);
}

/* ---- writing ---- */

/* Stages what nghttp2 gave last, or writes of it what goes. Returns false once nothing goes. */
static bool put(struct h2_session *session)
{
    struct conn *conn = session->conn;
    struct span *unsent = &session->unsent;
    if (buffer_append(&conn->out, &conn->worker->buffers, *unsent)) {
        unsent->n = 0;
        return true;
    }
    ssize_t went = conn_write(conn, unsent->p, unsent->n);
    if (went < 0) {
        conn->error = conn->error != 0 ? conn->error : EPIPE;
        return false;
    }
    *unsent = (struct span){unsent->p + went, unsent->n - (size_t)went};
    return unsent->n == 0;
}

static void flush(struct h2_session *session)
{
    struct conn *conn = session->conn;
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
        conn->error = conn->error != 0 ? conn->error : EPIPE;
}

static bool has_unsent(const struct h2_session *session)
{
    return session->unsent.n > 0 || conn_has_output(session->conn);
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

void h2_session_take_in(struct h2_session *session)
{
    struct conn *conn = session->conn;
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

void h2_session_limit(struct h2_session *session, uint64_t since_us, uint32_t timeout_ms,
                      enum reason reason)
{
    conn_limit_deadline(session->conn, since_us + (uint64_t)timeout_ms * 1000, reason);
}

/* For the peer to take what is written: the connection as a whole, and who waits for a window. */
static void arm_taking(struct h2_session *session)
{
    struct conn *conn = session->conn;
    uint64_t now_us = worker_now_us(conn->worker);
    const struct pace pace = session->role->pace(session);
    const struct h2_stream *orphan = TAILQ_FIRST(&session->orphans);
    if (!conn->wants_write) {
        patience_rest(&session->patience, now_us);
    } else {
        if (session->patience.seen_bytes == 0)
            session->patience.seen_bytes = conn_taken(conn);
        patience_wait(&session->patience, now_us);
    }
    if (conn->wants_write || orphan != NULL)
        conn_limit_deadline(conn, now_us + pace.full_us / LOOKS, session->role->slow);
}

/* Streams that wait for a window which does not come. */
static void drop_orphans(struct h2_session *session)
{
    const struct pace pace = session->role->pace(session);
    uint64_t now_us = worker_now_us(session->conn->worker);
    struct h2_stream *stream;
    TAILQ_FOREACH(stream, &session->orphans, orphan_link)
    {
        patience_look(&stream->patience, &pace, now_us, stream->patience.seen_bytes);
        if (patience_is_over(&stream->patience, &pace))
            (void)nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, stream->id,
                                            NGHTTP2_CANCEL);
    }
}

void h2_session_look_at_peer(struct h2_session *session)
{
    struct conn *conn = session->conn;
    const struct pace pace = session->role->pace(session);
    drop_orphans(session);
    if (!conn->wants_write)
        return;
    patience_look(&session->patience, &pace, worker_now_us(conn->worker), conn_taken(conn));
    if (patience_is_over(&session->patience, &pace))
        session->role->close(session, session->role->slow);
}

/* ---- turns ---- */

/* Each of those that are ready now, once. */
static void run_streams(struct h2_session *session)
{
    session->is_running = true;
    for (uint32_t n = session->n_ready; n > 0 && session->n_ready > 0; n--) {
        struct h2_stream *stream = TAILQ_FIRST(&session->ready);
        TAILQ_REMOVE(&session->ready, stream, ready_link);
        session->n_ready--;
        stream->is_ready = false;
        h2_stream_run(stream);
    }
    session->is_running = false;
    if (session->n_ready > 0)
        h2_session_wake(session);
}

/* Whether it has come to its end, and everything of it is written. */
static bool is_over(const struct h2_session *session)
{
    if (session->ng == NULL)
        return false;
    if (session->phase == H2_ENDING)
        return !nghttp2_session_want_write(session->ng) || session->conn->wants_write;
    return !nghttp2_session_want_read(session->ng) && !nghttp2_session_want_write(session->ng) &&
           !has_unsent(session);
}

void h2_session_turn(struct h2_session *session)
{
    struct conn *conn = session->conn;
    run_streams(session);
    if (!conn_is_open(conn))
        return;
    if (session->ng != NULL)
        flush(session);
    if (conn->read_ended || conn->error != 0) {
        session->role->close(session, session->role->gone);
    } else if (is_over(session)) {
        if (has_unsent(session))
            session->role->close(session, session->reason);
        else
            session->role->part(session);
    } else {
        conn_set_deadline(conn, 0, REASON_OK);
        session->role->arm(session);
        arm_taking(session);
        conn_update(conn);
    }
}

static void on_turn(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    h2_session_turn(timer->data);
}

void h2_session_on_io(struct h2_session *session, int revents)
{
    if (revents & EV_READ) {
        ssize_t n = conn_read(session->conn);
        if (n > 0)
            counter_add(session->received, (uint64_t)n);
        h2_session_take_in(session);
    }
    h2_session_turn(session);
}

/* ---- life ---- */

void h2_session_init(struct h2_session *session, const struct h2_role *role, struct conn *conn,
                     counter *received)
{
    uint64_t now_us = worker_now_us(conn->worker);
    *session =
        (struct h2_session){.role = role, .conn = conn, .received = received, .quiet_us = now_us};
    TAILQ_INIT(&session->ready);
    TAILQ_INIT(&session->all);
    TAILQ_INIT(&session->orphans);
    ev_init(&session->turn, on_turn);
    /* Behind all else of a turn of the loop: what was answered meanwhile goes along. */
    ev_set_priority(&session->turn, EV_MINPRI);
    session->turn.data = session;
}

void h2_session_end(struct h2_session *session, uint32_t error_code)
{
    nghttp2_session *ng = session->ng;
    session->ng = NULL;
    session->unsent.n = 0;
    h2_session_drop_head(session);
    struct h2_stream *stream, *next;
    for (stream = TAILQ_FIRST(&session->all); stream != NULL; stream = next) {
        next = TAILQ_NEXT(stream, link);
        h2_stream_closed(stream, error_code);
    }
    if (ng != NULL)
        nghttp2_session_del(ng);
}
