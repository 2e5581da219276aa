/*
 * A connection: one descriptor, one watcher, one timer, a buffer each way. Clients and upstreams
 * are both built on it and joined by a request.
 *
 * Owned by its worker and touched by that thread alone. Interest in reading stays registered while
 * nothing comes that cannot be taken: in the steady state no system call changes it. The deadline
 * moves forward without touching the timer, which looks again when it fires.
 */
#ifndef QUOIT_BALANCER_PROXY_CONN_H
#define QUOIT_BALANCER_PROXY_CONN_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "balancer/http/reason.h"
#include "balancer/proxy/buffer.h"
#include "balancer/proxy/transport.h"

struct worker;
struct conn;
struct pipe;

struct conn_ops {
    /* There may be bytes to read (revents & EV_READ) or room to write (EV_WRITE). */
    void (*on_io)(struct conn *conn, int revents);
    /* The deadline has passed; reason is the one it was set with. Where this thread was kept from
     * running meanwhile, what has come is seen to first. */
    void (*on_deadline)(struct conn *conn, enum reason reason);
    enum buffer_use use; /* of its in buffer */
};

struct conn {
    const struct conn_ops *ops;
    const struct transport *transport;
    void *channel; /* the transport's own */
    struct worker *worker;
    int fd; /* -1 once closed */
    struct ev_io io;
    struct ev_timer timer;
    uint64_t deadline_us; /* on the worker's clock; 0: none */
    enum reason deadline_reason;
    struct buffer in, out;
    struct pipe *pipe;     /* holds payload that was read, on its way past the in buffer; or NULL */
    uint64_t pipe_left;    /* payload bytes still to be read into a pipe */
    bool read_ended;       /* the peer has sent FIN */
    bool write_ended;      /* we have */
    bool wants_write;      /* the last write was cut short */
    bool waits_for_memory; /* in `waiting`; nothing is read meanwhile: memory.h */
    uint32_t read_most;    /* bytes of a read into the in buffer; 0: as many as fit */
    uint8_t watched;       /* the events that the transport watches for */
    bool read_filled;      /* the last read took all it asked for: there may be more */
    bool had_respite;      /* the deadline has passed unnoticed, and was put off for that */
    int error;             /* errno of a failed read; 0 */
    uint64_t written;      /* bytes, ever */
    TAILQ_ENTRY(conn) waiting;
};

/* Takes over fd (non-blocking) and begins to watch for reading. */
void conn_init(struct conn *conn, struct worker *worker, int fd, const struct conn_ops *ops);

/* The same for bytes that travel otherwise: over transport, whose own channel is. fd is not
 * watched.
 */
void conn_init_over(struct conn *conn, struct worker *worker, int fd, const struct conn_ops *ops,
                    const struct transport *transport, void *channel);

/* Stops watching, closes the descriptor, gives the buffers back. Idempotent. */
void conn_close(struct conn *conn);

/* The same for one whose descriptor is another's now (transport_hand_over()). */
void conn_leave(struct conn *conn);

static inline bool conn_is_open(const struct conn *conn)
{
    return conn->fd >= 0;
}

/*
 * Reads once into the in buffer, or while pipe_left lasts into a pipe. Returns the number of bytes;
 * 0 when there was nothing to read, no room (a full buffer switches interest off until
 * conn_update()) or no memory (then it waits: memory.h); -1 when the peer ended or the connection
 * failed: read_ended or error say which.
 */
ssize_t conn_read(struct conn *conn);

/*
 * Writes what is staged in the out buffer, then up to n bytes of extra, in one system call, and
 * drops what went from the out buffer. Returns how many bytes of extra went, or -1 on failure.
 */
ssize_t conn_write(struct conn *conn, const uint8_t *extra, size_t n);

/*
 * The next n bytes that come are payload and go into a pipe (nothing may be in the in buffer);
 * where none is to be had conn_read() forgets about it. Whoever passes it on takes it from there:
 * conn_splice().
 */
void conn_pipe(struct conn *conn, uint64_t n);

/* Ends that, and drops what is in the pipe. */
void conn_drop_pipe(struct conn *conn);

/* Writes what is in from's pipe to conn, behind which nothing may be staged, and gives an empty
 * pipe back. False on failure. */
bool conn_splice(struct conn *conn, struct conn *from);

/* Whether staged bytes wait. */
static inline bool conn_has_output(const struct conn *conn)
{
    return buffer_used(&conn->out) > 0;
}

/* Whether neither bytes nor an end wait to be read: by a system call. */
bool conn_is_quiet(struct conn *conn);

/* Closing will look like a failure to the peer: what was sent is not to pass for whole. */
void conn_spoil(struct conn *conn);

/* Sends FIN after what was written (nothing may be staged). */
void conn_end_write(struct conn *conn);

/* A number that grows by one for each byte the peer's kernel has acknowledged. What was written may
 * still lie in this one's: up to some megabytes, which a slow reader takes minutes for. Costs a
 * system call. */
uint64_t conn_taken(const struct conn *conn);

/* Brings the watched events in line with the connection's state; after every turn of its owner. */
void conn_update(struct conn *conn);

/* Calls on_deadline with reason once timeout_ms have passed from now; 0: never. */
void conn_set_deadline(struct conn *conn, uint64_t timeout_ms, enum reason reason);

/* The same for a moment of the worker's clock, if it is before the deadline that is set. */
void conn_limit_deadline(struct conn *conn, uint64_t at_us, enum reason reason);

#endif
