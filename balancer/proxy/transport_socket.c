#include "balancer/proxy/transport.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/proxy/conn.h"
#include "balancer/proxy/worker.h"

static ssize_t socket_read(struct conn *conn, void *bytes, size_t n)
{
    return recv(conn->fd, bytes, n, 0);
}

static ssize_t socket_write(struct conn *conn, const struct iovec *iov, int n_iov)
{
    if (n_iov == 1)
        return send(conn->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
    const struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n_iov};
    return sendmsg(conn->fd, &message, MSG_NOSIGNAL);
}

static void socket_end_write(struct conn *conn)
{
    (void)shutdown(conn->fd, SHUT_WR);
}

static void socket_watch(struct conn *conn, int events)
{
    ev_io_stop(conn->worker->loop, &conn->io);
    if (events != 0) {
        ev_io_modify(&conn->io, events);
        ev_io_start(conn->worker->loop, &conn->io);
    }
}

static uint64_t socket_count_queued(const struct conn *conn)
{
    int queued = 0;
    return ioctl(conn->fd, SIOCOUTQ, &queued) == 0 && queued > 0 ? (uint64_t)queued : 0;
}

static bool socket_is_quiet(struct conn *conn)
{
    char byte;
    ssize_t n = recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void socket_spoil(struct conn *conn)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

static void socket_close(struct conn *conn)
{
    (void)close(conn->fd);
}

const struct transport transport_socket = {
    .read = socket_read,
    .write = socket_write,
    .end_write = socket_end_write,
    .watch = socket_watch,
    .count_queued = socket_count_queued,
    .is_quiet = socket_is_quiet,
    .spoil = socket_spoil,
    .close = socket_close,
    .can_splice = true,
};
