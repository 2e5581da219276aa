/*
 * The bench's origin: answers /small, /64k and /1m from memory, and must never be the limit.
 * /tunnel switches protocols (as to WebSocket, with RFC 6455's example key) and then echoes every
 * byte.
 *
 *     bench_origin PORT        (0: the kernel picks one; the port is printed on standard output)
 *
 * One thread, one epoll set, one buffer a connection, one send() a response; nothing is allocated
 * per request. It understands as much HTTP as proxies send: bodies with a Content-Length (read
 * whole before the answer), keep-alive, pipelining, Connection: close. Everything else is answered
 * with 400.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 65536, MAX_EVENTS = 256, HEAD_BYTES = 8192, SCRATCH_BYTES = 256 * 1024 };

struct response {
    const char *target;
    size_t body_bytes;
    bool is_tunnel;
    char *bytes; /* head and body */
    size_t n;
};

static struct response responses[] = {
    {.target = "/small", .body_bytes = 100},
    {.target = "/64k", .body_bytes = 65536},
    {.target = "/1m", .body_bytes = 1048576},
    {.target = "/tunnel", .is_tunnel = true},
};
enum { N_RESPONSES = sizeof(responses) / sizeof(responses[0]) };

static const char bad_request[] = "HTTP/1.1 400 Bad Request\r\n"
                                  "Content-Length: 0\r\nConnection: close\r\n\r\n";

/* RFC 6455 section 1.3: the answer to the key dGhlIHNhbXBsZSBub25jZQ==. */
static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct connection {
    char in[HEAD_BYTES];
    size_t n_in;
    size_t body_left; /* of the request's body; the answer waits for its end */
    const char *out;  /* what is left of the response under way */
    size_t n_out;
    bool close_after;
    bool waits_for_room; /* registered for EPOLLOUT instead of EPOLLIN */
    bool is_tunnel;
};

static struct connection *connections[MAX_FDS]; /* by descriptor; kept for the next one */
static char scratch[SCRATCH_BYTES];             /* where bodies go */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void make_response(struct response *response)
{
    char head[256];
    int n = response->is_tunnel
                ? snprintf(head, sizeof(head), "%s", switching)
                : snprintf(head, sizeof(head),
                           "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\n"
                           "Content-Length: %zu\r\n\r\n",
                           response->body_bytes);
    response->n = (size_t)n + response->body_bytes;
    response->bytes = malloc(response->n);
    if (response->bytes == NULL)
        die("malloc");
    memcpy(response->bytes, head, (size_t)n);
    memset(response->bytes + n, 'x', response->body_bytes);
}

static int open_listener(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t n = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&address, n) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &n) < 0)
        die("listen");
    printf("%u\n", (unsigned)ntohs(address.sin_port));
    (void)fflush(stdout);
    return fd;
}

static void watch(int epoll_fd, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll_fd, operation, fd, &event) < 0)
        die("epoll_ctl");
}

static void start(struct connection *c)
{
    c->n_in = c->n_out = c->body_left = 0;
    c->close_after = c->waits_for_room = c->is_tunnel = false;
}

static void accept_all(int epoll_fd, int listener)
{
    int on = 1;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (fd >= MAX_FDS) {
            (void)close(fd);
            continue;
        }
        if (connections[fd] == NULL && (connections[fd] = malloc(sizeof(*connections[fd]))) == NULL)
            die("malloc");
        start(connections[fd]);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        watch(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

/*
 * The value of a field, or NULL. The head ends in an empty line, which also ends the value; name is
 * all before the value: "\r\ncontent-length: ".
 */
static const char *find_field(const char *head, size_t n, const char *name)
{
    size_t name_bytes = strlen(name);
    const char *line = memchr(head, '\r', n);

    while (line != NULL && (size_t)(line - head) + name_bytes < n) {
        if (strncasecmp(line, name, name_bytes) == 0)
            return line + name_bytes;
        line = memchr(line + 1, '\r', n - (size_t)(line + 1 - head));
    }
    return NULL;
}

/* The response for a request line, or NULL. */
static const struct response *find_response(const char *head, size_t n)
{
    const char *space = memchr(head, ' ', n);
    if (space == NULL)
        return NULL;
    const char *target = space + 1;
    for (size_t i = 0; i < N_RESPONSES; i++) {
        size_t target_bytes = strlen(responses[i].target);
        if ((size_t)(target - head) + target_bytes < n &&
            memcmp(target, responses[i].target, target_bytes) == 0 &&
            (target[target_bytes] == ' ' || target[target_bytes] == '?'))
            return &responses[i];
    }
    return NULL;
}

/* Chooses the answer to the request in head. */
static void answer(struct connection *c, const char *head, size_t n)
{
    const struct response *response = find_response(head, n);
    const char *length = find_field(head, n, "\r\ncontent-length: ");

    c->body_left = length != NULL ? strtoul(length, NULL, 10) : 0;
    if (response == NULL || find_field(head, n, "\r\ntransfer-encoding: ") != NULL) {
        c->out = bad_request;
        c->n_out = sizeof(bad_request) - 1;
        c->close_after = true;
        return;
    }
    c->out = response->bytes;
    c->n_out = response->n;
    c->is_tunnel = response->is_tunnel;
    const char *connection = find_field(head, n, "\r\nconnection: ");
    c->close_after = connection != NULL && strncasecmp(connection, "close", 5) == 0;
}

static void drop_in(struct connection *c, size_t n)
{
    memmove(c->in, c->in + n, c->n_in - n);
    c->n_in -= n;
}

/* Takes one request off the buffer. Returns false if there is no whole head. */
static bool take_request(struct connection *c)
{
    const char *end = memmem(c->in, c->n_in, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    size_t n = (size_t)(end - c->in) + 4;
    answer(c, c->in, n);
    drop_in(c, n);
    size_t body = c->n_in < c->body_left ? c->n_in : c->body_left;
    drop_in(c, body);
    c->body_left -= body;
    return true;
}

/* Sends what is left. Returns 1 when all is gone, 0 when the socket is full, -1 to close. */
static int flush_out(int fd, struct connection *c)
{
    while (c->n_out > 0) {
        ssize_t n = send(fd, c->out, c->n_out, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        c->out += n;
        c->n_out -= (size_t)n;
    }
    return c->close_after ? -1 : 1;
}

/* What recv() has returned: -1 to close, else the number of bytes. */
static ssize_t received(ssize_t n)
{
    if (n < 0 && errno == EAGAIN)
        return 0;
    return n <= 0 ? -1 : n;
}

/* Returns -1 to close. */
static int fill_in(int fd, struct connection *c)
{
    ssize_t n = received(recv(fd, c->in + c->n_in, sizeof(c->in) - c->n_in, 0));
    if (n < 0)
        return -1;
    c->n_in += (size_t)n;
    return 0;
}

/* Returns -1 to close. */
static int skip_body(int fd, struct connection *c)
{
    size_t room = c->body_left < sizeof(scratch) ? c->body_left : sizeof(scratch);
    ssize_t n = received(recv(fd, scratch, room, 0));
    if (n < 0)
        return -1;
    c->body_left -= (size_t)n;
    return 0;
}

/* Messages in tunnels are short and wait for their echo: they fit. Returns -1 to close. */
static int echo(int fd)
{
    ssize_t n = received(recv(fd, scratch, sizeof(scratch), 0));
    if (n < 0)
        return -1;
    return n == 0 || send(fd, scratch, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -1;
}

static void set_waits_for_room(int epoll_fd, int fd, struct connection *c, bool waits)
{
    if (c->waits_for_room != waits)
        watch(epoll_fd, EPOLL_CTL_MOD, fd, waits ? EPOLLOUT : EPOLLIN);
    c->waits_for_room = waits;
}

/* Answers all that can be answered now. Returns -1 to close. */
static int answer_all(int epoll_fd, int fd, struct connection *c)
{
    while (c->body_left == 0) {
        int done = flush_out(fd, c);
        if (done <= 0) {
            set_waits_for_room(epoll_fd, fd, c, true);
            return done;
        }
        if (!take_request(c))
            break;
    }
    set_waits_for_room(epoll_fd, fd, c, false);
    return c->n_in < sizeof(c->in) ? 0 : -1;
}

/* Returns -1 to close. */
static int serve(int epoll_fd, int fd, struct connection *c)
{
    if (!c->waits_for_room) {
        if (c->is_tunnel && c->n_out == 0)
            return echo(fd);
        if ((c->body_left > 0 ? skip_body(fd, c) : fill_in(fd, c)) < 0)
            return -1;
    }
    return answer_all(epoll_fd, fd, c);
}

static void run(int epoll_fd, int listener)
{
    struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(epoll_fd, listener);
            else if (serve(epoll_fd, fd, connections[fd]) < 0)
                (void)close(fd);
        }
    }
}

int main(int argc, char **argv)
{
    char *end = NULL;
    unsigned long port = argc == 2 ? strtoul(argv[1], &end, 10) : UINT16_MAX + 1UL;
    if (port > UINT16_MAX || end == argv[1] || *end != '\0') {
        (void)fprintf(stderr, "usage: bench_origin PORT\n");
        return 2;
    }
    for (size_t i = 0; i < N_RESPONSES; i++)
        make_response(&responses[i]);
    int listener = open_listener((uint16_t)port);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1");
    watch(epoll_fd, EPOLL_CTL_ADD, listener, EPOLLIN);
    run(epoll_fd, listener);
}
