/*
 * The TCP probe: a target that accepts a connection within the time is usable.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "health/probe.h"

struct probe {
    struct ev_loop *loop;
    struct ev_io io;
    struct ev_timer timer;
    int error; /* of a connect() that failed at once; 0 while it is under way */
    probe_done_fn *done;
    void *context;
};

static void stop(struct probe *probe)
{
    ev_io_stop(probe->loop, &probe->io);
    ev_timer_stop(probe->loop, &probe->timer);
    close(probe->io.fd);
    free(probe);
}

static void finish(struct probe *probe, enum probe_outcome outcome, const char *detail)
{
    probe_done_fn *done = probe->done;
    void *context = probe->context;
    stop(probe);
    done(context, outcome, detail);
}

static int error_of(const struct probe *probe)
{
    int error = probe->error;
    socklen_t n = sizeof error;
    if (error == 0 && getsockopt(probe->io.fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    return error;
}

static void on_io(struct ev_loop *loop, struct ev_io *io, int events)
{
    struct probe *probe = io->data;
    char text[64], detail[96];
    int error = error_of(probe);
    (void)loop;
    (void)events;
    if (error == 0) {
        finish(probe, PROBE_SUCCESS, "connected");
    } else if (error == ECONNREFUSED) {
        finish(probe, PROBE_FAILURE, "connect refused");
    } else {
        snprintf(detail, sizeof detail, "connect: %s", strerror_r(error, text, sizeof text));
        finish(probe, probe_is_our_fault(error) ? PROBE_UNKNOWN : PROBE_FAILURE, detail);
    }
}

static void on_timeout(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    finish(timer->data, PROBE_FAILURE, "timeout");
}

static void begin(struct probe *probe, int fd, const struct probe_target *target)
{
    ev_io_init(&probe->io, on_io, fd, EV_WRITE);
    ev_timer_init(&probe->timer, on_timeout, target->check->timeout_ms / 1e3, 0);
    probe->io.data = probe->timer.data = probe;
    ev_io_start(probe->loop, &probe->io);
    ev_timer_start(probe->loop, &probe->timer);
    if (connect(fd, (const struct sockaddr *)&target->address, target->address_len) == 0 ||
        errno == EINPROGRESS)
        return;
    probe->error = errno;
    ev_feed_event(probe->loop, &probe->io, EV_WRITE); /* done() only after start has returned */
}

static int start(const struct probe_host *host, const struct probe_target *target,
                 probe_done_fn *done, void *context, struct probe **ret_probe)
{
    struct probe *probe = malloc(sizeof *probe);
    if (probe == NULL)
        return -ENOMEM;
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        int error = errno;
        free(probe);
        return -error;
    }
    *probe = (struct probe){.loop = host->loop, .done = done, .context = context};
    begin(probe, fd, target);
    *ret_probe = probe;
    return 0;
}

const struct probe_ops probe_tcp = {.start = start, .stop = stop};
