#include "balancer/proxy/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/pool/endpoint.h"
#include "balancer/proxy/conn.h"
#include "balancer/proxy/worker.h"

int dial_socket(const struct endpoint *endpoint, int *ret_fd)
{
    int fd = socket(endpoint->sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&endpoint->sockaddr, endpoint->sockaddr_len) != 0 &&
        errno != EINPROGRESS) {
        int error = errno;
        (void)close(fd);
        return -error;
    }
    *ret_fd = fd;
    return 0;
}

int dial_tls(struct conn *conn, const struct conf_pool *pool, struct endpoint *endpoint,
             enum outbound_protocols protocols)
{
    const struct worker *worker = conn->worker;
    const struct proxy *proxy = worker->proxy;
    if (!pool->tls.is_on)
        return 0;
    SSL *session = outbound_open(proxy->outbound[pool - proxy->conf->pools], endpoint->address,
                                 protocols, &endpoint->locals[worker->index].tls_session);
    if (session == NULL)
        return -ENOMEM;
    transport_start_tls(conn, session, NULL);
    return 0;
}
