/*
 * A connection reads a head, writes the answer, and reads on; after the last answer it stops
 * writing and waits for the client to close, so that bytes of a body that nobody read do not make
 * the kernel reset the connection over the answer.
 */
#include "balancer/admin/admin.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/admin/pages.h"

enum { MAX_CONNS = 64, HEAD_BYTES = 32768, MAX_FIELDS = 100 };

static const ev_tstamp patience_s = 30; /* for a request to arrive, for an answer to be taken */
static const ev_tstamp linger_s = 2;    /* for the client to close */
static const ev_tstamp pause_s = 0.5;   /* of accepting, when descriptors or memory ran out */

enum conn_state { CONN_READS, CONN_WRITES, CONN_LINGERS };

struct conn {
    TAILQ_ENTRY(conn) link;
    struct admin *admin;
    enum conn_state state;
    int fd;
    struct ev_io io;
    struct ev_timer deadline;
    struct page_response answer;
    size_t written; /* of the answer */
    bool is_last;   /* no request is read after this answer */
    struct h1_request request;
    struct h1_field fields[H1_MAX_FIELDS];
    size_t n; /* bytes in head */
    uint8_t head[HEAD_BYTES];
};

TAILQ_HEAD(conn_queue, conn);

struct admin {
    struct ev_loop *loop;
    struct admin_source source;
    int fd;
    struct ev_io accept;
    struct ev_timer pause;
    struct conn_queue conns; /* the one quiet longest first */
    unsigned n_conns;
};

/* Safe in the connection's own callbacks, for the callers return at once; libev drops what is
 * pending for a stopped watcher. */
static void conn_close(struct conn *conn)
{
    struct admin *admin = conn->admin;
    ev_io_stop(admin->loop, &conn->io);
    ev_timer_stop(admin->loop, &conn->deadline);
    TAILQ_REMOVE(&admin->conns, conn, link);
    admin->n_conns--;
    close(conn->fd);
    free(conn->answer.bytes);
    free(conn);
}

/* The one place where a connection's state, interest and deadline change. */
static void conn_enter(struct conn *conn, enum conn_state state)
{
    struct admin *admin = conn->admin;
    conn->state = state;
    ev_io_stop(admin->loop, &conn->io);
    ev_io_set(&conn->io, conn->fd, state == CONN_WRITES ? EV_WRITE : EV_READ);
    ev_io_start(admin->loop, &conn->io);
    conn->deadline.repeat = state == CONN_LINGERS ? linger_s : admin->source.patience_s;
    ev_timer_again(admin->loop, &conn->deadline);
    TAILQ_REMOVE(&admin->conns, conn, link);
    TAILQ_INSERT_TAIL(&admin->conns, conn, link);
}

/* Takes an answer that was made; error: there is no memory for one. */
static void conn_answer(struct conn *conn, int error)
{
    if (error != 0) {
        conn_close(conn);
        return;
    }
    conn->written = 0;
    conn_enter(conn, CONN_WRITES);
}

static void answer_request(struct conn *conn)
{
    const struct h1_request *request = &conn->request;
    struct span path = {conn->head + request->path.at, request->path.n};
    /* Bodies are not read: what follows one cannot be either. */
    conn->is_last = !request->framing.keep_alive || request->framing.body != H1_BODY_NONE;
    const struct page_request question = {
        .method = request->method,
        .path = path.n > 0 ? path : SPAN("/"),
        .query = {conn->head + request->query.at, request->query.n},
        .connection = conn->is_last ? PAGE_CLOSE : PAGE_KEEP_ALIVE,
    };
    conn_answer(conn, page_answer(&conn->admin->source, &question, &conn->answer));
}

/* Looks for a whole request in what has arrived. */
static void conn_parse(struct conn *conn)
{
    static const struct h1_limits limits = {HEAD_BYTES, HEAD_BYTES, MAX_FIELDS};
    switch (h1_request_parse(&conn->request, &limits, conn->head, conn->n)) {
    case H1_DONE:
        answer_request(conn);
        break;
    case H1_ERROR:
        conn->is_last = true;
        conn_answer(conn, page_refuse(conn->request.reason, &conn->answer));
        break;
    default:
        if (conn->n == sizeof conn->head) {
            conn->is_last = true;
            conn_answer(conn, page_refuse(REASON_HEAD_TOO_LARGE, &conn->answer));
        }
    }
}

static void conn_drop_head(struct conn *conn, size_t n)
{
    conn->n -= n;
    memmove(conn->head, conn->head + n, conn->n);
}

static void conn_read(struct conn *conn)
{
    ssize_t n = recv(conn->fd, conn->head + conn->n, sizeof conn->head - conn->n, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(conn);
        return;
    }
    conn->n += (size_t)n;
    conn_drop_head(conn, h1_skip_empty_lines(conn->head, conn->n));
    conn_parse(conn);
}

/* The next request, which may be there already: it is answered in the next turn of the loop. */
static void conn_next(struct conn *conn)
{
    conn_drop_head(conn, conn->request.head_n);
    h1_request_init(&conn->request, conn->fields);
    conn_enter(conn, CONN_READS);
    conn_drop_head(conn, h1_skip_empty_lines(conn->head, conn->n));
    if (conn->n > 0)
        conn_parse(conn);
}

static void conn_write(struct conn *conn)
{
    ssize_t n = send(conn->fd, conn->answer.bytes + conn->written, conn->answer.n - conn->written,
                     MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        conn_close(conn);
        return;
    }
    conn->written += (size_t)n;
    if (conn->written < conn->answer.n)
        return;
    free(conn->answer.bytes);
    conn->answer = (struct page_response){NULL, 0};
    if (conn->is_last) {
        shutdown(conn->fd, SHUT_WR);
        conn_enter(conn, CONN_LINGERS);
    } else {
        conn_next(conn);
    }
}

static void conn_linger(struct conn *conn)
{
    uint8_t unread[8192];
    ssize_t n = recv(conn->fd, unread, sizeof unread, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        conn_close(conn);
}

static void on_io(struct ev_loop *loop, struct ev_io *io, int events)
{
    struct conn *conn = io->data;
    (void)loop;
    (void)events;
    if (conn->state == CONN_READS)
        conn_read(conn);
    else if (conn->state == CONN_WRITES)
        conn_write(conn);
    else
        conn_linger(conn);
}

static void on_deadline(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct conn *conn = timer->data;
    (void)loop;
    (void)events;
    if (conn->state == CONN_WRITES) {
        /* A reset: else the kernel would go on offering the client what it does not take. */
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
    conn_close(conn);
}

/* Takes the descriptor. */
static void conn_open(struct admin *admin, int fd)
{
    struct conn *conn = malloc(sizeof *conn);
    if (conn == NULL) {
        close(fd);
        return;
    }
    if (admin->n_conns == MAX_CONNS)
        conn_close(TAILQ_FIRST(&admin->conns));
    conn->admin = admin;
    conn->fd = fd;
    conn->answer = (struct page_response){NULL, 0};
    conn->is_last = false;
    conn->n = 0;
    h1_request_init(&conn->request, conn->fields);
    ev_io_init(&conn->io, on_io, fd, EV_READ);
    ev_timer_init(&conn->deadline, on_deadline, 0, 0);
    conn->io.data = conn->deadline.data = conn;
    TAILQ_INSERT_TAIL(&admin->conns, conn, link);
    admin->n_conns++;
    conn_enter(conn, CONN_READS);
}

static void on_accept(struct ev_loop *loop, struct ev_io *io, int events)
{
    struct admin *admin = io->data;
    (void)events;
    int fd = accept4(admin->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        conn_open(admin, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        ev_io_stop(loop, &admin->accept); /* it stays readable: do not spin */
        ev_timer_again(loop, &admin->pause);
    }
}

static void on_pause_over(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct admin *admin = timer->data;
    (void)events;
    ev_timer_stop(loop, timer);
    ev_io_start(loop, &admin->accept);
}

/* The address to listen on; NULL as host: all, IPv4 ones as mapped addresses. */
static int address_of(const struct conf_listener *conf, struct sockaddr_storage *ret_address,
                      socklen_t *ret_n)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    memset(ret_address, 0, sizeof *ret_address);
    if (conf->host == NULL || inet_pton(AF_INET6, conf->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6; /* the zeroed address is the one that means all */
        v6->sin6_port = htons(conf->port);
        *ret_n = sizeof *v6;
        return 0;
    }
    if (inet_pton(AF_INET, conf->host, &v4->sin_addr) != 1)
        return -EINVAL;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(conf->port);
    *ret_n = sizeof *v4;
    return 0;
}

static int open_socket(sa_family_t family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static int bind_listener(int fd, const struct conf_listener *conf,
                         const struct sockaddr_storage *address, socklen_t n)
{
    int one = 1, v6_only = conf->host != NULL;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
    if (bind(fd, (const struct sockaddr *)address, n) != 0 || listen(fd, SOMAXCONN) != 0)
        return -errno;
    return 0;
}

static int open_listener(const struct conf_listener *conf)
{
    struct sockaddr_storage address;
    socklen_t n;
    int error = address_of(conf, &address, &n);
    if (error != 0)
        return error;
    int fd = open_socket(address.ss_family);
    if (fd == -EAFNOSUPPORT && conf->host == NULL) { /* a kernel without IPv6 */
        static char any[] = "0.0.0.0";
        return open_listener(
            &(struct conf_listener){.host = any, .port = conf->port, .backlog = conf->backlog});
    }
    if (fd < 0)
        return fd;
    error = bind_listener(fd, conf, &address, n);
    if (error == 0)
        return fd;
    close(fd);
    return error;
}

int admin_start(struct ev_loop *loop, const struct conf_listener *conf,
                const struct admin_source *source, struct admin **ret_admin)
{
    struct admin *admin = malloc(sizeof *admin);
    if (admin == NULL)
        return -ENOMEM;
    int fd = open_listener(conf);
    if (fd < 0) {
        free(admin);
        return fd;
    }
    *admin = (struct admin){.loop = loop, .source = *source, .fd = fd};
    if (admin->source.patience_s <= 0)
        admin->source.patience_s = patience_s;
    TAILQ_INIT(&admin->conns);
    ev_io_init(&admin->accept, on_accept, fd, EV_READ);
    ev_timer_init(&admin->pause, on_pause_over, 0, pause_s);
    admin->accept.data = admin->pause.data = admin;
    ev_io_start(loop, &admin->accept);
    *ret_admin = admin;
    return 0;
}

uint16_t admin_port(const struct admin *admin)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {0}};
    socklen_t n = sizeof address;
    int result = getsockname(admin->fd, &address.any, &n);
    assert(result == 0);
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

void admin_stop(struct admin *admin)
{
    if (admin == NULL)
        return;
    ev_io_stop(admin->loop, &admin->accept);
    ev_timer_stop(admin->loop, &admin->pause);
    while (admin->n_conns > 0) /* the analyzer does not see that conn_close() unlinks */
        conn_close(TAILQ_FIRST(&admin->conns)); /* NOLINT(clang-analyzer-unix.Malloc) */
    close(admin->fd);
    free(admin);
}
