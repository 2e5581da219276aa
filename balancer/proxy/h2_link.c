#include "balancer/proxy/h2_link.h"

#include <errno.h>

#include "balancer/http/h2_asking.h"
#include "balancer/proxy/dial.h"
#include "balancer/proxy/h2_stream.h"
#include "balancer/proxy/worker.h"

/* What an endpoint may send of one response before the client has taken it. */
#define WINDOW_BYTES 262144
/* The connection's window: so many of these, so that no slow client holds up the others; but no
 * more than a part of the worker's memory, if that is limited. */
#define CONNECTION_WINDOWS 100
#define MEMORY_PART 4

static struct h2_link *link_of(const struct h2_session *session)
{
    return (struct h2_link *)session->conn;
}

static struct endpoint_local *local_of(const struct h2_link *link)
{
    return &link->endpoint->locals[link->conn.worker->index];
}

static bool is_open(const struct h2_link *link)
{
    return conn_is_open(&link->conn);
}

/* ---- which link takes a request ---- */

static uint32_t streams_allowed(const struct h2_link *link)
{
    return nghttp2_session_get_remote_settings(link->session.ng,
                                               NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

/* As long as it is not known that an endpoint speaks HTTP/2, a connection is for one request. */
static uint32_t most_streams(const struct h2_link *link)
{
    const struct endpoint_local *local = local_of(link);
    uint32_t most = link->pool->http2_max_streams, theirs = local->h2_streams;
    if (link->session.ng != NULL && link->phase == H2_LINK_UP)
        theirs = streams_allowed(link);
    else if (local->protocol == ENDPOINT_HTTP_1)
        return 1;
    else if (theirs == 0)
        return most;
    return theirs < most ? theirs : most;
}

static bool is_worn(const struct h2_link *link)
{
    const struct conf_pool *pool = link->pool;
    uint64_t age_us = worker_now_us(link->conn.worker) - link->opened_us;
    bool is_old =
        pool->max_connection_age_ms != 0 && age_us >= (uint64_t)pool->max_connection_age_ms * 1000;
    return is_old || (pool->max_connection_requests != 0 &&
                      link->n_requests >= pool->max_connection_requests);
}

/* nghttp2 has no more numbers for streams, or one of the two sides has said farewell. */
static bool is_used_up(const struct h2_link *link)
{
    return link->session.ng != NULL &&
           (link->session.phase != H2_OPEN ||
            nghttp2_session_check_request_allowed(link->session.ng) == 0);
}

static void set_listed(struct h2_link *link, bool is_listed)
{
    if (is_listed && !link->is_listed)
        LIST_INSERT_HEAD(&local_of(link)->links, link, link);
    else if (!is_listed && link->is_listed)
        LIST_REMOVE(link, link);
    link->is_listed = is_listed;
}

void h2_link_offer(struct h2_link *link)
{
    if (!link->is_retired && link->session.n_streams < most_streams(link))
        set_listed(link, true);
}

void h2_link_retire(struct h2_link *link)
{
    link->is_retired = true;
    set_listed(link, false);
}

struct h2_link *h2_link_find(struct worker *worker, struct endpoint *endpoint, uint64_t since_us)
{
    struct h2_link *link, *next;
    for (link = LIST_FIRST(&endpoint->locals[worker->index].links); link != NULL; link = next) {
        next = LIST_NEXT(link, link);
        if (is_worn(link) || is_used_up(link))
            h2_link_retire(link);
        else if (link->session.n_streams >= most_streams(link))
            set_listed(link, false); /* until one of them ends */
        else if (link->opened_us >= since_us)
            return link;
    }
    return NULL;
}

/* ---- its end ---- */

static void set_idle(struct h2_link *link, bool is_idle)
{
    uint32_t *n_idle = &local_of(link)->n_idle;
    if (link->is_idle != is_idle)
        *n_idle = is_idle ? *n_idle + 1 : *n_idle - 1;
    link->is_idle = is_idle;
}

/* What was kept of a closed link goes with its last stream. */
static void bury_if_done(struct h2_link *link)
{
    struct worker *worker = link->conn.worker;
    if (is_open(link) || link->session.n_streams > 0 || link->endpoint == NULL)
        return;
    ev_clear_pending(worker->loop, &link->session.turn);
    endpoint_unref(link->endpoint);
    link->endpoint = NULL;
    worker_bury(worker, &worker->h2_link_slab, link);
}

static void count_written(struct h2_link *link)
{
    counter_add(&local_of(link)->stats.bytes_out, link->conn.written - link->counted_bytes);
    link->counted_bytes = link->conn.written;
}

/* From now on nobody finds it; its streams go on to read what has come. */
static void take_down(struct h2_link *link)
{
    h2_link_retire(link);
    set_idle(link, false);
    LIST_REMOVE(link, worker_link);
    count_written(link);
}

/* error: what its streams are told that have not all of their answer. */
static void close_link(struct h2_link *link, int error)
{
    if (!is_open(link))
        return;
    link->conn.error = error;
    take_down(link);
    h2_session_end(&link->session, NGHTTP2_CANCEL);
    conn_close(&link->conn);
    bury_if_done(link);
}

/* Says farewell: nothing of anybody's is on it. */
static void close_quietly(struct h2_link *link)
{
    if (link->session.ng != NULL && link->session.phase != H2_ENDING)
        h2_session_cut(&link->session, NGHTTP2_NO_ERROR, REASON_OK);
    else
        close_link(link, ECONNRESET);
}

void h2_link_suspect(const struct conn *conn, uint64_t since_us)
{
    struct h2_link *link = h2_link_of(conn);
    if (link != NULL && link->heard_us < since_us)
        h2_link_retire(link);
}

void h2_link_close_idle(struct worker *worker, struct endpoint *endpoint)
{
    struct h2_link *link, *next;
    for (link = LIST_FIRST(&endpoint->locals[worker->index].links); link != NULL; link = next) {
        next = LIST_NEXT(link, link);
        if (link->session.n_streams == 0)
            close_link(link, ECONNRESET);
    }
}

void h2_link_close_all(struct worker *worker)
{
    struct h2_link *link;
    while ((link = LIST_FIRST(&worker->links)) != NULL)
        close_link(link, ECONNRESET);
}

/* ---- the role: the session ---- */

static struct pace take_pace(const struct h2_session *session)
{
    return (struct pace){(uint64_t)link_of(session)->pool->timeouts.idle_ms * 1000, 0};
}

static bool is_wanted(const struct h2_link *link)
{
    return !link->is_retired && !is_worn(link) && endpoint_is_usable(link->endpoint) &&
           (link->is_idle || local_of(link)->n_idle < link->pool->max_idle);
}

static void arm_idle(struct h2_link *link)
{
    const struct conf_pool *pool = link->pool;
    if (!is_wanted(link)) {
        close_quietly(link);
        return;
    }
    set_idle(link, true);
    if (pool->timeouts.keepalive_ms != 0)
        h2_session_limit(&link->session, link->session.quiet_us, pool->timeouts.keepalive_ms,
                         REASON_OK);
    if (pool->max_connection_age_ms != 0)
        h2_session_limit(&link->session, link->opened_us, pool->max_connection_age_ms, REASON_OK);
}

static void arm(struct h2_session *session)
{
    struct h2_link *link = link_of(session);
    const struct conf_pool_timeouts *conf = &link->pool->timeouts;
    count_written(link);
    if (link->phase == H2_LINK_OPENING) {
        h2_session_limit(session, link->opened_us, conf->connect_ms, REASON_CONNECT_TIMEOUT);
        return;
    }
    if (session->settings_us != 0)
        h2_session_limit(session, session->settings_us, conf->idle_ms, REASON_UPSTREAM_BAD);
    if (session->head_us != 0)
        h2_session_limit(session, session->head_us, conf->idle_ms, REASON_UPSTREAM_BAD);
    if (session->n_streams == 0 && session->phase == H2_OPEN)
        arm_idle(link);
    else
        set_idle(link, false);
}

static void note_cut(struct h2_session *session, enum reason reason)
{
    (void)reason;
    h2_link_retire(link_of(session));
}

/* errno of what ended the link, for those whose answers it has not brought. */
static int error_of(const struct h2_link *link, enum reason reason)
{
    switch (reason) {
    case REASON_CONNECT_TIMEOUT:
        return ETIMEDOUT;
    case REASON_HTTP2_ERROR:
    case REASON_HTTP2_FLOOD:
    case REASON_HTTP2_HEADERS:
    case REASON_UPSTREAM_BAD:
        return link->phase == H2_LINK_OPENING ? EPROTONOSUPPORT : EBADMSG;
    default:
        return link->conn.error != 0 ? link->conn.error : ECONNRESET;
    }
}

static void close_for(struct h2_session *session, enum reason reason)
{
    struct h2_link *link = link_of(session);
    close_link(link, error_of(link, reason));
}

static void part(struct h2_session *session)
{
    close_for(session, session->reason);
}

/* ---- the role: streams ---- */

static ssize_t fail(void)
{
    errno = EPIPE;
    return -1;
}

/* Heads are staged as a whole, so they come as a whole. */
static ssize_t take_head(struct h2_stream *stream, struct span bytes)
{
    struct h2_link *link = link_of(stream->session);
    struct span scheme = link->pool->tls.is_on ? SPAN("https") : SPAN("http");
    const struct conf_request_id *id_conf = &link->conn.worker->proxy->conf->request_id;
    struct span id_name = {(const uint8_t *)id_conf->header, id_conf->header_n};
    struct h2_asking asking;
    nghttp2_nv nv[H2_MAX_FIELDS];
    if (!h2_asking_read(bytes, scheme, id_name, &asking))
        return fail();
    const nghttp2_data_provider provider = h2_stream_provider(stream);
    bool has_body = asking.framing.body != H1_BODY_NONE;
    int32_t id = nghttp2_submit_request(link->session.ng, NULL,
                                        h2_stream_nv(asking.fields, asking.n_fields, nv),
                                        asking.n_fields, has_body ? &provider : NULL, stream);
    if (id < 0)
        return fail();
    stream->id = id;
    stream->asked = asking.asked;
    link->n_requests++;
    counter_add(&local_of(link)->stats.h2_streams, 1);
    h2_stream_begin_body(stream, &asking.framing);
    h2_session_wake(&link->session);
    return asking.head_n;
}

/* A stream above the last one of a GOAWAY is closed by nghttp2 as if it had been refused. ESTALE
 * and ECANCELED say that nothing was done about the request: errors that no socket has. */
static int error_of_code(const struct h2_link *link, uint32_t error_code)
{
    if (!is_open(link) || link->session.ng == NULL)
        return link->conn.error != 0 ? link->conn.error : ECONNRESET;
    if (error_code == NGHTTP2_REFUSED_STREAM)
        return link->was_told ? ESTALE : ECANCELED;
    return ECONNRESET;
}

static void lost(struct h2_stream *stream, uint32_t error_code)
{
    if (!stream->inbox.has_ended && stream->error == 0)
        stream->error = error_of_code(link_of(stream->session), error_code);
}

static uint32_t reset_code(const struct h2_stream *stream)
{
    bool is_whole = stream->outbox.step == H2_OUTBOX_END && stream->inbox.has_ended;
    return is_whole ? H2_LEAVE_BEHIND : NGHTTP2_CANCEL;
}

static void freed(struct h2_session *session)
{
    struct h2_link *link = link_of(session);
    if (is_open(link))
        h2_link_offer(link);
    else
        bury_if_done(link);
}

static bool admit(struct h2_stream *stream); /* below: it may open a link */

static const struct h2_role role = {
    .gone = REASON_UPSTREAM_CLOSED,
    .slow = REASON_UPSTREAM_TIMEOUT,
    .control = H2_NUISANCE_LINK_CONTROL,
    .empty = H2_NUISANCE_LINK_EMPTY,
    .pace = take_pace,
    .arm = arm,
    .note_cut = note_cut,
    .close = close_for,
    .part = part,
    .begin_head = h2_answers_begin_head,
    .end_head = h2_answers_end_head,
    .frame_received = h2_answers_frame_received,
    .frame_sent = h2_answers_frame_sent,
    .frame_unsent = h2_answers_frame_unsent,
    .take_head = take_head,
    .lost = lost,
    .admit = admit,
    .reset_code = reset_code,
    .freed = freed,
};

/* ---- opening ---- */

static int32_t connection_window(const struct worker *worker)
{
    uint64_t most = (uint64_t)WINDOW_BYTES * CONNECTION_WINDOWS;
    uint64_t part = worker->buffers.limit_bytes / MEMORY_PART;
    if (part != 0 && part < most)
        most = part > WINDOW_BYTES ? part : WINDOW_BYTES;
    return (int32_t)most;
}

static void begin_session(struct h2_link *link)
{
    struct worker *worker = link->conn.worker;
    struct h2_session *session = &link->session;
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, worker->proxy->h1_limits.head_bytes},
    };
    session->ng = h2_callbacks_new_client(session);
    session->settings_us = worker_now_us(worker);
    (void)nghttp2_submit_settings(session->ng, NGHTTP2_FLAG_NONE, entries,
                                  sizeof entries / sizeof *entries);
    (void)nghttp2_session_set_local_window_size(session->ng, NGHTTP2_FLAG_NONE, 0,
                                                connection_window(worker));
}

/* Those that are too many go elsewhere when their turn comes, but only once: nghttp2 holds them
 * back then until there is room. */
void h2_link_came_up(struct h2_link *link)
{
    struct h2_stream *stream;
    uint32_t n = 0, most;
    if (link->phase == H2_LINK_UP)
        return;
    link->phase = H2_LINK_UP;
    local_of(link)->protocol = ENDPOINT_HTTP_2;
    local_of(link)->h2_streams = streams_allowed(link);
    counter_add(&local_of(link)->stats.h2_connects, 1);
    most = most_streams(link);
    TAILQ_FOREACH(stream, &link->session.all, link)
    {
        if (n++ < most || stream->is_moved)
            stream->state = H2_STREAM_OPEN;
        h2_stream_make_ready(stream);
    }
}

/* A link of its own for a stream that waited on one that turned out to be HTTP/1.1. */
static void move_stream(struct h2_stream *stream, const struct h2_link *from)
{
    struct conn *conn = stream->conn;
    struct h2_link *to;
    int rc = h2_link_open(conn->worker, from->endpoint, from->pool, &to);
    if (rc != 0) {
        stream->error = -rc;
        h2_stream_make_ready(stream);
        return;
    }
    h2_stream_move(stream, &to->session);
}

/* A place on another link for a stream that found none on this one. */
static void move_surplus(struct h2_stream *stream, const struct h2_link *from)
{
    struct h2_link *to = h2_link_find(from->conn.worker, from->endpoint, 0);
    stream->is_moved = true;
    if (to == NULL) {
        move_stream(stream, from);
        return;
    }
    h2_stream_move(stream, &to->session);
    set_idle(to, false);
    if (to->phase == H2_LINK_UP) {
        stream->state = H2_STREAM_OPEN;
        h2_stream_make_ready(stream);
    }
}

static bool admit(struct h2_stream *stream)
{
    const struct h2_link *link = link_of(stream->session);
    bool is_waiting = stream->state == H2_STREAM_WAITS && stream->error == 0;
    if (!is_waiting || link->phase != H2_LINK_UP || !is_open(link))
        return true;
    move_surplus(stream, link);
    return false;
}

/* The endpoint chose HTTP/1.1: the connection is the first request's. */
static void hand_over(struct h2_link *link)
{
    struct h2_session *session = &link->session;
    struct h2_stream *first = TAILQ_FIRST(&session->all), *stream, *next;
    struct conn *conn = first != NULL ? first->conn : NULL;
    local_of(link)->protocol = ENDPOINT_HTTP_1;
    for (stream = first; stream != NULL; stream = next) {
        next = TAILQ_NEXT(stream, link);
        if (stream != first)
            move_stream(stream, link);
    }
    if (conn == NULL || buffer_used(&link->conn.in) > 0) {
        close_link(link, EBADMSG);
        return;
    }
    h2_stream_free(first);
    take_down(link);
    transport_hand_over(&link->conn, conn);
    bury_if_done(link);
    conn->ops->on_io(conn, EV_READ | EV_WRITE);
}

static void choose_protocol(struct h2_link *link)
{
    bool is_h2 = span_equal(tls_alpn(&link->conn), SPAN("h2"));
    if (is_h2)
        begin_session(link);
    else if (link->pool->http2 == CONF_HTTP2_ONLY)
        close_link(link, EPROTONOSUPPORT);
    else
        hand_over(link);
}

/* Goes on with TLS; whether the session has begun. */
static bool shake_hands(struct h2_link *link)
{
    if (link->session.ng != NULL)
        return true;
    (void)conn_read(&link->conn);
    if (tls_progress(&link->conn) == TLS_READY)
        choose_protocol(link);
    return is_open(link) && link->session.ng != NULL;
}

static void on_io(struct conn *conn, int revents)
{
    struct h2_link *link = (struct h2_link *)conn;
    link->heard_us = revents & EV_READ ? worker_now_us(conn->worker) : link->heard_us;
    if (link->session.ng != NULL) {
        h2_session_on_io(&link->session, revents);
        return;
    }
    if (shake_hands(link))
        h2_session_take_in(&link->session); /* came behind the handshake */
    if (is_open(link))
        h2_session_turn(&link->session);
}

static void on_deadline(struct conn *conn, enum reason reason)
{
    struct h2_link *link = (struct h2_link *)conn;
    if (reason == REASON_UPSTREAM_TIMEOUT)
        h2_session_look_at_peer(&link->session);
    else if (reason == REASON_OK)
        close_quietly(link);
    else
        close_for(&link->session, reason);
    if (conn_is_open(conn))
        h2_session_turn(&link->session);
}

static const struct conn_ops link_ops = {
    .on_io = on_io, .on_deadline = on_deadline, .use = BUFFER_FOR_RESPONSE};

static enum outbound_protocols protocols_of(const struct conf_pool *pool)
{
    return pool->http2 == CONF_HTTP2_ONLY ? OUTBOUND_HTTP_2 : OUTBOUND_BOTH;
}

int h2_link_open(struct worker *worker, struct endpoint *endpoint, const struct conf_pool *pool,
                 struct h2_link **ret_link)
{
    int fd = -1;
    int rc = dial_socket(endpoint, &fd);
    if (rc != 0)
        return rc;
    struct h2_link *link = slab_get(&worker->h2_link_slab);
    struct endpoint_local *local = &endpoint->locals[worker->index];
    uint64_t now_us = worker_now_us(worker);
    *link = (struct h2_link){
        .endpoint = endpoint_ref(endpoint), .pool = pool, .opened_us = now_us, .heard_us = now_us};
    conn_init(&link->conn, worker, fd, &link_ops);
    h2_session_init(&link->session, &role, &link->conn, &local->stats.bytes_in);
    set_listed(link, true);
    LIST_INSERT_HEAD(&worker->links, link, worker_link);
    rc = dial_tls(&link->conn, pool, endpoint, protocols_of(pool));
    if (rc != 0) {
        close_link(link, -rc);
        return rc;
    }
    if (!pool->tls.is_on)
        begin_session(link);
    counter_add(&local->stats.connects, 1);
    ev_feed_event(worker->loop, &link->conn.io, EV_READ | EV_WRITE);
    *ret_link = link;
    return 0;
}

void h2_link_add(struct h2_link *link, struct conn *conn, const struct conn_ops *ops)
{
    struct h2_stream *stream = h2_stream_new(&link->session, 0);
    stream->state = link->phase == H2_LINK_UP ? H2_STREAM_OPEN : H2_STREAM_WAITS;
    stream->conn = conn;
    set_idle(link, false);
    conn_init_over(conn, link->conn.worker, link->conn.fd, ops, &transport_h2, stream);
}

struct h2_link *h2_link_of(const struct conn *conn)
{
    if (conn->transport != &transport_h2)
        return NULL;
    const struct h2_stream *stream = conn->channel;
    return link_of(stream->session);
}
