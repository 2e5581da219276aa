#include "balancer/proxy/h2_stream.h"

#include <assert.h>
#include <errno.h>

#include "balancer/proxy/conn.h"
#include "balancer/proxy/h2_session.h"
#include "balancer/proxy/worker.h"

/* What is written and waits for its window. */
#define OUTBOX_BYTES 65536

static struct worker *worker_of(const struct h2_stream *stream)
{
    return stream->session->conn->worker;
}

static struct buffer_pool *pool_of(const struct h2_stream *stream)
{
    return &worker_of(stream)->buffers;
}

void h2_stream_make_ready(struct h2_stream *stream)
{
    struct h2_session *session = stream->session;
    if (stream->is_ready)
        return;
    stream->is_ready = true;
    session->n_ready++;
    TAILQ_INSERT_TAIL(&session->ready, stream, ready_link);
    h2_session_wake(session);
}

struct h2_stream *h2_stream_new(struct h2_session *session, int32_t id)
{
    struct h2_stream *stream = slab_get(&session->conn->worker->h2_stream_slab);
    *stream = (struct h2_stream){.session = session, .id = id, .state = H2_STREAM_OPEN};
    TAILQ_INSERT_TAIL(&session->all, stream, link);
    session->n_streams++;
    return stream;
}

void h2_stream_free(struct h2_stream *stream)
{
    struct h2_session *session = stream->session;
    struct worker *worker = worker_of(stream);
    if (stream->is_ready) {
        TAILQ_REMOVE(&session->ready, stream, ready_link);
        session->n_ready--;
    }
    if (stream->is_orphan)
        TAILQ_REMOVE(&session->orphans, stream, orphan_link);
    TAILQ_REMOVE(&session->all, stream, link);
    session->n_streams--;
    session->quiet_us = worker_now_us(worker);
    chain_clear(&stream->inbox.bytes, &worker->buffers);
    chain_clear(&stream->outbox.payload, &worker->buffers);
    if (stream->outbox.trailers != NULL)
        buffer_pool_put(&worker->buffers, stream->outbox.trailers);
    worker_bury(worker, &worker->h2_stream_slab, stream);
    session->role->freed(session);
}

void h2_stream_move(struct h2_stream *stream, struct h2_session *to)
{
    struct h2_session *from = stream->session;
    assert(stream->state == H2_STREAM_WAITS && !stream->is_ready);
    TAILQ_REMOVE(&from->all, stream, link);
    from->n_streams--;
    TAILQ_INSERT_TAIL(&to->all, stream, link);
    to->n_streams++;
    stream->session = to;
}

void h2_stream_closed(struct h2_stream *stream, uint32_t error_code)
{
    stream->state = H2_STREAM_CLOSED;
    if (stream->conn == NULL) {
        h2_stream_free(stream);
        return;
    }
    stream->session->role->lost(stream, error_code);
    h2_stream_make_ready(stream);
}

/* ---- what comes ---- */

/* Of nghttp2's, which may be gone. */
static void consume(const struct h2_stream *stream, size_t n)
{
    nghttp2_session *ng = stream->session->ng;
    if (ng == NULL || n == 0)
        return;
    if (stream->conn != NULL)
        (void)nghttp2_session_consume(ng, stream->id, n);
    else
        (void)nghttp2_session_consume_connection(ng, n);
    h2_session_wake(stream->session);
}

void h2_stream_take(struct h2_stream *stream, struct span payload)
{
    if (stream->conn == NULL || stream->inbox.has_ended || stream->error != 0) {
        (void)nghttp2_session_consume_connection(stream->session->ng, payload.n);
        return;
    }
    h2_inbox_add_payload(&stream->inbox, pool_of(stream), payload);
    h2_stream_make_ready(stream);
}

void h2_stream_end(struct h2_stream *stream)
{
    h2_inbox_end(&stream->inbox);
    h2_stream_make_ready(stream);
}

bool h2_stream_is_tunnel(const struct h2_stream *stream)
{
    return stream->outbox.step != H2_OUTBOX_HEAD && stream->outbox.body.kind == H1_BODY_UNTIL_CLOSE;
}

/* The end of a request is no end of the connection that it would have come over. */
static bool reads_end(const struct h2_stream *stream)
{
    return stream->inbox.has_ended && h2_stream_is_tunnel(stream) &&
           !h2_inbox_has_bytes(&stream->inbox);
}

static ssize_t stream_read(struct conn *conn, void *bytes, size_t n)
{
    struct h2_stream *stream = conn->channel;
    size_t payload;
    size_t done = h2_inbox_read(&stream->inbox, pool_of(stream), bytes, n, &payload);
    consume(stream, payload);
    if (done == 0 && (stream->error != 0 || !reads_end(stream))) {
        errno = stream->error != 0 ? stream->error : EAGAIN;
        return -1;
    }
    return (ssize_t)done;
}

/* ---- what goes ---- */

nghttp2_nv *h2_stream_nv(const struct h2_field *fields, uint32_t n, nghttp2_nv *nv)
{
    for (uint32_t i = 0; i < n; i++)
        nv[i] = (nghttp2_nv){.flags = fields[i].is_private ? NGHTTP2_NV_FLAG_NO_INDEX
                                                           : NGHTTP2_NV_FLAG_NONE,
                             .name = (uint8_t *)fields[i].name.p,
                             .namelen = fields[i].name.n,
                             .value = (uint8_t *)fields[i].value.p,
                             .valuelen = fields[i].value.n};
    return nv;
}

static void send_trailers(const struct h2_stream *stream)
{
    struct h2_field fields[H2_MAX_FIELDS];
    nghttp2_nv nv[H2_MAX_FIELDS];
    uint32_t total;
    const struct h2_outbox *outbox = &stream->outbox;
    int n = h2_trailers_read((struct span){outbox->trailers, outbox->trailers_n}, fields,
                             H2_MAX_FIELDS, &total);
    if (n > 0)
        (void)nghttp2_submit_trailer(stream->session->ng, stream->id,
                                     h2_stream_nv(fields, (uint32_t)n, nv), (size_t)n);
}

static void look_at_orphan(struct h2_stream *stream, size_t n)
{
    const struct pace pace = stream->session->role->pace(stream->session);
    if (stream->is_orphan)
        patience_look(&stream->patience, &pace, worker_now_us(worker_of(stream)),
                      stream->patience.seen_bytes + n);
}

/* nghttp2 asks for payload. */
static ssize_t provide(nghttp2_session *ng, int32_t id, uint8_t *bytes, size_t n, uint32_t *flags,
                       nghttp2_data_source *source, void *context)
{
    (void)ng, (void)id, (void)context;
    struct h2_stream *stream = source->ptr;
    struct h2_outbox *outbox = &stream->outbox;
    size_t done = chain_take(&outbox->payload, pool_of(stream), bytes, n);
    if (outbox->payload.n == 0 && outbox->step == H2_OUTBOX_END) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (outbox->trailers != NULL) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            send_trailers(stream);
        }
    } else if (done == 0) {
        outbox->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    look_at_orphan(stream, done);
    if (stream->conn != NULL && stream->conn->wants_write)
        h2_stream_make_ready(stream);
    return (ssize_t)done;
}

nghttp2_data_provider h2_stream_provider(struct h2_stream *stream)
{
    return (nghttp2_data_provider){.source = {.ptr = stream}, .read_callback = provide};
}

static void resume(struct h2_stream *stream)
{
    h2_session_wake(stream->session);
    if (!stream->outbox.is_deferred)
        return;
    stream->outbox.is_deferred = false;
    (void)nghttp2_session_resume_data(stream->session->ng, stream->id);
}

static ssize_t fail(void)
{
    errno = EPIPE;
    return -1;
}

void h2_stream_begin_body(struct h2_stream *stream, const struct h1_framing *framing)
{
    struct h2_outbox *outbox = &stream->outbox;
    h1_body_init(&outbox->body, framing, REASON_INTERNAL);
    outbox->step = framing->body == H1_BODY_NONE ? H2_OUTBOX_END : H2_OUTBOX_BODY;
    if (h2_stream_is_tunnel(stream) && stream->inbox.has_ended)
        h2_stream_make_ready(stream);
}

static ssize_t take_trailers(struct h2_stream *stream, struct span bytes)
{
    struct h2_outbox *outbox = &stream->outbox;
    struct h2_field fields[H2_MAX_FIELDS];
    uint32_t total;
    int n = h2_trailers_read(bytes, fields, H2_MAX_FIELDS, &total);
    if (n < 0 || total > pool_of(stream)->small.size)
        return fail();
    if (n > 0) {
        outbox->trailers = buffer_pool_get(pool_of(stream));
        outbox->trailers_n = total;
        memcpy(outbox->trailers, bytes.p, total);
    }
    outbox->step = H2_OUTBOX_END;
    return total;
}

static ssize_t take_body(struct h2_stream *stream, struct span bytes)
{
    struct h2_outbox *outbox = &stream->outbox;
    struct h1_run run;
    size_t room = OUTBOX_BYTES - outbox->payload.n, n = 0;
    if (room == 0)
        return 0;
    enum h1_status status = h1_body_next(&outbox->body, bytes.p, bytes.n, &run);
    bytes = (struct span){bytes.p + run.skip, bytes.n - run.skip};
    if (status == H1_DATA) {
        n = run.n < room ? run.n : room;
        chain_add(&outbox->payload, pool_of(stream), (struct span){bytes.p, n});
        h1_body_take(&outbox->body, n);
        if (outbox->body.kind == H1_BODY_LENGTH && outbox->body.left == 0)
            outbox->step = H2_OUTBOX_END;
    } else if (status == H1_TRAILERS) {
        ssize_t taken = take_trailers(stream, bytes);
        if (taken < 0)
            return -1;
        n = (size_t)taken;
    } else if (status != H1_MORE) {
        return fail();
    }
    resume(stream);
    return (ssize_t)(run.skip + n);
}

/* Takes what there is room for; 0: nothing now. */
static ssize_t take_some(struct h2_stream *stream, struct span bytes)
{
    switch (stream->outbox.step) {
    case H2_OUTBOX_HEAD:
        return stream->session->role->take_head(stream, bytes);
    case H2_OUTBOX_BODY:
        return take_body(stream, bytes);
    default:
        return fail(); /* nothing follows a message */
    }
}

/* All it can of one run; less than all: there is no room, or with *failed set it is wrong. */
static size_t take_run(struct h2_stream *stream, struct span bytes, bool *failed)
{
    size_t taken = 0;
    while (taken < bytes.n) {
        ssize_t n = take_some(stream, (struct span){bytes.p + taken, bytes.n - taken});
        if (n <= 0) {
            *failed = n < 0;
            break;
        }
        taken += (size_t)n;
    }
    return taken;
}

static ssize_t stream_write(struct conn *conn, const struct iovec *iov, int n_iov)
{
    struct h2_stream *stream = conn->channel;
    size_t taken = 0;
    bool failed = stream->state == H2_STREAM_CLOSED;
    if (failed)
        errno = EPIPE;
    if (stream->state == H2_STREAM_WAITS)
        n_iov = 0;
    for (int i = 0; i < n_iov && !failed; i++) {
        size_t n = take_run(stream, (struct span){iov[i].iov_base, iov[i].iov_len}, &failed);
        taken += n;
        if (n < iov[i].iov_len)
            break;
    }
    if (failed)
        return -1;
    if (taken == 0) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)taken;
}

static void stream_end_write(struct conn *conn)
{
    struct h2_stream *stream = conn->channel;
    if (!h2_stream_is_tunnel(stream))
        return;
    stream->outbox.step = H2_OUTBOX_END;
    resume(stream);
}

/* ---- events ---- */

/* What of this the stream is ready for. */
static int pending_events(const struct h2_stream *stream, int events)
{
    bool can_read = h2_inbox_has_bytes(&stream->inbox) || reads_end(stream) || stream->error != 0;
    bool can_write = stream->state == H2_STREAM_CLOSED ||
                     (stream->state == H2_STREAM_OPEN && stream->outbox.payload.n < OUTBOX_BYTES);
    return events & ((can_read ? EV_READ : 0) | (can_write ? EV_WRITE : 0));
}

static void stream_watch(struct conn *conn, int events)
{
    struct h2_stream *stream = conn->channel;
    if (pending_events(stream, events) != 0)
        h2_stream_make_ready(stream);
}

void h2_stream_run(struct h2_stream *stream)
{
    struct conn *conn = stream->conn;
    if (conn == NULL || !stream->session->role->admit(stream))
        return;
    int events = pending_events(stream, conn->watched);
    if (events == 0)
        return;
    conn->ops->on_io(conn, events);
    if (stream->conn != NULL && pending_events(stream, conn->watched & EV_READ) != 0)
        h2_stream_make_ready(stream);
}

static uint64_t stream_count_queued(const struct conn *conn)
{
    const struct h2_stream *stream = conn->channel;
    return stream->outbox.payload.n;
}

static bool stream_is_quiet(struct conn *conn)
{
    const struct h2_stream *stream = conn->channel;
    return !h2_inbox_has_bytes(&stream->inbox) && !reads_end(stream);
}

/* ---- the end ---- */

static void stream_spoil(struct conn *conn)
{
    struct h2_stream *stream = conn->channel;
    stream->is_spoiled = true;
}

void h2_stream_reset(struct h2_stream *stream, uint32_t error_code)
{
    (void)nghttp2_submit_rst_stream(stream->session->ng, NGHTTP2_FLAG_NONE, stream->id, error_code);
    h2_session_wake(stream->session);
}

/* Its last bytes are still to be sent: for as long as the peer may take for that. */
static void leave_behind(struct h2_stream *stream)
{
    stream->is_orphan = true;
    stream->patience.seen_bytes = 1;
    patience_wait(&stream->patience, worker_now_us(worker_of(stream)));
    TAILQ_INSERT_TAIL(&stream->session->orphans, stream, orphan_link);
}

static void drop_inbox(struct h2_stream *stream)
{
    struct h2_inbox *inbox = &stream->inbox;
    consume(stream, inbox->payload_n);
    chain_clear(&inbox->bytes, pool_of(stream));
    *inbox = (struct h2_inbox){.has_ended = inbox->has_ended};
}

/* A request that nghttp2 has not sent yet: the endpoint takes no more streams, perhaps for ever. */
static bool is_held_back(const struct h2_stream *stream)
{
    return nghttp2_session_find_stream(stream->session->ng, stream->id) == NULL;
}

/* nghttp2 forgets a request that it holds back. */
static void take_back(struct h2_stream *stream)
{
    (void)nghttp2_session_set_stream_user_data(stream->session->ng, stream->id, NULL);
    h2_stream_reset(stream, NGHTTP2_CANCEL);
    h2_stream_free(stream);
}

static void stream_close(struct conn *conn)
{
    struct h2_stream *stream = conn->channel;
    uint32_t code = stream->session->role->reset_code(stream);
    stream->conn = NULL;
    drop_inbox(stream);
    h2_session_wake(stream->session);
    if (stream->state != H2_STREAM_OPEN || stream->id == 0)
        h2_stream_free(stream);
    else if (is_held_back(stream))
        take_back(stream);
    else if (code == H2_LEAVE_BEHIND)
        leave_behind(stream);
    else
        h2_stream_reset(stream, code);
}

const struct transport transport_h2 = {
    .read = stream_read,
    .write = stream_write,
    .end_write = stream_end_write,
    .watch = stream_watch,
    .count_queued = stream_count_queued,
    .is_quiet = stream_is_quiet,
    .spoil = stream_spoil,
    .close = stream_close,
    .can_splice = false,
};
