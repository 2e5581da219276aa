/*
 * The bench's floor: what a proxy in user space costs at the very least.
 *
 *     bench_floor PORT ORIGIN_PORT [splice]
 *
 * A shuttle of bytes on one epoll set: each client's connection has one of its own to the origin,
 * and what either side sends is written to the other at once. It reads no HTTP, so it parses,
 * checks, chooses, adds and counts nothing. With `splice` the bytes go through a pipe in the kernel
 * instead of a buffer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, BUFFER_BYTES = 256 * 1024, PIPE_BYTES = 1024 * 1024 };

/* One end; what it has read waits for the other in `waiting`, or in the pipe. */
struct end {
    int fd;
    struct end *other;
    char *waiting;
    size_t at, n;
    int pipe[2];
    bool wants_room, read_ended, is_closed;
};

static int epoll_fd;
static struct sockaddr_in origin;
static bool is_splicing;
static char shared_buffer[BUFFER_BYTES];
static struct end *dead[2 * MAX_EVENTS];
static size_t n_dead;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct end *end, int operation)
{
    struct epoll_event event = {.data.ptr = end};
    event.events = EPOLLIN | (end->wants_room ? EPOLLOUT : 0U);
    if (epoll_ctl(epoll_fd, operation, end->fd, &event) != 0)
        die("epoll_ctl");
}

static void close_pair(struct end *end)
{
    for (int i = 0; i < 2; i++, end = end->other) {
        if (end->is_closed)
            continue;
        end->is_closed = true;
        close(end->fd);
        if (is_splicing) {
            close(end->pipe[0]);
            close(end->pipe[1]);
        }
        dead[n_dead++] = end; /* its event may still wait in this turn's batch */
    }
}

static void set_wants_room(struct end *end, bool wants_room)
{
    if (end->wants_room == wants_room)
        return;
    end->wants_room = wants_room;
    watch(end, EPOLL_CTL_MOD);
}

/* Writes n bytes that `from` has read; keeps what the other does not take. */
static void pass_on(struct end *from, const char *bytes, size_t n)
{
    ssize_t written = send(from->other->fd, bytes, n, MSG_NOSIGNAL);
    if (written < 0 && errno != EAGAIN) {
        close_pair(from);
        return;
    }
    size_t taken = written > 0 ? (size_t)written : 0;
    if (taken < n) {
        from->waiting = malloc(n - taken);
        if (from->waiting == NULL)
            die("malloc");
        memcpy(from->waiting, bytes + taken, n - taken);
        from->at = 0;
        from->n = n - taken;
    }
    set_wants_room(from->other, taken < n);
}

static void shuttle(struct end *from)
{
    if (from->n > 0)
        return; /* the other does not keep up: leave it in the kernel */
    ssize_t n = recv(from->fd, shared_buffer, sizeof(shared_buffer), 0);
    if (n > 0)
        pass_on(from, shared_buffer, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        close_pair(from);
}

/* The pipe's bytes go on to the other end. */
static void drain_pipe(struct end *from)
{
    while (from->n > 0) {
        ssize_t n = splice(from->pipe[0], NULL, from->other->fd, NULL, from->n,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n <= 0)
            break;
        from->n -= (size_t)n;
    }
    set_wants_room(from->other, from->n > 0);
}

static void shuttle_by_pipe(struct end *from)
{
    if (from->n > 0)
        return;
    ssize_t n =
        splice(from->fd, NULL, from->pipe[1], NULL, PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close_pair(from);
    } else if (n > 0) {
        from->n = (size_t)n;
        drain_pipe(from);
    }
}

/* end has room again for what its other has read. */
static void flush(struct end *end)
{
    struct end *from = end->other;
    if (is_splicing) {
        drain_pipe(from);
        return;
    }
    char *bytes = from->waiting;
    size_t n = from->n;
    from->waiting = NULL;
    from->n = 0;
    if (bytes != NULL)
        pass_on(from, bytes, n);
    free(bytes);
}

static struct end *end_new(int fd)
{
    struct end *end = calloc(1, sizeof(*end));
    if (end == NULL)
        die("calloc");
    end->fd = fd;
    if (is_splicing) {
        if (pipe2(end->pipe, O_NONBLOCK) != 0)
            die("pipe2");
        (void)fcntl(end->pipe[0], F_SETPIPE_SZ, PIPE_BYTES);
    }
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return end;
}

static void accept_one(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return;
    int up = socket(AF_INET, SOCK_STREAM, 0);
    if (up < 0 || connect(up, (struct sockaddr *)&origin, sizeof(origin)) != 0)
        die("origin");
    (void)fcntl(up, F_SETFL, O_NONBLOCK);
    struct end *client = end_new(fd);
    struct end *server = end_new(up);
    client->other = server;
    server->other = client;
    watch(client, EPOLL_CTL_ADD);
    watch(server, EPOLL_CTL_ADD);
}

static int listen_at(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 4096) != 0)
        die("listen");
    return fd;
}

static void serve(int listener)
{
    struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
    for (int i = 0; i < n; i++) {
        struct end *end = events[i].data.ptr;
        if (end == NULL) {
            accept_one(listener);
            continue;
        }
        if (!end->is_closed && (events[i].events & EPOLLOUT))
            flush(end);
        if (!end->is_closed && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
            is_splicing ? shuttle_by_pipe(end) : shuttle(end);
    }
    while (n_dead > 0) {
        free(dead[--n_dead]->waiting);
        free(dead[n_dead]);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_floor PORT ORIGIN_PORT [splice]\n");
        return 2;
    }
    is_splicing = argc > 3 && strcmp(argv[3], "splice") == 0;
    origin = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtol(argv[2], NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)signal(SIGPIPE, SIG_IGN); /* splice() has no MSG_NOSIGNAL */
    int listener = listen_at((int)strtol(argv[1], NULL, 10));
    epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) != 0)
        die("epoll");
    for (;;)
        serve(listener);
}
