#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "balancer/log/access_log.h"

/* A folder of its own for each test. */
struct place {
    char folder[64], file[96], rotated[96];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->folder, sizeof place->folder, "/tmp/quoit-access-XXXXXX");
    if (mkdtemp(place->folder) == NULL)
        return -1;
    snprintf(place->file, sizeof place->file, "%s/access.log", place->folder);
    snprintf(place->rotated, sizeof place->rotated, "%s/access.log.1", place->folder);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    unlink(place->file);
    unlink(place->rotated);
    rmdir(place->folder);
    free(place);
    return 0;
}

static struct access_log *start(const char *path, uint32_t n_workers)
{
    struct access_log *log = NULL;
    struct conf_log conf = {.access_file = (char *)path, .access_format = CONF_ACCESS_COMBINED};
    assert_int_equal(access_log_start(&conf, n_workers, &log), 0);
    assert_non_null(log);
    return log;
}

/* A line whose key is worker:number. */
static bool add(struct access_log *log, uint32_t worker, unsigned number)
{
    char key[32];
    int n = snprintf(key, sizeof key, "%u:%u", worker, number);
    struct access_entry entry = {.client = "192.0.2.7",
                                 .method = SPAN("GET"),
                                 .target = SPAN("/some/usual/target?with=query"),
                                 .version = ACCESS_HTTP_1_1,
                                 .status = 200,
                                 .key = {(const uint8_t *)key, (size_t)n}};
    return access_log_add(log, worker, &entry);
}

static char *read_all(int fd)
{
    size_t n = 0, size = 1 << 16;
    char *text = malloc(size);
    assert_non_null(text);
    for (ssize_t k; (k = read(fd, text + n, size - n - 1)) > 0;) {
        n += (size_t)k;
        if (size - n < 4096)
            text = realloc(text, size *= 2);
        assert_non_null(text);
    }
    text[n] = '\0';
    return text;
}

static char *read_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    char *text = read_all(fd);
    close(fd);
    return text;
}

/* Checks (and takes apart) text: whole lines, and each worker's numbers rise; returns how many
 * lines. */
static unsigned check_lines(char *text, unsigned n_workers)
{
    long last[8];
    unsigned lines = 0;
    for (unsigned i = 0; i < n_workers; i++)
        last[i] = -1;
    /* Not strchr(): strict sanitizers look at all of a string in each search. */
    const char *text_end = text + strlen(text);
    while (text < text_end) {
        char *end = memchr(text, '\n', (size_t)(text_end - text));
        assert_non_null(end);
        *end = '\0';
        assert_memory_equal(text, "192.0.2.7 - - [", 15);
        const char *key = strstr(text, " key=");
        assert_non_null(key);
        char *rest;
        unsigned long worker = strtoul(key + 5, &rest, 10);
        long number = strtol(rest + 1, &rest, 10);
        assert_true(worker < n_workers);
        assert_true(number > last[worker]);
        assert_memory_equal(rest, " attempts=", 10);
        last[worker] = number;
        lines++;
        text = end + 1;
    }
    return lines;
}

static bool path_has_lines(const char *path, unsigned n)
{
    char *text = read_path(path);
    unsigned lines = 0;
    const char *end = text + strlen(text), *p = text;
    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        lines++;
        p++;
    }
    free(text);
    return lines >= n;
}

/* Polls until the file has n lines, for at most ten seconds. */
static bool wait_for_lines(const char *path, unsigned n)
{
    for (int i = 0; i < 1000; i++) {
        if (path_has_lines(path, n))
            return true;
        poll(NULL, 0, 10);
    }
    return false;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void test_lines_arrive_without_stopping_the_log(void **state)
{
    struct place *place = *state;
    struct access_log *log = start(place->file, 1);
    assert_true(add(log, 0, 1));
    assert_true(add(log, 0, 2));
    assert_true(wait_for_lines(place->file, 2));
    access_log_stop(log);
}

static void test_stopping_writes_what_is_there(void **state)
{
    struct place *place = *state;
    struct access_log *log = start(place->file, 2);
    for (unsigned i = 0; i < 100; i++)
        assert_true(add(log, i % 2, i));
    access_log_stop(log);
    char *text = read_path(place->file);
    assert_int_equal(check_lines(text, 2), 100);
    free(text);
}

static void test_an_existing_file_is_appended_to(void **state)
{
    struct place *place = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct access_log *log = start(place->file, 1);
        assert_true(add(log, 0, i));
        access_log_stop(log);
    }
    char *text = read_path(place->file);
    assert_int_equal(check_lines(text, 1), 2);
    free(text);
}

static void test_without_a_file_nothing_is_logged_and_nothing_fails(void **state)
{
    (void)state;
    struct access_log *log = (struct access_log *)state;
    assert_int_equal(access_log_start(&(struct conf_log){0}, 1, &log), 0);
    assert_null(log);
    assert_true(add(log, 0, 1));
    assert_int_equal(access_log_reopen(log), 0);
    assert_int_equal(access_log_lost(log), 0);
    access_log_stop(log);
}

static void test_a_file_that_cannot_be_opened_is_an_error(void **state)
{
    (void)state;
    struct access_log *log = NULL;
    struct conf_log conf = {.access_file = (char *)"/nonexistent/access.log"};
    assert_int_equal(access_log_start(&conf, 1, &log), -ENOENT);
    assert_null(log);
}

enum { WORKERS = 4, PER_WORKER = 20000 };

struct worker {
    struct access_log *log;
    uint32_t number;
    unsigned dropped;
};

static void *work(void *arg)
{
    struct worker *worker = arg;
    for (unsigned i = 0; i < PER_WORKER; i++)
        worker->dropped += !add(worker->log, worker->number, i);
    return NULL;
}

static unsigned run_workers(struct access_log *log)
{
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    unsigned dropped = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.log = log, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        dropped += workers[i].dropped;
    }
    return dropped;
}

static void test_every_line_of_several_workers_is_written_or_counted(void **state)
{
    struct place *place = *state;
    struct access_log *log = start(place->file, WORKERS);
    unsigned dropped = run_workers(log);
    access_log_stop(log);
    char *text = read_path(place->file);
    assert_int_equal(check_lines(text, WORKERS) + dropped, WORKERS * PER_WORKER);
    free(text);
}

/* A named pipe at the place's file; returns its reading end. */
static int make_fifo(const struct place *place)
{
    assert_int_equal(mkfifo(place->file, 0600), 0);
    int reader = open(place->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    return reader;
}

static void test_a_pipe_that_nobody_reads_never_blocks_a_worker(void **state)
{
    int reader = make_fifo(*state);
    struct access_log *log = start(((struct place *)*state)->file, WORKERS);
    uint64_t from = now_ns();
    unsigned dropped = run_workers(log);
    assert_true(now_ns() - from < UINT64_C(20000000000));
    assert_true(dropped > 0);

    from = now_ns();
    access_log_stop(log);
    assert_true(now_ns() - from < UINT64_C(10000000000));
    close(reader);
}

static void *read_reader(void *arg)
{
    int *reader = arg;
    fcntl(*reader, F_SETFL, 0); /* now it waits for bytes, until the writers are gone */
    return read_all(*reader);
}

static void test_a_pipe_that_is_read_again_gets_whole_lines(void **state)
{
    int reader = make_fifo(*state);
    struct access_log *log = start(((struct place *)*state)->file, WORKERS);
    unsigned dropped = run_workers(log); /* the pipe fills, then the rings do */
    assert_true(dropped > 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_reader, &reader), 0);
    access_log_stop(log);
    void *text;
    pthread_join(thread, &text);
    assert_int_equal(check_lines(text, WORKERS) + dropped, WORKERS * PER_WORKER);
    free(text);
    close(reader);
}

static void test_standard_output_may_be_a_blocking_pipe_that_is_full(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDOUT_FILENO);
    fflush(stdout);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    struct access_log *log = start("-", 1);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    unsigned added = 0;
    for (unsigned i = 0; i < PER_WORKER; i++)
        added += add(log, 0, i);
    assert_true(added > 0 && added < PER_WORKER);
    access_log_stop(log); /* returns although nobody reads */
    char *text = read_all(ends[0]);
    char *last = strrchr(text, '\n');
    assert_non_null(last);
    last[1] = '\0'; /* the end of what was left may be half a line */
    unsigned lines = check_lines(text, 1);
    assert_true(lines > 0 && lines < added);
    free(text);
    close(ends[0]);
}

/* Standard error is a file between these two. */
static int quiet_begin(const struct place *place)
{
    int saved = dup(STDERR_FILENO);
    int fd = open(place->rotated, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    dup2(fd, STDERR_FILENO);
    close(fd);
    return saved;
}

static void quiet_end(int saved)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
}

static bool wait_for_lost(struct access_log *log, uint64_t n)
{
    for (int i = 0; i < 1000 && access_log_lost(log) < n; i++)
        poll(NULL, 0, 10);
    return access_log_lost(log) == n;
}

static void test_a_full_disk_loses_lines_that_are_counted_and_told_once(void **state)
{
    struct place *place = *state;
    int saved = quiet_begin(place);
    struct access_log *log = start("/dev/full", 2);
    bool counted = true;
    for (unsigned i = 0; i < 5; i++) {
        add(log, 0, i);
        add(log, 1, i);
        counted = counted && wait_for_lost(log, (i + UINT64_C(1)) * 2);
    }
    access_log_stop(log);
    quiet_end(saved);
    assert_true(counted);
    char *events = read_path(place->rotated);
    const char *told = strstr(events, " ERROR access_log_failed file=/dev/full error=\"No space");
    assert_non_null(told);
    assert_null(strstr(told + strlen(" ERROR access_log_failed"), "access_log_failed"));
    free(events);
}

static void test_a_pipe_without_reader_loses_lines_but_not_the_process(void **state)
{
    struct place *place = *state;
    int reader = make_fifo(place);
    int saved = quiet_begin(place);
    struct access_log *log = start(place->file, 1);
    add(log, 0, 1);
    char byte;
    struct pollfd fd = {.fd = reader, .events = POLLIN};
    bool arrived = poll(&fd, 1, 10000) == 1 && read(reader, &byte, 1) == 1;
    close(reader);
    add(log, 0, 2);
    bool counted = wait_for_lost(log, 1);
    access_log_stop(log);
    quiet_end(saved);
    assert_true(arrived);
    assert_true(counted);
    assert_true(path_has_lines(place->rotated, 1));
}

static void test_reopening_after_a_rotation_loses_no_line(void **state)
{
    struct place *place = *state;
    struct access_log *log = start(place->file, 1);
    for (unsigned i = 0; i < 10; i++)
        assert_true(add(log, 0, i));
    assert_int_equal(rename(place->file, place->rotated), 0);
    assert_int_equal(access_log_reopen(log), 0);
    assert_int_equal(access(place->file, F_OK), 0);
    assert_true(wait_for_lines(place->rotated, 10));
    for (unsigned i = 10; i < 20; i++)
        assert_true(add(log, 0, i));
    access_log_stop(log);
    char *old = read_path(place->rotated), *new = read_path(place->file);
    unsigned in_old = check_lines(old, 1);
    assert_true(in_old >= 10);
    assert_int_equal(in_old + check_lines(new, 1), 20);
    free(old);
    free(new);
}

static void test_a_failed_reopen_keeps_the_file(void **state)
{
    struct place *place = *state;
    struct access_log *log = start(place->file, 1);
    assert_true(add(log, 0, 1));
    assert_true(wait_for_lines(place->file, 1));
    assert_int_equal(rename(place->file, place->rotated), 0);
    assert_int_equal(mkdir(place->file, 0700), 0); /* a folder cannot be opened for writing */
    assert_int_equal(access_log_reopen(log), -EISDIR);
    assert_true(add(log, 0, 2));
    access_log_stop(log);
    assert_true(path_has_lines(place->rotated, 2));
    rmdir(place->file);
}

static void test_adding_a_line_is_cheap(void **state)
{
    struct place *place = *state;
    struct access_log *log = start(place->file, 1);
    uint64_t best = UINT64_MAX;
    for (unsigned round = 0; round < 50; round++) {
        uint64_t from = now_ns();
        for (unsigned i = 0; i < 1000; i++)
            add(log, 0, round * 1000 + i);
        uint64_t each = (now_ns() - from) / 1000;
        best = each < best ? each : best;
    }
    access_log_stop(log);
    print_message("a line costs %llu ns\n", (unsigned long long)best);
    assert_true(best < 100000); /* generous: sanitizers, debug builds, busy machines */
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(test_lines_arrive_without_stopping_the_log),
        WITH_PLACE(test_stopping_writes_what_is_there),
        WITH_PLACE(test_an_existing_file_is_appended_to),
        cmocka_unit_test(test_without_a_file_nothing_is_logged_and_nothing_fails),
        cmocka_unit_test(test_a_file_that_cannot_be_opened_is_an_error),
        WITH_PLACE(test_every_line_of_several_workers_is_written_or_counted),
        WITH_PLACE(test_a_pipe_that_nobody_reads_never_blocks_a_worker),
        WITH_PLACE(test_a_pipe_that_is_read_again_gets_whole_lines),
        cmocka_unit_test(test_standard_output_may_be_a_blocking_pipe_that_is_full),
        WITH_PLACE(test_a_full_disk_loses_lines_that_are_counted_and_told_once),
        WITH_PLACE(test_a_pipe_without_reader_loses_lines_but_not_the_process),
        WITH_PLACE(test_reopening_after_a_rotation_loses_no_line),
        WITH_PLACE(test_a_failed_reopen_keeps_the_file),
        WITH_PLACE(test_adding_a_line_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
