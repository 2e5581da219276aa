#include "balancer/cli/demo_origin.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/cli/loopback.h"
#include "balancer/http/h1.h"

#define MAX_CONNECTIONS 128
#define MAX_PATHS 1024
#define BUFFER_BYTES 16384
#define MAX_PATH 128 /* as much of a path as is counted and shown */
#define SEND_TIMEOUT_S 5

static const struct h1_limits limits = {
    .head_bytes = BUFFER_BYTES, .target_bytes = 8192, .fields = 100};

/* What comes next on a connection. */
enum expects { EXPECTS_HEAD, EXPECTS_BODY, EXPECTS_TRAILERS };

struct connection {
    int fd;
    enum expects expects;
    uint8_t buffer[BUFFER_BYTES];
    size_t n; /* bytes in it, the first one that is not used up at its start */
    struct h1_request request;
    struct h1_field fields[H1_MAX_FIELDS]; /* of the request, then of its trailers */
    struct h1_body body;
    struct h1_trailers trailers;
    char path[MAX_PATH]; /* of the request whose body is being read */
};

struct path_count {
    char path[MAX_PATH];
    unsigned n;
};

struct demo_origin {
    char name[32];
    uint16_t port;
    int listener;
    int stop; /* an eventfd */
    pthread_t thread;
    size_t n_connections;
    struct connection *connections[MAX_CONNECTIONS];
    size_t n_paths;
    struct path_count paths[MAX_PATHS];
};

/* ---- answers */

/* How often path has been asked for, this time included; 0 when it is not counted. */
static unsigned count_path(struct demo_origin *origin, const char *path)
{
    size_t i = 0;
    while (i < origin->n_paths && strcmp(origin->paths[i].path, path) != 0)
        i++;
    if (i == MAX_PATHS)
        return 0;
    if (i == origin->n_paths) {
        origin->n_paths++;
        snprintf(origin->paths[i].path, MAX_PATH, "%s", path);
    }
    return ++origin->paths[i].n;
}

static int send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -errno;
        bytes += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* Returns 0 when the connection goes on. */
static int answer(struct demo_origin *origin, struct connection *connection)
{
    const struct h1_request *request = &connection->request;
    bool is_last = !request->framing.keep_alive;
    char body[MAX_PATH + 96];
    char text[sizeof(body) + 256];
    int n_body = snprintf(body, sizeof(body), "%s answers %s; times it has seen this path: %u\n",
                          origin->name, connection->path, count_path(origin, connection->path));
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                     "X-Origin: %s\r\n%s\r\n%s",
                     n_body, origin->name, is_last ? "Connection: close\r\n" : "",
                     request->method == H1_HEAD ? "" : body);
    int error = send_all(connection->fd, text, (size_t)n);
    connection->expects = EXPECTS_HEAD;
    h1_request_init(&connection->request, connection->fields);
    return error == 0 && is_last ? -ECONNRESET : error;
}

/* ---- requests */

static void drop(struct connection *connection, size_t n)
{
    connection->n -= n;
    memmove(connection->buffer, connection->buffer + n, connection->n);
}

/* A step returns 0 to go on, -EAGAIN when more bytes are needed, else an error. */
static int read_head(struct connection *connection)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct h1_request *request = &connection->request;
    if (request->lines.at == 0)
        drop(connection, h1_skip_empty_lines(connection->buffer, connection->n));
    enum h1_status status = h1_request_parse(request, &limits, connection->buffer, connection->n);
    if (status == H1_ERROR)
        return -EBADMSG;
    if (status != H1_DONE)
        return connection->n == BUFFER_BYTES ? -EMSGSIZE : -EAGAIN;
    snprintf(connection->path, MAX_PATH, "%.*s", (int)request->path.n,
             (const char *)connection->buffer + request->path.at);
    drop(connection, request->head_n);
    h1_body_init(&connection->body, &request->framing, REASON_BAD_REQUEST);
    connection->expects = EXPECTS_BODY;
    return request->expects_continue ? send_all(connection->fd, go_on, strlen(go_on)) : 0;
}

static int read_body(struct demo_origin *origin, struct connection *connection)
{
    struct h1_run run;
    enum h1_status status =
        h1_body_next(&connection->body, connection->buffer, connection->n, &run);
    drop(connection, run.skip);
    switch (status) {
    case H1_DATA:
        h1_body_take(&connection->body, run.n);
        drop(connection, run.n);
        return 0;
    case H1_TRAILERS:
        h1_trailers_init(&connection->trailers, connection->fields);
        connection->expects = EXPECTS_TRAILERS;
        return 0;
    case H1_DONE:
        return answer(origin, connection);
    case H1_MORE:
        return connection->n == BUFFER_BYTES ? -EMSGSIZE : -EAGAIN;
    case H1_ERROR:
    default:
        return -EBADMSG;
    }
}

static int read_trailers(struct demo_origin *origin, struct connection *connection)
{
    enum h1_status status = h1_trailers_parse(&connection->trailers, &limits, REASON_BAD_REQUEST,
                                              connection->buffer, connection->n);
    if (status == H1_ERROR)
        return -EBADMSG;
    if (status != H1_DONE)
        return connection->n == BUFFER_BYTES ? -EMSGSIZE : -EAGAIN;
    drop(connection, connection->trailers.total_n);
    return answer(origin, connection);
}

static int step(struct demo_origin *origin, struct connection *connection)
{
    switch (connection->expects) {
    case EXPECTS_HEAD:
        return read_head(connection);
    case EXPECTS_BODY:
        return read_body(origin, connection);
    case EXPECTS_TRAILERS:
    default:
        return read_trailers(origin, connection);
    }
}

/* Takes what has come. Returns 0 while the connection goes on. */
static int serve_connection(struct demo_origin *origin, struct connection *connection)
{
    ssize_t n = recv(connection->fd, connection->buffer + connection->n,
                     BUFFER_BYTES - connection->n, MSG_DONTWAIT);
    if (n == 0)
        return -ECONNRESET;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    connection->n += (size_t)n;
    int error = 0;
    while (error == 0)
        error = step(origin, connection);
    return error == -EAGAIN ? 0 : error;
}

/* ---- the loop */

static void accept_connection(struct demo_origin *origin)
{
    int fd = accept4(origin->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        close(fd);
        return;
    }
    const struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    connection->fd = fd;
    h1_request_init(&connection->request, connection->fields);
    origin->connections[origin->n_connections++] = connection;
}

static void close_connection(struct demo_origin *origin, size_t index)
{
    close(origin->connections[index]->fd);
    free(origin->connections[index]);
    origin->connections[index] = origin->connections[--origin->n_connections];
}

/* Waits and serves whoever is ready; false once stop has been asked for. */
static bool turn(struct demo_origin *origin)
{
    struct pollfd fds[MAX_CONNECTIONS + 2];
    size_t n = origin->n_connections;
    bool is_full = n == MAX_CONNECTIONS;
    for (size_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = origin->connections[i]->fd, .events = POLLIN};
    fds[n] = (struct pollfd){.fd = origin->stop, .events = POLLIN};
    fds[n + 1] = (struct pollfd){.fd = is_full ? -1 : origin->listener, .events = POLLIN};
    if (poll(fds, n + 2, -1) < 0)
        return errno == EINTR;
    if (fds[n].revents != 0)
        return false;
    /* From the last to the first: closing one moves only those that have had their turn. */
    for (size_t i = n; i-- > 0;) {
        if (fds[i].revents != 0 && serve_connection(origin, origin->connections[i]) != 0)
            close_connection(origin, i);
    }
    if (fds[n + 1].revents != 0)
        accept_connection(origin);
    return true;
}

static void *run(void *context)
{
    struct demo_origin *origin = context;
    while (turn(origin)) {
    }
    while (origin->n_connections > 0)
        close_connection(origin, origin->n_connections - 1);
    return NULL;
}

/* ---- start and stop */

/* Signals are for the balancer's control thread. */
static int start_thread(struct demo_origin *origin)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&origin->thread, NULL, run, origin);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

static int open_sockets(struct demo_origin *origin)
{
    int error = loopback_listen(0, &origin->listener, &origin->port);
    if (error != 0)
        return error;
    origin->stop = eventfd(0, EFD_CLOEXEC);
    if (origin->stop < 0) {
        error = -errno;
        close(origin->listener);
    }
    return error;
}

int demo_origin_start(const char *name, struct demo_origin **ret_origin)
{
    struct demo_origin *origin = calloc(1, sizeof(*origin));
    if (origin == NULL)
        return -ENOMEM;
    snprintf(origin->name, sizeof(origin->name), "%s", name);
    int error = open_sockets(origin);
    if (error == 0) {
        error = start_thread(origin);
        if (error != 0) {
            close(origin->listener);
            close(origin->stop);
        }
    }
    if (error != 0) {
        free(origin);
        return error;
    }
    *ret_origin = origin;
    return 0;
}

uint16_t demo_origin_port(const struct demo_origin *origin)
{
    return origin->port;
}

const char *demo_origin_name(const struct demo_origin *origin)
{
    return origin->name;
}

void demo_origin_stop(struct demo_origin *origin)
{
    if (origin == NULL)
        return;
    eventfd_write(origin->stop, 1);
    pthread_join(origin->thread, NULL);
    close(origin->listener);
    close(origin->stop);
    free(origin);
}
