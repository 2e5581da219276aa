/*
 * What the caches of run.py fetch from: answers every GET with 1 KiB, after a while.
 *
 *     cache_origin LOW_MS HIGH_MS     prints the port that the kernel has picked
 *
 * How long it takes is drawn evenly between the two for each request. One request at a time on a
 * connection, which stays open.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/sim/draw.h"

enum { HEAD_BYTES = 8192, BODY_BYTES = 1024 };

struct connection {
    ev_io io;
    ev_timer delay;
    size_t n_in;
    char in[HEAD_BYTES];
};

static double low_ms, high_ms;
static struct draws draws;
static char answer[256 + BODY_BYTES];
static size_t answer_n;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void close_connection(struct ev_loop *loop, struct connection *c)
{
    ev_io_stop(loop, &c->io);
    ev_timer_stop(loop, &c->delay);
    (void)close(c->io.fd);
    free(c);
}

static void on_delay_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct connection *c = timer->data;
    /* It fits into any socket buffer. */
    if (send(c->io.fd, answer, answer_n, MSG_NOSIGNAL) != (ssize_t)answer_n) {
        close_connection(loop, c);
        return;
    }
    c->n_in = 0;
    ev_io_start(loop, &c->io);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    struct connection *c = io->data;
    ssize_t n = recv(io->fd, c->in + c->n_in, sizeof c->in - c->n_in, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        close_connection(loop, c);
        return;
    }
    c->n_in += (size_t)n;
    if (memmem(c->in, c->n_in, "\r\n\r\n", 4) == NULL)
        return;
    ev_io_stop(loop, io);
    ev_timer_set(&c->delay, draw_between(&draws, low_ms, high_ms) / 1e3, 0);
    ev_timer_start(loop, &c->delay);
}

static void on_acceptable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    int fd, on = 1;
    while ((fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        if (c == NULL)
            die("calloc");
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ev_io_init(&c->io, on_readable, fd, EV_READ);
        ev_timer_init(&c->delay, on_delay_over, 0, 0);
        c->io.data = c->delay.data = c;
        ev_io_start(loop, &c->io);
    }
}

static int open_listener(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, n) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &n) < 0)
        die("listen");
    printf("%u\n", (unsigned)ntohs(address.sin_port));
    (void)fflush(stdout);
    return fd;
}

static void make_answer(void)
{
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                     "Cache-Control: max-age=3600\r\nContent-Length: %d\r\n\r\n",
                     BODY_BYTES);
    memset(answer + n, 'x', BODY_BYTES);
    answer_n = (size_t)n + BODY_BYTES;
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        low_ms = strtod(argv[1], NULL);
        high_ms = strtod(argv[2], NULL);
    }
    if (argc != 3 || !(low_ms >= 0 && high_ms >= low_ms)) {
        (void)fprintf(stderr, "usage: cache_origin LOW_MS HIGH_MS\n");
        return 2;
    }
    draws = draws_of(1, 0);
    make_answer();
    struct ev_loop *loop = ev_default_loop(0);
    ev_io listener;
    ev_io_init(&listener, on_acceptable, open_listener(), EV_READ);
    ev_io_start(loop, &listener);
    ev_run(loop, 0);
}
