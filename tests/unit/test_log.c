#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "balancer/log/log.h"

/* Standard error is a pipe between capture_begin() and capture_end(). */
struct capture {
    int saved, reader;
};

static struct capture capture_begin(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct capture capture = {.saved = dup(STDERR_FILENO), .reader = ends[0]};
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return capture;
}

static char text[1 << 17];

static const char *capture_end(struct capture capture)
{
    dup2(capture.saved, STDERR_FILENO); /* the pipe's last writer: reading ends */
    close(capture.saved);
    size_t n = 0;
    ssize_t k;
    while ((k = read(capture.reader, text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)k;
    text[n] = '\0';
    close(capture.reader);
    return text;
}

static void configure(enum conf_log_format format, enum conf_log_level level)
{
    log_init(&(struct conf_log){.format = format, .level = level});
}

static void test_a_text_line_has_time_level_event_and_pairs(void **state)
{
    (void)state;
    configure(CONF_LOG_TEXT, CONF_LOG_INFO);
    struct capture capture = capture_begin();
    log_event(LOG_INFO, "endpoint_added", LOG_STR("pool", "images"), LOG_F64("weight", 1.5));
    const char *line = capture_end(capture);
    regex_t pattern;
    assert_int_equal(regcomp(&pattern,
                             "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
                             "\\.[0-9]{3}Z INFO endpoint_added pool=images weight=1\\.5\n$",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    assert_int_equal(regexec(&pattern, line, 0, NULL, 0), 0);
    regfree(&pattern);
}

static void test_every_type_of_value_is_written(void **state)
{
    (void)state;
    configure(CONF_LOG_TEXT, CONF_LOG_INFO);
    struct capture capture = capture_begin();
    log_event(LOG_WARN, "all", LOG_STR("none", NULL), LOG_U64("u", UINT64_MAX), LOG_I64("i", -5),
              LOG_ERRNO("error", ECONNREFUSED), LOG_STR("two", "a \"b\"\n"));
    const char *line = capture_end(capture);
    assert_non_null(strstr(line, " WARN all none=- u=18446744073709551615 i=-5 "
                                 "error=\"Connection refused\" two=\"a \\\"b\\\"\\n\"\n"));
}

static void test_json_lines_are_objects(void **state)
{
    (void)state;
    configure(CONF_LOG_JSON, CONF_LOG_INFO);
    struct capture capture = capture_begin();
    log_event(LOG_ERROR, "bind_failed", LOG_STR("address", "bad \xff\n"), LOG_F64("weight", 0.25));
    json_t *object = json_loads(capture_end(capture), 0, NULL);
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "level")), "ERROR");
    assert_string_equal(json_string_value(json_object_get(object, "event")), "bind_failed");
    assert_string_equal(json_string_value(json_object_get(object, "address")), "bad \\xff\n");
    assert_true(json_real_value(json_object_get(object, "weight")) == 0.25);
    assert_int_equal(strlen(json_string_value(json_object_get(object, "time"))), 24);
    json_decref(object);
}

static void test_levels_below_the_configured_one_are_silent(void **state)
{
    (void)state;
    configure(CONF_LOG_TEXT, CONF_LOG_WARN);
    struct capture capture = capture_begin();
    log_write(LOG_DEBUG, "a", NULL);
    log_write(LOG_INFO, "b", NULL);
    log_write(LOG_WARN, "c", NULL);
    log_write(LOG_ERROR, "d", NULL);
    const char *lines = capture_end(capture);
    assert_null(strstr(lines, "DEBUG"));
    assert_null(strstr(lines, "INFO"));
    assert_non_null(strstr(lines, " WARN c\n"));
    assert_non_null(strstr(lines, " ERROR d\n"));
}

static void test_an_event_of_any_size_is_one_bounded_line(void **state)
{
    (void)state;
    static char big[100000];
    memset(big, 'x', sizeof big - 1);
    configure(CONF_LOG_TEXT, CONF_LOG_INFO);
    struct capture capture = capture_begin();
    log_event(LOG_INFO, "big", LOG_STR("one", big), LOG_STR("two", big), LOG_U64("three", 3));
    const char *line = capture_end(capture);
    assert_true(strlen(line) <= 4096);
    assert_non_null(strstr(line, "x... truncated=true\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void test_logging_keeps_errno(void **state)
{
    (void)state;
    configure(CONF_LOG_TEXT, CONF_LOG_INFO);
    struct capture capture = capture_begin();
    errno = EMFILE;
    log_event(LOG_INFO, "x", LOG_ERRNO("error", ENOENT));
    assert_int_equal(errno, EMFILE);
    capture_end(capture);
}

static void test_a_reader_that_stopped_reading_never_blocks_and_losses_are_told(void **state)
{
    (void)state;
    enum { LINES = 3000 };
    static char filler[201];
    memset(filler, 'f', sizeof filler - 1);
    configure(CONF_LOG_TEXT, CONF_LOG_INFO);
    struct capture capture = capture_begin();
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < LINES; i++) /* much more than a pipe holds */
        log_event(LOG_INFO, "burst", LOG_STR("filler", filler));
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_true(to.tv_sec - from.tv_sec < 10);

    static char first[1 << 17];
    ssize_t n = read(capture.reader, first, sizeof first - 1);
    assert_true(n > 0);
    first[n] = '\0';
    log_write(LOG_INFO, "after", NULL);
    const char *rest = capture_end(capture);
    unsigned long dropped = 0, written = 0;
    const char *told = strstr(rest, " WARN log_dropped lines=");
    assert_non_null(told);
    dropped = strtoul(told + strlen(" WARN log_dropped lines="), NULL, 10);
    for (const char *p = first; (p = strstr(p, " burst ")) != NULL; p++)
        written++;
    for (const char *p = rest; (p = strstr(p, " burst ")) != NULL; p++)
        written++;
    assert_int_equal(written + dropped, LINES);
    assert_non_null(strstr(told, " INFO after\n"));
}

enum { THREADS = 4, PER_THREAD = 100 };

static void *write_many(void *arg)
{
    for (int i = 0; i < PER_THREAD; i++)
        log_event(LOG_INFO, "many", LOG_STR("thread", arg), LOG_I64("i", i));
    return NULL;
}

static void test_lines_of_several_threads_do_not_mix(void **state)
{
    (void)state;
    static char *const names[THREADS] = {"aaaa", "bbbb", "cccc", "dddd"};
    configure(CONF_LOG_TEXT, CONF_LOG_INFO);
    struct capture capture = capture_begin();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, names[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    const char *p = capture_end(capture);
    int lines = 0;
    for (; *p != '\0'; lines++) {
        static const char fixed[] = " INFO many thread=";
        p = strchr(p, ' ');
        assert_non_null(p);
        assert_memory_equal(p, fixed, sizeof fixed - 1);
        p += sizeof fixed - 1;
        assert_int_equal(strspn(p, "abcd"), 4);
        assert_memory_equal(p + 4, " i=", 3);
        p += 7 + strspn(p + 7, "0123456789");
        assert_int_equal(*p++, '\n');
    }
    assert_int_equal(lines, THREADS * PER_THREAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_line_has_time_level_event_and_pairs),
        cmocka_unit_test(test_every_type_of_value_is_written),
        cmocka_unit_test(test_json_lines_are_objects),
        cmocka_unit_test(test_levels_below_the_configured_one_are_silent),
        cmocka_unit_test(test_an_event_of_any_size_is_one_bounded_line),
        cmocka_unit_test(test_logging_keeps_errno),
        cmocka_unit_test(test_a_reader_that_stopped_reading_never_blocks_and_losses_are_told),
        cmocka_unit_test(test_lines_of_several_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
