/*
 * Transports: what the bytes of a connection travel over. A connection (conn.h) has the buffers,
 * the deadlines and the owner; its transport moves the bytes and says when there is more to do.
 *
 * One const struct transport a kind. All of it runs on the connection's worker.
 */
#ifndef QUOIT_BALANCER_PROXY_TRANSPORT_H
#define QUOIT_BALANCER_PROXY_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct conn;

struct transport {
    /* As recv(2): the number of bytes, 0 at the end of the stream, -1 with errno; EAGAIN: nothing
     * now. Bytes that it keeps itself it announces through the watcher, as a socket would. */
    ssize_t (*read)(struct conn *conn, void *bytes, size_t n);
    /* As writev(2) on a socket that does not block; never raises SIGPIPE. */
    ssize_t (*write)(struct conn *conn, const struct iovec *iov, int n_iov);
    /* Sends the end of the stream behind what was written. */
    void (*end_write)(struct conn *conn);
    /* From now on on_io() is wanted for these events, EV_READ and EV_WRITE. */
    void (*watch)(struct conn *conn, int events);
    /* Bytes written that the peer's kernel has not acknowledged. */
    uint64_t (*count_queued)(const struct conn *conn);
    /* Whether neither bytes nor an end wait to be read. */
    bool (*is_quiet)(struct conn *conn);
    /* close() is to look like a failure to the peer, not like an end. */
    void (*spoil)(struct conn *conn);
    void (*close)(struct conn *conn);
    bool can_splice; /* conn.fd is a socket with nothing around the bytes */
};

/* A plain TCP socket. */
extern const struct transport transport_socket;

#endif
