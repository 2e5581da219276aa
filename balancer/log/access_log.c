/*
 *   worker 1 ─► ring 1 ─┐
 *   worker 2 ─► ring 2 ─┼─► writer thread ─► descriptor
 *   worker N ─► ring N ─┘        ▲
 *                                └─ wake: an eventfd, for half full rings, reopen and stop
 */
#include "balancer/log/access_log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "balancer/log/access_format.h"
#include "balancer/log/log.h"
#include "balancer/log/ring_buffer.h"

enum {
    TURN_MS = 100,
    STOP_MS = 1000,             /* how long the end waits for a destination that takes nothing */
    CALM_MS = 10000,            /* without failure before a destination counts as recovered */
    FILE_CHUNK_BYTES = 65536,   /* frees room in the ring while a large batch is written */
    PIPE_CHUNK_BYTES = PIPE_BUF /* what poll() promises not to block */
};

/* Where the lines go; the writer thread's. */
struct output {
    int fd;
    bool is_file;       /* else it may block: ask poll() first */
    bool is_mid_line;   /* the last byte written was no line feed */
    bool is_torn;       /* the rest of that line is lost: a line feed must come first */
    bool is_failing;    /* told in the event log, not yet recovered */
    uint64_t failed_ms; /* when it last failed */
    uint64_t lost_told; /* lost lines when that was told */
};

struct access_log {
    char *path; /* "-": standard output */
    enum conf_access_format format;
    int wake_fd;
    pthread_t writer;
    _Atomic bool is_stopping;
    _Atomic int next_fd; /* reopened, for the writer to take; -1: none */
    _Atomic uint64_t n_lost;
    struct output output;
    uint32_t current; /* the ring being written */
    uint32_t n_rings;
    struct ring_buffer *rings;
};

enum progress { PROGRESS_DONE, PROGRESS_STALLED, PROGRESS_FAILED };

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Not blocking, so that a named pipe without a reader is an error and not a wait. */
static int open_path(const char *path)
{
    int fd = strcmp(path, "-") == 0
                 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                        S_IRUSR | S_IWUSR | S_IRGRP);
    return fd < 0 ? -errno : fd;
}

static void output_take(struct output *output, int fd)
{
    struct stat status;
    if (output->fd >= 0)
        close(output->fd);
    output->fd = fd;
    output->is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    output->is_mid_line = output->is_torn = false;
}

static bool output_is_ready(const struct output *output)
{
    struct pollfd fd = {.fd = output->fd, .events = POLLOUT};
    return output->is_file || poll(&fd, 1, 0) != 0; /* on errors write() finds out */
}

/* Writes some of bytes, at most a chunk. On PROGRESS_DONE *ret_n says how many, on PROGRESS_FAILED
 * errno says why. */
static enum progress output_write(struct output *output, struct span bytes, size_t *ret_n)
{
    if (!output_is_ready(output))
        return PROGRESS_STALLED;
    ssize_t n = write(output->fd, bytes.p, bytes.n);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return PROGRESS_STALLED;
    if (n <= 0)
        return PROGRESS_FAILED;
    output->is_mid_line = bytes.p[n - 1] != '\n';
    *ret_n = (size_t)n;
    return PROGRESS_DONE;
}

/* Ends a line whose rest was lost. */
static enum progress output_mend(struct output *output)
{
    size_t n = 0;
    enum progress progress = output->is_torn ? output_write(output, SPAN("\n"), &n) : PROGRESS_DONE;
    if (progress == PROGRESS_DONE)
        output->is_torn = false;
    return progress;
}

static uint64_t count_lines(struct span bytes)
{
    uint64_t n = 0;
    const uint8_t *p = bytes.p, *end = bytes.p + bytes.n;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        n++;
        p++;
    }
    return n;
}

static void drop_all(struct access_log *log, struct ring_buffer *ring)
{
    struct span bytes;
    while ((bytes = ring_buffer_peek(ring, SIZE_MAX)).n > 0) {
        atomic_fetch_add_explicit(&log->n_lost, count_lines(bytes), memory_order_relaxed);
        ring_buffer_drop(ring, bytes.n);
    }
}

/* What the destination does not take is lost: holding it would only lose the next lines. */
static void take_failure(struct access_log *log, struct ring_buffer *ring, int error)
{
    struct output *output = &log->output;
    if (!output->is_failing) {
        output->lost_told = access_log_lost(log);
        log_event(LOG_ERROR, "access_log_failed", LOG_STR("file", log->path),
                  LOG_ERRNO("error", error));
    }
    output->is_failing = true;
    output->failed_ms = now_ms();
    output->is_torn = output->is_torn || output->is_mid_line;
    drop_all(log, ring);
}

static void take_success(struct access_log *log)
{
    struct output *output = &log->output;
    if (!output->is_failing || now_ms() - output->failed_ms < CALM_MS)
        return;
    output->is_failing = false;
    log_event(LOG_INFO, "access_log_recovered", LOG_STR("file", log->path),
              LOG_U64("lost", access_log_lost(log) - output->lost_told));
}

/* Writes one ring as far as possible; a ring that is done ended with a whole line. */
static enum progress write_ring(struct access_log *log, struct ring_buffer *ring)
{
    struct output *output = &log->output;
    size_t chunk = output->is_file ? FILE_CHUNK_BYTES : PIPE_CHUNK_BYTES;
    struct span bytes;
    ring_buffer_reader_is_here(ring);
    while ((bytes = ring_buffer_peek(ring, chunk)).n > 0) {
        size_t n = 0;
        enum progress progress = output_mend(output);
        if (progress == PROGRESS_DONE)
            progress = output_write(output, bytes, &n);
        if (progress == PROGRESS_STALLED)
            return progress;
        if (progress == PROGRESS_FAILED) {
            take_failure(log, ring, errno);
            return progress;
        }
        take_success(log);
        ring_buffer_drop(ring, n);
    }
    return PROGRESS_DONE;
}

/* Writes what the rings hold; returns whether the destination took it all. A stalled turn goes on
 * with the same ring, whose line may be half written. */
static bool write_rings(struct access_log *log)
{
    for (uint32_t i = 0; i < log->n_rings; i++) {
        if (write_ring(log, &log->rings[log->current]) == PROGRESS_STALLED)
            return false;
        log->current = (log->current + 1) % log->n_rings;
    }
    return true;
}

/* Until the next turn: woken, timed out, or a stalled destination takes bytes again. */
static void wait_turn(struct access_log *log, bool is_stalled)
{
    struct pollfd fds[2] = {{.fd = log->wake_fd, .events = POLLIN},
                            {.fd = log->output.fd, .events = POLLOUT}};
    uint64_t wakes;
    if (poll(fds, is_stalled ? 2 : 1, TURN_MS) > 0 && fds[0].revents != 0) {
        ssize_t n = read(log->wake_fd, &wakes, sizeof wakes);
        (void)n; /* not blocking; an empty eventfd is fine */
    }
}

static void take_reopened(struct access_log *log)
{
    int fd = atomic_exchange(&log->next_fd, -1);
    if (fd >= 0)
        output_take(&log->output, fd);
}

static void write_last(struct access_log *log)
{
    uint64_t deadline_ms = now_ms() + STOP_MS;
    while (!write_rings(log) && now_ms() < deadline_ms)
        wait_turn(log, true);
    for (uint32_t i = 0; i < log->n_rings; i++)
        drop_all(log, &log->rings[i]);
}

static void *writer_main(void *arg)
{
    struct access_log *log = arg;
    bool is_stalled = false;
    while (!atomic_load(&log->is_stopping)) {
        wait_turn(log, is_stalled);
        is_stalled = !write_rings(log);
        take_reopened(log);
    }
    write_last(log);
    return NULL;
}

/* Signals are control's: the writer blocks them all. A SIGPIPE stays pending and does nothing. */
static int start_writer(struct access_log *log)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&log->writer, NULL, writer_main, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_setname_np(log->writer, "access-log");
    return -error;
}

static void free_log(struct access_log *log)
{
    int next_fd = atomic_load(&log->next_fd);
    if (next_fd >= 0)
        close(next_fd);
    if (log->output.fd >= 0)
        close(log->output.fd);
    if (log->wake_fd >= 0)
        close(log->wake_fd);
    free(log->rings);
    free(log->path);
    free(log);
}

/* Memory and the eventfd; *log is zeroed but for its descriptors. */
static int init_log(struct access_log *log, const struct conf_log *conf, uint32_t n_workers)
{
    log->format = conf->access_format;
    log->path = strdup(conf->access_file);
    log->rings = aligned_alloc(_Alignof(struct ring_buffer), n_workers * sizeof *log->rings);
    if (log->path == NULL || log->rings == NULL)
        return -ENOMEM;
    log->n_rings = n_workers;
    for (uint32_t i = 0; i < n_workers; i++)
        ring_buffer_init(&log->rings[i]);
    log->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return log->wake_fd < 0 ? -errno : 0;
}

int access_log_start(const struct conf_log *conf, uint32_t n_workers, struct access_log **ret_log)
{
    assert(n_workers > 0);
    if (conf->access_file == NULL) {
        *ret_log = NULL;
        return 0;
    }
    struct access_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return -ENOMEM;
    log->wake_fd = log->output.fd = -1;
    atomic_init(&log->next_fd, -1);
    int error = init_log(log, conf, n_workers);
    int fd = error == 0 ? open_path(log->path) : error;
    if (fd >= 0) {
        output_take(&log->output, fd);
        error = start_writer(log);
    } else {
        error = fd;
    }
    if (error != 0) {
        free_log(log);
        return error;
    }
    *ret_log = log;
    return 0;
}

static void wake_writer(struct access_log *log)
{
    uint64_t one = 1;
    ssize_t n = write(log->wake_fd, &one, sizeof one);
    (void)n; /* fails only when the counter is full of wakes */
}

void access_log_stop(struct access_log *log)
{
    if (log == NULL)
        return;
    atomic_store(&log->is_stopping, true);
    wake_writer(log);
    pthread_join(log->writer, NULL);
    free_log(log);
}

int access_log_reopen(struct access_log *log)
{
    if (log == NULL || strcmp(log->path, "-") == 0)
        return 0;
    int fd = open_path(log->path);
    if (fd < 0)
        return fd;
    int unused = atomic_exchange(&log->next_fd, fd);
    if (unused >= 0)
        close(unused);
    wake_writer(log);
    return 0;
}

uint64_t access_log_lost(const struct access_log *log)
{
    return log == NULL ? 0 : atomic_load_explicit(&log->n_lost, memory_order_relaxed);
}

bool access_log_add(struct access_log *log, uint32_t worker, const struct access_entry *entry)
{
    if (log == NULL)
        return true;
    assert(worker < log->n_rings);
    struct ring_buffer *ring = &log->rings[worker];
    char line[ACCESS_LINE_MAX];
    size_t n = access_format(log->format, entry, line);
    bool added = ring_buffer_put(ring, line, n);
    if (ring_buffer_wants_reader(ring))
        wake_writer(log);
    return added;
}
