/*
 * A server on loopback for probes, in a thread of the test. It treats each connection as it was
 * told to last, and counts them.
 */
#ifndef QUOIT_TESTS_PROBE_SERVER_H
#define QUOIT_TESTS_PROBE_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum manner {
    MANNER_ANSWER, /* the answer, then the end */
    MANNER_HOLD,   /* the answer, and the connection stays */
    MANNER_HANG,   /* no byte, the connection stays */
    MANNER_CLOSE,  /* the end instead of an answer */
    MANNER_DRIP,   /* the answer, a byte every 10 ms */
    MANNER_FLOOD,  /* the answer, then bytes for as long as they are taken */
};

enum { PEERS = 256, DRIP_MS = 10 };

struct probe_peer {
    int fd;
    size_t n, sent; /* bytes of the request, of a dripping answer */
    bool drips;
    char request[1024];
};

struct probe_server {
    struct sockaddr_storage address;
    socklen_t address_len;
    int listener, wake[2];
    pthread_t thread;
    size_t n_peers;
    struct probe_peer peers[PEERS];

    pthread_mutex_t lock; /* guards what follows */
    enum manner manner;
    const char *answer;
    unsigned n_accepted, max_open;
    size_t n_flooded; /* bytes of the last flood */
    char last_request[1024];
};

#define ANSWER_200 "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
#define ANSWER_503 "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

static inline void probe_server_set(struct probe_server *server, enum manner manner,
                                    const char *answer)
{
    pthread_mutex_lock(&server->lock);
    server->manner = manner;
    server->answer = answer;
    pthread_mutex_unlock(&server->lock);
}

static inline unsigned probe_server_accepted(struct probe_server *server)
{
    pthread_mutex_lock(&server->lock);
    unsigned n = server->n_accepted;
    pthread_mutex_unlock(&server->lock);
    return n;
}

static inline void probe_server_flood(struct probe_server *server, int fd)
{
    static const char zeros[16384];
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    size_t total = 0;
    for (ssize_t n = 1; n > 0 && total<100000000; total += n> 0 ? (size_t)n : 0)
        n = send(fd, zeros, sizeof zeros, MSG_NOSIGNAL);
    pthread_mutex_lock(&server->lock);
    server->n_flooded = total;
    pthread_mutex_unlock(&server->lock);
}

/* The request is complete. False: the connection is to be closed. */
static inline bool probe_server_treat(struct probe_server *server, struct probe_peer *peer)
{
    pthread_mutex_lock(&server->lock);
    enum manner manner = server->manner;
    const char *answer = server->answer;
    memcpy(server->last_request, peer->request, sizeof server->last_request);
    pthread_mutex_unlock(&server->lock);
    if (manner == MANNER_ANSWER || manner == MANNER_HOLD || manner == MANNER_FLOOD)
        (void)!send(peer->fd, answer, strlen(answer), MSG_NOSIGNAL);
    if (manner == MANNER_FLOOD)
        probe_server_flood(server, peer->fd);
    peer->drips = manner == MANNER_DRIP;
    return manner == MANNER_HANG || manner == MANNER_HOLD || manner == MANNER_DRIP;
}

static inline bool probe_server_read(struct probe_server *server, struct probe_peer *peer)
{
    ssize_t n = recv(peer->fd, peer->request + peer->n, sizeof peer->request - 1 - peer->n, 0);
    if (n <= 0)
        return false;
    peer->n += (size_t)n;
    peer->request[peer->n] = '\0';
    return strstr(peer->request, "\r\n\r\n") == NULL || probe_server_treat(server, peer);
}

static inline bool probe_server_drip(struct probe_server *server, struct probe_peer *peer)
{
    pthread_mutex_lock(&server->lock);
    const char *answer = server->answer;
    pthread_mutex_unlock(&server->lock);
    if (answer[peer->sent] == '\0')
        return false;
    return send(peer->fd, answer + peer->sent++, 1, MSG_NOSIGNAL) == 1;
}

static inline void probe_server_accept(struct probe_server *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || server->n_peers == PEERS)
        abort();
    server->peers[server->n_peers++] = (struct probe_peer){.fd = fd};
    pthread_mutex_lock(&server->lock);
    server->n_accepted++;
    if (server->n_peers > server->max_open)
        server->max_open = (unsigned)server->n_peers;
    pthread_mutex_unlock(&server->lock);
}

static inline void probe_server_serve(struct probe_server *server, const struct pollfd *fds)
{
    for (size_t i = server->n_peers; i-- > 0;) {
        struct probe_peer *peer = &server->peers[i];
        bool stays = true;
        if (fds[i].revents != 0)
            stays = probe_server_read(server, peer);
        if (stays && peer->drips)
            stays = probe_server_drip(server, peer);
        if (stays)
            continue;
        close(peer->fd);
        *peer = server->peers[--server->n_peers];
    }
}

static inline void *probe_server_run(void *arg)
{
    struct probe_server *server = arg;
    struct pollfd fds[PEERS + 2];
    for (;;) {
        size_t n = server->n_peers;
        for (size_t i = 0; i < n; i++)
            fds[i] = (struct pollfd){.fd = server->peers[i].fd, .events = POLLIN};
        fds[n] = (struct pollfd){.fd = server->listener, .events = POLLIN};
        fds[n + 1] = (struct pollfd){.fd = server->wake[0], .events = POLLIN};
        poll(fds, (nfds_t)(n + 2), DRIP_MS);
        if (fds[n + 1].revents != 0)
            return NULL;
        bool has_new = fds[n].revents != 0;
        probe_server_serve(server, fds);
        if (has_new)
            probe_server_accept(server);
    }
}

/* A listening socket at loopback; false: this machine does not have the family. */
static inline bool listen_on_loopback(sa_family_t family, struct sockaddr_storage *address,
                                      socklen_t *address_len, int *ret_fd)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    address->ss_family = family;
    if (family == AF_INET)
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        v6->sin6_addr = in6addr_loopback;
    *address_len = family == AF_INET ? sizeof *v4 : sizeof *v6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    if (bind(fd, (struct sockaddr *)address, *address_len) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)address, address_len) != 0) {
        close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

/* NULL: this machine does not have the family. */
static inline struct probe_server *probe_server_start(sa_family_t family)
{
    struct probe_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        abort();
    if (!listen_on_loopback(family, &server->address, &server->address_len, &server->listener)) {
        free(server);
        return NULL;
    }
    server->answer = ANSWER_200;
    pthread_mutex_init(&server->lock, NULL);
    if (pipe(server->wake) != 0 ||
        pthread_create(&server->thread, NULL, probe_server_run, server) != 0)
        abort();
    return server;
}

static inline void probe_server_stop(struct probe_server *server)
{
    (void)!write(server->wake[1], "", 1);
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->n_peers; i++)
        close(server->peers[i].fd);
    close(server->listener);
    close(server->wake[0]);
    close(server->wake[1]);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

/* An address at which nobody listens, and the socket that keeps it so. */
static inline int refusing_address(struct sockaddr_in *ret_address)
{
    socklen_t n = sizeof *ret_address;
    *ret_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)ret_address, n) != 0 ||
        getsockname(fd, (struct sockaddr *)ret_address, &n) != 0)
        abort();
    return fd;
}

#endif
