#include "balancer/log/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "balancer/log/line.h"

/*
 * A line of at most PIPE_BUF bytes enters a pipe whole or not at all, and poll() tells that there
 * is room for it. So a reader that stopped reading costs this program one wait, then lines, but
 * never its control thread.
 */
enum { LINE_SIZE = 4096, STALL_MS = 50 };
_Static_assert(LINE_SIZE <= PIPE_BUF, "lines must be written in one piece");

static enum log_level level_min = LOG_INFO;
static enum line_format format = LINE_TEXT;

/* Guards the output and what follows. */
static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_stalled;
static uint64_t n_dropped;

void log_init(const struct conf_log *conf)
{
    level_min = (enum log_level)conf->level;
    format = conf->format == CONF_LOG_JSON ? LINE_JSON : LINE_TEXT;
}

static const char *level_word(enum log_level level)
{
    static const char *const words[] = {
        [LOG_DEBUG] = "DEBUG", [LOG_INFO] = "INFO", [LOG_WARN] = "WARN", [LOG_ERROR] = "ERROR"};
    return words[level];
}

static void begin(struct line *line, char *buffer, enum log_level level, const char *event)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    line_init(line, format, buffer, LINE_SIZE);
    if (format == LINE_JSON) {
        line_time(line, "time", us, 3);
        line_str(line, "level", span_of(level_word(level)));
        line_str(line, "event", span_of(event));
        return;
    }
    line_put_time(line, us, 3);
    line_put(line, SPAN(" "));
    line_put(line, span_of(level_word(level)));
    line_put(line, SPAN(" "));
    line_put(line, span_of(event));
}

static void add_pair(struct line *line, const struct log_pair *pair)
{
    char text[128];
    switch (pair->type) {
    case LOG_TYPE_STR:
        line_str(line, pair->key,
                 pair->value.str != NULL ? span_of(pair->value.str) : (struct span){NULL, 0});
        break;
    case LOG_TYPE_U64:
        line_u64(line, pair->key, pair->value.u64);
        break;
    case LOG_TYPE_I64:
        line_i64(line, pair->key, pair->value.i64);
        break;
    case LOG_TYPE_F64:
        line_f64(line, pair->key, pair->value.f64);
        break;
    case LOG_TYPE_ERRNO:
        line_str(line, pair->key, span_of(strerror_r(pair->value.error, text, sizeof text)));
        break;
    case LOG_TYPE_END:
        assert(pair->key == NULL);
    }
}

static bool can_write(void)
{
    struct pollfd output = {.fd = STDERR_FILENO, .events = POLLOUT};
    int n = poll(&output, 1, is_stalled ? 0 : STALL_MS);
    is_stalled = n == 0;
    return n != 0; /* on errors write() finds out */
}

/* Under output_lock. */
static bool write_line(const char *p, size_t n)
{
    if (!can_write())
        return false;
    while (n > 0) {
        ssize_t k = write(STDERR_FILENO, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* Says how many lines are missing before the first one that goes out again. */
static bool write_dropped(void)
{
    char buffer[LINE_SIZE];
    struct line line;
    begin(&line, buffer, LOG_WARN, "log_dropped");
    line_u64(&line, "lines", n_dropped);
    size_t n = line_end(&line);
    if (!write_line(buffer, n))
        return false;
    n_dropped = 0;
    return true;
}

void log_write(enum log_level level, const char *event, const struct log_pair *pairs)
{
    if (level < level_min)
        return;
    char buffer[LINE_SIZE];
    struct line line;
    begin(&line, buffer, level, event);
    for (const struct log_pair *pair = pairs; pair != NULL && pair->key != NULL; pair++)
        add_pair(&line, pair);
    size_t n = line_end(&line);

    int saved = errno; /* logging must not change what the caller looks at */
    pthread_mutex_lock(&output_lock);
    if ((n_dropped > 0 && !write_dropped()) || !write_line(buffer, n))
        n_dropped++;
    pthread_mutex_unlock(&output_lock);
    errno = saved;
}
