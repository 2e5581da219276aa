/*
 * A scripted HTTP server on loopback, in a thread of the test: answers request after request by a
 * list of steps, whatever connection they come on, and keeps what was asked. When the list is at
 * its end it says nothing more, like a blocking query without a change.
 */
#ifndef QUOIT_TESTS_SCRIPTED_SERVER_H
#define QUOIT_TESTS_SCRIPTED_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum step_kind {
    STEP_ANSWER,
    STEP_HANG,    /* no byte, the connection stays */
    STEP_CLOSE,   /* the connection ends instead of an answer */
    STEP_CUT,     /* half of the body, then the end */
    STEP_TRICKLE, /* the head of an endless answer, then a byte now and then */
    STEP_FLOOD,   /* an endless body as fast as it goes */
};

struct step {
    enum step_kind kind;
    int status;         /* 0: 200 */
    const char *fields; /* "Name: value\r\n…"; NULL: none */
    const char *body;   /* NULL: empty */
};

enum { SERVER_MAX_REQUESTS = 1024, SERVER_MAX_REQUEST = 1024, SERVER_MAX_PEERS = 256 };

struct scripted_server {
    int listener, wake[2];
    uint16_t port;
    pthread_t thread;
    const struct step *steps;
    size_t n_steps;
    bool repeat_last; /* instead of silence at the end of the list */
    bool blocks;      /* silence for every request with an index */
    pthread_mutex_t lock;
    pthread_cond_t asked;
    char (*requests)[SERVER_MAX_REQUEST]; /* heads as they came */
    size_t n_requests;
    size_t n_peers, max_peers;
    struct peer {
        int fd;
        size_t n;
        bool hangs, trickles;
        char head[SERVER_MAX_REQUEST];
    } peers[SERVER_MAX_PEERS];
};

static inline void server_send(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        data += sent;
        n -= (size_t)sent;
    }
}

static inline void server_flood(int fd)
{
    static const char blanks[1 << 16] = {' '};
    static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    server_send(fd, head, sizeof head - 1);
    for (size_t i = 0; i < (80UL << 20) / sizeof blanks; i++)
        if (send(fd, blanks, sizeof blanks, MSG_NOSIGNAL) <= 0)
            return;
}

/* False: the connection is to be closed. */
static inline bool server_answer(struct peer *peer, const struct step *step)
{
    char head[1024];
    const char *body = step->body != NULL ? step->body : "";
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d Scripted\r\nContent-Length: %zu\r\n%s\r\n",
                     step->status != 0 ? step->status : 200,
                     step->kind == STEP_TRICKLE ? (size_t)1 << 20 : strlen(body),
                     step->fields != NULL ? step->fields : "");
    switch (step->kind) {
    case STEP_ANSWER:
        server_send(peer->fd, head, (size_t)n);
        server_send(peer->fd, body, strlen(body));
        return true;
    case STEP_HANG:
        peer->hangs = true;
        return true;
    case STEP_CUT:
        server_send(peer->fd, head, (size_t)n);
        server_send(peer->fd, body, strlen(body) / 2);
        return false;
    case STEP_TRICKLE:
        server_send(peer->fd, head, (size_t)n);
        peer->hangs = peer->trickles = true;
        return true;
    case STEP_FLOOD:
        server_flood(peer->fd);
        return false;
    default:
        return false;
    }
}

static inline const struct step *server_next_step(struct scripted_server *server, const char *head)
{
    static const struct step silence = {.kind = STEP_HANG};
    const struct step *step = &silence;
    pthread_mutex_lock(&server->lock);
    if (server->blocks && strstr(head, "index=") != NULL)
        step = &silence;
    else if (server->n_requests < server->n_steps)
        step = &server->steps[server->n_requests];
    else if (server->repeat_last)
        step = &server->steps[server->n_steps - 1];
    if (server->n_requests < SERVER_MAX_REQUESTS)
        memcpy(server->requests[server->n_requests++], head, SERVER_MAX_REQUEST);
    pthread_cond_broadcast(&server->asked);
    pthread_mutex_unlock(&server->lock);
    return step;
}

/* False: the connection is to be closed. */
static inline bool server_read(struct scripted_server *server, struct peer *peer)
{
    ssize_t got = recv(peer->fd, peer->head + peer->n, sizeof peer->head - 1 - peer->n, 0);
    if (got <= 0)
        return false;
    peer->n += (size_t)got;
    peer->head[peer->n] = '\0';
    if (strstr(peer->head, "\r\n\r\n") == NULL)
        return peer->n < sizeof peer->head - 1;
    peer->n = 0;
    return server_answer(peer, server_next_step(server, peer->head));
}

static inline void server_accept(struct scripted_server *server)
{
    int fd = accept(server->listener, NULL, NULL);
    if (fd < 0)
        return;
    if (server->n_peers == SERVER_MAX_PEERS) {
        close(fd);
        return;
    }
    server->peers[server->n_peers++] = (struct peer){.fd = fd};
    pthread_mutex_lock(&server->lock);
    if (server->n_peers > server->max_peers)
        server->max_peers = server->n_peers;
    pthread_mutex_unlock(&server->lock);
}

static inline void server_drop(struct scripted_server *server, size_t i)
{
    close(server->peers[i].fd);
    server->peers[i] = server->peers[--server->n_peers];
}

static inline void *server_run(void *context)
{
    struct scripted_server *server = context;
    for (;;) {
        struct pollfd fds[SERVER_MAX_PEERS + 2] = {
            {.fd = server->wake[0], .events = POLLIN},
            {.fd = server->listener, .events = POLLIN},
        };
        for (size_t i = 0; i < server->n_peers; i++)
            fds[i + 2] = (struct pollfd){.fd = server->peers[i].fd, .events = POLLIN};
        poll(fds, server->n_peers + 2, 50);
        if (fds[0].revents != 0)
            break;
        for (size_t i = server->n_peers; i-- > 0;) {
            if (server->peers[i].trickles)
                server_send(server->peers[i].fd, " ", 1);
            if (fds[i + 2].revents != 0 && !server_read(server, &server->peers[i]))
                server_drop(server, i);
        }
        if (fds[1].revents != 0)
            server_accept(server);
    }
    while (server->n_peers > 0)
        server_drop(server, 0);
    return NULL;
}

/* steps must outlive the server. */
static inline struct scripted_server *server_start(const struct step *steps, size_t n_steps)
{
    struct scripted_server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    server->requests = calloc(SERVER_MAX_REQUESTS, sizeof *server->requests);
    assert_non_null(server->requests);
    server->steps = steps;
    server->n_steps = n_steps;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof address;
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(server->listener, 512), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &n), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pipe(server->wake), 0);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->asked, NULL);
    return server;
}

/* Apart from server_start(), so that what a test sets in between needs no lock. */
static inline void server_serve(struct scripted_server *server)
{
    assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
}

static inline void server_stop(struct scripted_server *server)
{
    close(server->wake[1]);
    pthread_join(server->thread, NULL);
    close(server->wake[0]);
    close(server->listener);
    pthread_cond_destroy(&server->asked);
    pthread_mutex_destroy(&server->lock);
    free(server->requests);
    free(server);
}

#endif
