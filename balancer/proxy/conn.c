#include "balancer/proxy/conn.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

#include "balancer/proxy/memory.h"
#include "balancer/proxy/pipe.h"
#include "balancer/proxy/worker.h"

/* A deadline that is noticed so late has passed while this thread was kept from running. */
#define HELD_UP_US 20000

static void on_io(struct ev_loop *loop, struct ev_io *io, int revents)
{
    (void)loop;
    struct conn *conn = io->data;
    conn->ops->on_io(conn, revents);
}

static void arm_timer(struct conn *conn, uint64_t now_us)
{
    uint64_t left_us = conn->deadline_us > now_us ? conn->deadline_us - now_us : 1;
    conn->timer.repeat = (double)left_us / 1e6;
    ev_timer_again(conn->worker->loop, &conn->timer);
}

static void on_timer(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)revents;
    struct conn *conn = timer->data;
    uint64_t now_us = worker_now_us(conn->worker);
    if (conn->deadline_us == 0) {
        ev_timer_stop(loop, timer);
    } else if (conn->deadline_us > now_us) {
        arm_timer(conn, now_us);
    } else if (now_us - conn->deadline_us > HELD_UP_US && !conn->had_respite) {
        /* We are late, not the peer: what has come meanwhile may not have been looked for yet. */
        conn->had_respite = true;
        conn->deadline_us = now_us;
        arm_timer(conn, now_us);
    } else {
        ev_timer_stop(loop, timer);
        conn->deadline_us = 0;
        conn->ops->on_deadline(conn, conn->deadline_reason);
    }
}

void conn_init_over(struct conn *conn, struct worker *worker, int fd, const struct conn_ops *ops,
                    const struct transport *transport, void *channel)
{
    *conn = (struct conn){.ops = ops,
                          .transport = transport,
                          .channel = channel,
                          .worker = worker,
                          .fd = fd,
                          .watched = EV_READ};
    ev_io_init(&conn->io, on_io, fd, EV_READ);
    conn->io.data = conn;
    ev_init(&conn->timer, on_timer);
    /* Behind all that has come: it may be what was waited for. */
    ev_set_priority(&conn->timer, EV_MINPRI);
    conn->timer.data = conn;
}

void conn_init(struct conn *conn, struct worker *worker, int fd, const struct conn_ops *ops)
{
    conn_init_over(conn, worker, fd, ops, &transport_socket, NULL);
    ev_io_start(worker->loop, &conn->io);
}

/* What is in a pipe lies in the kernel, but counts as what is in a buffer does. */
static struct pipe *take_pipe(struct worker *worker)
{
    if (!buffer_pool_is_ample(&worker->buffers))
        return NULL;
    struct pipe *pipe = pipe_get(&worker->pipes);
    worker->buffers.used_bytes += pipe != NULL ? PIPE_BYTES : 0;
    return pipe;
}

static void put_pipe(struct worker *worker, struct pipe *pipe)
{
    worker->buffers.used_bytes -= PIPE_BYTES;
    pipe_put(&worker->pipes, pipe);
}

void conn_drop_pipe(struct conn *conn)
{
    if (conn->pipe != NULL)
        put_pipe(conn->worker, conn->pipe);
    conn->pipe = NULL;
    conn->pipe_left = 0;
}

void conn_leave(struct conn *conn)
{
    ev_io_stop(conn->worker->loop, &conn->io);
    ev_timer_stop(conn->worker->loop, &conn->timer);
    conn->deadline_us = 0;
    conn->watched = 0;
    conn->fd = -1;
    memory_forget(conn);
    conn_drop_pipe(conn);
    conn->in.held = false;
    buffer_release(&conn->in, &conn->worker->buffers);
    buffer_release(&conn->out, &conn->worker->buffers);
}

void conn_close(struct conn *conn)
{
    if (!conn_is_open(conn))
        return;
    ev_io_stop(conn->worker->loop, &conn->io);
    conn->transport->close(conn);
    conn_leave(conn);
}

static void watch(struct conn *conn, int events)
{
    if (conn->watched == events)
        return;
    conn->watched = (uint8_t)events;
    conn->transport->watch(conn, events);
}

static void stop_reading(struct conn *conn)
{
    watch(conn, conn->watched & EV_WRITE);
}

/* What a read that brought nothing means: 0 or -1, as conn_read() returns it. */
static ssize_t nothing_read(struct conn *conn, int error)
{
    if (error == EAGAIN || error == EINTR)
        return 0;
    conn->read_ended = error == 0;
    conn->error = error;
    return -1;
}

static ssize_t read_to_pipe(struct conn *conn)
{
    uint64_t wanted = conn->pipe_left < PIPE_BYTES ? conn->pipe_left : PIPE_BYTES;
    ssize_t n = pipe_fill(conn->pipe, conn->fd, wanted);
    int error = n < 0 ? errno : 0;
    if (n > 0) {
        conn->pipe_left -= (uint64_t)n;
        conn->read_filled = (uint64_t)n == wanted;
        return n;
    }
    if (conn->pipe->n == 0) {
        put_pipe(conn->worker, conn->pipe);
        conn->pipe = NULL;
    } else if (error == EAGAIN) {
        stop_reading(conn); /* it may be full */
    }
    return nothing_read(conn, error);
}

void conn_pipe(struct conn *conn, uint64_t n)
{
    assert(buffer_used(&conn->in) == 0);
    conn->pipe_left = n;
}

ssize_t conn_read(struct conn *conn)
{
    conn->read_filled = false;
    if (conn->in.data == NULL && conn->pipe == NULL && !memory_ask(conn)) {
        stop_reading(conn);
        return 0;
    }
    if (conn->pipe_left > 0 && conn->pipe == NULL)
        conn->pipe = take_pipe(conn->worker);
    if (conn->pipe_left > 0 && conn->pipe != NULL)
        return read_to_pipe(conn);
    conn->pipe_left = 0;
    uint32_t room = buffer_reserve(&conn->in, &conn->worker->buffers);
    if (room == 0) {
        stop_reading(conn);
        return 0;
    }
    if (conn->read_most != 0 && room > conn->read_most)
        room = conn->read_most;
    ssize_t n = conn->transport->read(conn, conn->in.data + conn->in.end, room);
    if (n > 0) {
        buffer_added(&conn->in, (uint32_t)n);
        conn->read_filled = (uint32_t)n == room;
        conn->in.wants_large = conn->read_filled && conn->read_most == 0;
        return n;
    }
    int error = n < 0 ? errno : 0;
    buffer_consume(&conn->in, &conn->worker->buffers, 0);
    return nothing_read(conn, error);
}

ssize_t conn_write(struct conn *conn, const uint8_t *extra, size_t n)
{
    uint32_t staged = buffer_used(&conn->out);
    if (staged + n == 0) {
        conn->wants_write = false;
        return 0;
    }
    struct iovec iov[2];
    int n_iov = 0;
    if (staged > 0)
        iov[n_iov++] =
            (struct iovec){.iov_base = conn->out.data + conn->out.start, .iov_len = staged};
    if (n > 0)
        iov[n_iov++] = (struct iovec){.iov_base = (void *)extra, .iov_len = n};
    ssize_t sent = conn->transport->write(conn, iov, n_iov);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        if (errno == ECONNREFUSED)
            conn->error = errno; /* nothing will ever be read; who reads now would not learn why */
        conn->wants_write = false;
        return -1;
    }
    size_t went = sent < 0 ? 0 : (size_t)sent;
    conn->written += went;
    conn->wants_write = went < staged + n;
    size_t from_staged = went < staged ? went : staged;
    if (from_staged > 0)
        buffer_consume(&conn->out, &conn->worker->buffers, (uint32_t)from_staged);
    return (ssize_t)(went - from_staged);
}

bool conn_splice(struct conn *conn, struct conn *from)
{
    assert(!conn_has_output(conn));
    ssize_t n = pipe_drain(from->pipe, conn->fd);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        conn->wants_write = false;
        return false;
    }
    conn->written += n > 0 ? (uint64_t)n : 0;
    conn->wants_write = from->pipe->n > 0;
    if (from->pipe->n == 0) {
        put_pipe(from->worker, from->pipe);
        from->pipe = NULL;
    }
    return true;
}

bool conn_is_quiet(struct conn *conn)
{
    return conn->transport->is_quiet(conn);
}

void conn_spoil(struct conn *conn)
{
    conn->transport->spoil(conn);
}

void conn_end_write(struct conn *conn)
{
    assert(!conn_has_output(conn));
    if (conn->write_ended)
        return;
    conn->write_ended = true;
    conn->transport->end_write(conn);
}

uint64_t conn_taken(const struct conn *conn)
{
    /* `written` begins anew with each request, with bytes of the last one still on their way. */
    const uint64_t above_any_queue = UINT64_C(1) << 32;
    return above_any_queue + conn->written - conn->transport->count_queued(conn);
}

static bool has_room(const struct conn *conn)
{
    if (conn->pipe_left > 0)
        return conn->pipe == NULL || conn->pipe->n == 0;
    return buffer_has_room(&conn->in);
}

void conn_update(struct conn *conn)
{
    if (!conn_is_open(conn))
        return;
    /* Reading that is not wanted now stays on until it disturbs: see conn_read(). */
    bool is_reading = (conn->watched & EV_READ) != 0;
    bool read = !conn->read_ended && conn->error == 0 && !conn->waits_for_memory &&
                (is_reading || has_room(conn));
    watch(conn, (read ? EV_READ : 0) | (conn->wants_write ? EV_WRITE : 0));
}

void conn_set_deadline(struct conn *conn, uint64_t timeout_ms, enum reason reason)
{
    if (timeout_ms == 0) {
        conn->deadline_us = 0;
        return;
    }
    uint64_t now_us = worker_now_us(conn->worker);
    conn->deadline_us = 0;
    conn_limit_deadline(conn, now_us + timeout_ms * 1000, reason);
}

void conn_limit_deadline(struct conn *conn, uint64_t at_us, enum reason reason)
{
    if (conn->deadline_us != 0 && conn->deadline_us <= at_us)
        return;
    conn->deadline_us = at_us;
    conn->deadline_reason = reason;
    uint64_t now_us = worker_now_us(conn->worker);
    if (at_us > now_us)
        conn->had_respite = false;
    double left_s = at_us > now_us ? (double)(at_us - now_us) / 1e6 : 0;
    bool fires_later = !ev_is_active(&conn->timer) ||
                       ev_timer_remaining(conn->worker->loop, &conn->timer) > left_s + 0.001;
    if (fires_later)
        arm_timer(conn, now_us);
}
