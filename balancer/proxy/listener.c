#include "balancer/proxy/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/log/log.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/worker.h"

/* A batch bounds how long a burst of connections keeps the others waiting. */
#define ACCEPT_BATCH 64
#define PAUSE_S 0.1
/* The kernel counts in answers to the SYN that it sends once more: this is one of them. */
#define DEFER_S 1

static socklen_t listener_address(const struct conf_listener *conf, int family,
                                  struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(conf->port);
        in6->sin6_addr = in6addr_any;
        if (conf->host != NULL)
            (void)inet_pton(AF_INET6, conf->host, &in6->sin6_addr);
        return sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)ret;
    in->sin_family = AF_INET;
    in->sin_port = htons(conf->port);
    in->sin_addr.s_addr = htonl(INADDR_ANY);
    if (conf->host != NULL)
        (void)inet_pton(AF_INET, conf->host, &in->sin_addr);
    return sizeof *in;
}

static int set_options(int fd, int family)
{
    const int on = 1, off = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        /* Accepted sockets inherit it: one call here instead of one a connection. */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return -errno;
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0)
        return -errno;
    return 0;
}

/* With SO_REUSEPORT from before bind() the address may be another socket's already. Set afterwards
 * it lets those come that are opened later; the kernel looks at both only when an address is bound
 * or listened on. */
static int bind_and_listen(int fd, const struct sockaddr_storage *address, socklen_t n,
                           enum listener_sharing sharing, const struct conf_listener *conf)
{
    const int on = 1, defer_s = DEFER_S;
    if (sharing == LISTENER_SHARED && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)address, n) != 0)
        return -errno;
    if (sharing == LISTENER_ALONE && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        return -errno;
    if (conf->defer_accept &&
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer_s, sizeof defer_s) != 0)
        return -errno;
    return listen(fd, (int)conf->backlog) != 0 ? -errno : 0;
}

static int open_family(const struct conf_listener *conf, enum listener_sharing sharing, int family,
                       int *ret_fd)
{
    struct sockaddr_storage address;
    socklen_t n = listener_address(conf, family, &address);
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = set_options(fd, family);
    if (rc == 0)
        rc = bind_and_listen(fd, &address, n, sharing, conf);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int listener_open(const struct conf_listener *conf, enum listener_sharing sharing, int *ret_fd)
{
    bool is_v4 = conf->host != NULL && strchr(conf->host, ':') == NULL;
    if (is_v4)
        return open_family(conf, sharing, AF_INET, ret_fd);
    int rc = open_family(conf, sharing, AF_INET6, ret_fd);
    /* Without IPv6 in the kernel "all addresses" still means those of IPv4. */
    if (conf->host == NULL && (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL))
        rc = open_family(conf, sharing, AF_INET, ret_fd);
    return rc;
}

void listener_limit_sending(int fd, uint32_t timeout_ms)
{
    /* Without it the kernel gives up by itself, some minutes later. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void pause_accepting(struct listener *listener)
{
    ev_io_stop(listener->worker->loop, &listener->io);
    ev_timer_again(listener->worker->loop, &listener->pause);
}

/* Out of descriptors: the connection is taken and closed at once with the reserved one, so that
 * its client hears of it, and accepting rests until others may have closed. */
static void shed(struct listener *listener)
{
    struct worker *worker = listener->worker;
    if (listener->reserve >= 0) {
        (void)close(listener->reserve);
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            (void)close(fd);
            worker_refuse(worker, REASON_NO_DESCRIPTORS, NULL);
        }
        listener->reserve = open_reserve();
    }
    pause_accepting(listener);
}

/* Returns false when no more connections wait, or none can be taken. */
static bool accept_one(struct listener *listener)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;
    int fd = accept4(listener->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        client_accept(listener->worker, listener, fd, &peer);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        shed(listener);
        return false;
    }
    /* The others are errors of the one connection (ECONNABORTED, EPROTO, …): see accept(2). */
    return errno != EAGAIN && errno != EBADF && errno != EINVAL;
}

static void on_accept(struct ev_loop *loop, struct ev_io *io, int revents)
{
    (void)loop, (void)revents;
    struct listener *listener = io->data;
    if (!buffer_pool_allows(&listener->worker->buffers, BUFFER_FOR_REQUEST)) {
        pause_accepting(listener); /* they may as well wait in the kernel */
        return;
    }
    for (int i = 0; i < ACCEPT_BATCH && accept_one(listener); i++)
        ;
}

static void on_pause_over(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)revents;
    struct listener *listener = timer->data;
    ev_timer_stop(loop, timer);
    if (listener->reserve < 0)
        listener->reserve = open_reserve();
    if (listener->fd >= 0)
        ev_io_start(loop, &listener->io);
}

void listener_start(struct listener *listener, struct worker *worker,
                    const struct conf_listener *conf, int fd)
{
    *listener = (struct listener){.worker = worker,
                                  .index = (uint32_t)(conf - worker->proxy->conf->listeners),
                                  .fd = fd,
                                  .port = conf->port,
                                  .speaks_h2 = conf->http2 == CONF_HTTP2_ON ||
                                               conf->http2 == CONF_HTTP2_ONLY,
                                  .speaks_h1 = conf->http2 != CONF_HTTP2_ONLY,
                                  .expects_proxy = conf->proxy_protocol,
                                  .reserve = open_reserve()};
    ev_io_init(&listener->io, on_accept, fd, EV_READ);
    listener->io.data = listener;
    ev_init(&listener->pause, on_pause_over);
    listener->pause.repeat = PAUSE_S;
    listener->pause.data = listener;
    ev_io_start(worker->loop, &listener->io);
}

void listener_drain(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    /* Connections that the kernel has completed would be reset by close(). */
    for (int i = 0; i < SOMAXCONN && accept_one(listener); i++)
        ;
    listener_close(listener);
}

void listener_close(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    ev_io_stop(listener->worker->loop, &listener->io);
    ev_timer_stop(listener->worker->loop, &listener->pause);
    (void)close(listener->fd);
    if (listener->reserve >= 0)
        (void)close(listener->reserve);
    listener->fd = listener->reserve = -1;
}
