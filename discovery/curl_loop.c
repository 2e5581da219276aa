/*
 *   libcurl ── "watch this socket" ─────► on_socket ──► one ev_io per socket ─┐
 *      ▲   └── "wake me in n ms"   ─────► on_timeout ─► the one ev_timer ─────┤
 *      └────────────── curl_multi_socket_action ◄──────────────────────────────┘
 *                            └─► finished transfers: done()
 */
#include "discovery/curl_loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct curl_loop {
    struct ev_loop *loop;
    CURLM *multi;
    struct ev_timer timer;
};

static void deliver(struct curl_loop *loop)
{
    CURLMsg *message;
    int n_left;
    /* A done() may start and stop transfers, so each round asks anew. */
    while ((message = curl_multi_info_read(loop->multi, &n_left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        struct curl_transfer *transfer = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
        assert(transfer != NULL && transfer->easy == easy && transfer->running);
        curl_multi_remove_handle(loop->multi, easy);
        transfer->running = false;
        transfer->done(transfer, result);
    }
}

static void act(struct curl_loop *loop, curl_socket_t fd, int events)
{
    int n_running;
    curl_multi_socket_action(loop->multi, fd, events, &n_running);
    deliver(loop);
}

static void on_ready(struct ev_loop *ev, struct ev_io *io, int revents)
{
    (void)ev;
    int events =
        ((revents & EV_READ) ? CURL_CSELECT_IN : 0) | ((revents & EV_WRITE) ? CURL_CSELECT_OUT : 0);
    /* libcurl may have the watcher freed meanwhile: it is not touched after this. */
    act(io->data, io->fd, events);
}

static void on_expiry(struct ev_loop *ev, struct ev_timer *timer, int revents)
{
    (void)ev;
    (void)revents;
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int unwatch(struct curl_loop *loop, curl_socket_t fd, struct ev_io *io)
{
    if (io == NULL)
        return 0;
    ev_io_stop(loop->loop, io);
    free(io);
    curl_multi_assign(loop->multi, fd, NULL);
    return 0;
}

/* libcurl's socket callback: 0, or -1 to have the transfer fail. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
    (void)easy;
    struct curl_loop *loop = context;
    struct ev_io *io = socket_context;
    if (what == CURL_POLL_REMOVE)
        return unwatch(loop, fd, io);
    if (io == NULL) {
        io = calloc(1, sizeof *io);
        if (io == NULL)
            return -1;
        ev_init(io, on_ready);
        io->data = loop;
        curl_multi_assign(loop->multi, fd, io);
    }
    ev_io_stop(loop->loop, io);
    ev_io_set(io, fd,
              ((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0));
    ev_io_start(loop->loop, io);
    return 0;
}

/* libcurl's timer callback. Even 0 ms waits for the next turn: libcurl is not entered from here. */
static int on_timeout(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct curl_loop *loop = context;
    ev_timer_stop(loop->loop, &loop->timer);
    if (timeout_ms < 0)
        return 0;
    ev_now_update(loop->loop);
    ev_timer_set(&loop->timer, (double)timeout_ms / 1000.0, 0.0);
    ev_timer_start(loop->loop, &loop->timer);
    return 0;
}

int curl_loop_new(struct ev_loop *loop, struct curl_loop **ret_loop)
{
    struct curl_loop *self = calloc(1, sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    self->loop = loop;
    self->multi = curl_multi_init();
    if (self->multi == NULL) {
        free(self);
        return -ENOMEM;
    }
    ev_init(&self->timer, on_expiry);
    self->timer.data = self;
    curl_multi_setopt(self->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(self->multi, CURLMOPT_SOCKETDATA, self);
    curl_multi_setopt(self->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(self->multi, CURLMOPT_TIMERDATA, self);
    *ret_loop = self;
    return 0;
}

void curl_loop_free(struct curl_loop *loop)
{
    if (loop == NULL)
        return;
    /* The callbacks still run here, as libcurl lets go of its idle connections. */
    curl_multi_cleanup(loop->multi);
    ev_timer_stop(loop->loop, &loop->timer);
    free(loop);
}

void curl_loop_limit(struct curl_loop *loop, long max_idle, long max_open)
{
    curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, max_idle);
    curl_multi_setopt(loop->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, max_open);
}

int curl_loop_start(struct curl_loop *loop, struct curl_transfer *transfer)
{
    assert(!transfer->running && transfer->easy != NULL && transfer->done != NULL);
    curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_NOSIGNAL, 1L);
    if (curl_multi_add_handle(loop->multi, transfer->easy) != CURLM_OK)
        return -ENOMEM;
    transfer->running = true;
    return 0;
}

void curl_loop_stop(struct curl_loop *loop, struct curl_transfer *transfer)
{
    if (!transfer->running)
        return;
    curl_multi_remove_handle(loop->multi, transfer->easy);
    transfer->running = false;
}
