/* Bodies from one end to the other, over socket pairs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/proxy/relay.h"
#include "balancer/proxy/worker.h"

#define SMALL 32768

static void ignore_io(struct conn *conn, int revents)
{
    (void)conn, (void)revents;
}

static void ignore_deadline(struct conn *conn, enum reason reason)
{
    (void)conn, (void)reason;
}

static const struct conn_ops ops = {.on_io = ignore_io, .on_deadline = ignore_deadline};

/* from.far ==> [from.near relay to.near] ==> to.far */
struct fixture {
    struct worker worker;
    struct conn from, to;
    int from_far, to_far;
    struct relay relay;
    struct h1_limits limits;
    uint8_t got[1 << 20];
    size_t n_got;
};

static void open_pair(struct fixture *f, struct conn *near, int *far)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    conn_init(near, &f->worker, fds[0], &ops);
    *far = fds[1];
}

static int setup(void **state)
{
    struct fixture *f = aligned_alloc(64, (sizeof *f + 63) / 64 * 64);
    assert_non_null(f);
    memset(f, 0, sizeof *f);
    f->worker.loop = ev_loop_new(EVFLAG_AUTO);
    buffer_pool_init(&f->worker.buffers, SMALL);
    f->limits = (struct h1_limits){.head_bytes = 4096, .target_bytes = 1024, .fields = 16};
    open_pair(f, &f->from, &f->from_far);
    open_pair(f, &f->to, &f->to_far);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    conn_close(&f->from);
    conn_close(&f->to);
    (void)close(f->from_far);
    (void)close(f->to_far);
    buffer_pool_fini(&f->worker.buffers);
    pipe_pool_fini(&f->worker.pipes);
    assert_int_equal(f->worker.pipes.n_open, 0);
    ev_loop_destroy(f->worker.loop);
    free(f);
    return 0;
}

static void begin(struct fixture *f, enum h1_body_kind kind, uint64_t length,
                  enum relay_framing framing)
{
    const struct h1_framing in = {.body = kind, .content_length = length};
    relay_init(&f->relay, &f->from, &f->to, &in, REASON_UPSTREAM_BAD);
    f->relay.framing = framing;
    f->relay.limits = &f->limits;
}

static void send_in(struct fixture *f, const void *bytes, size_t n)
{
    assert_int_equal(send(f->from_far, bytes, n, 0), (ssize_t)n);
    (void)conn_read(&f->from);
}

static void receive(struct fixture *f)
{
    ssize_t n;
    while ((n = recv(f->to_far, f->got + f->n_got, sizeof f->got - f->n_got, 0)) > 0)
        f->n_got += (size_t)n;
}

static void assert_got(struct fixture *f, const char *text)
{
    receive(f);
    assert_int_equal(f->n_got, strlen(text));
    assert_memory_equal(f->got, text, f->n_got);
}

static void test_a_sized_body_passes_as_it_is(void **state)
{
    struct fixture *f = *state;
    begin(f, H1_BODY_LENGTH, 11, RELAY_RAW);
    send_in(f, "hello", 5);
    assert_int_equal(relay_run(&f->relay), RELAY_WAITS_FOR_INPUT);
    send_in(f, " world, and more", 16);
    assert_int_equal(relay_run(&f->relay), RELAY_ENDED);
    assert_got(f, "hello world");
    assert_int_equal(f->relay.bytes, 11);
    assert_int_equal(buffer_used(&f->from.in), 10); /* the next message stays */
}

static void test_chunks_are_written_anew(void **state)
{
    struct fixture *f = *state;
    begin(f, H1_BODY_CHUNKED, 0, RELAY_CHUNKED);
    const char in[] = "00005;name=value\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n";
    send_in(f, in, sizeof in - 1);
    assert_int_equal(relay_run(&f->relay), RELAY_ENDED);
    assert_got(f, "5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n");
}

static void test_trailers_pass_but_framing_fields_do_not(void **state)
{
    struct fixture *f = *state;
    begin(f, H1_BODY_CHUNKED, 0, RELAY_CHUNKED);
    const char in[] = "1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 5\r\nX-End: 2\r\n\r\n";
    send_in(f, in, sizeof in - 1);
    assert_int_equal(relay_run(&f->relay), RELAY_ENDED);
    assert_got(f, "1\r\nx\r\n0\r\nX-Sum: 1\r\nX-End: 2\r\n\r\n");
}

static void test_trailers_may_come_long_after_the_last_chunk(void **state)
{
    struct fixture *f = *state;
    begin(f, H1_BODY_CHUNKED, 0, RELAY_CHUNKED);
    send_in(f, "1\r\nx\r\n0\r\n", 9);
    assert_int_equal(relay_run(&f->relay), RELAY_WAITS_FOR_INPUT);
    send_in(f, "X-Sum: 1\r\n", 10);
    assert_int_equal(relay_run(&f->relay), RELAY_WAITS_FOR_INPUT);
    send_in(f, "\r\n", 2);
    assert_int_equal(relay_run(&f->relay), RELAY_ENDED);
    assert_got(f, "1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n");
}

static void test_an_unsized_body_becomes_chunks_that_end_with_the_connection(void **state)
{
    struct fixture *f = *state;
    begin(f, H1_BODY_UNTIL_CLOSE, 0, RELAY_CHUNKED);
    send_in(f, "abc", 3);
    assert_int_equal(relay_run(&f->relay), RELAY_WAITS_FOR_INPUT);
    assert_int_equal(shutdown(f->from_far, SHUT_WR), 0);
    assert_int_equal(conn_read(&f->from), -1);
    assert_int_equal(relay_run(&f->relay), RELAY_ENDED);
    assert_got(f, "3\r\nabc\r\n0\r\n\r\n");
}

static void test_a_body_that_ends_early_is_bad(void **state)
{
    struct fixture *f = *state;
    begin(f, H1_BODY_LENGTH, 10, RELAY_RAW);
    send_in(f, "abc", 3);
    assert_int_equal(shutdown(f->from_far, SHUT_WR), 0);
    assert_int_equal(conn_read(&f->from), -1);
    assert_int_equal(relay_run(&f->relay), RELAY_INPUT_BAD);
}

static void test_a_body_over_its_limit_is_refused(void **state)
{
    struct fixture *f = *state;
    begin(f, H1_BODY_CHUNKED, 0, RELAY_CHUNKED);
    f->relay.limit_bytes = 8;
    const char in[] = "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n";
    send_in(f, in, sizeof in - 1);
    assert_int_equal(relay_run(&f->relay), RELAY_INPUT_TOO_BIG);
}

static void test_a_receiver_that_is_gone_is_told(void **state)
{
    struct fixture *f = *state;
    begin(f, H1_BODY_LENGTH, 4, RELAY_RAW);
    send_in(f, "data", 4);
    assert_int_equal(shutdown(f->to_far, SHUT_RDWR), 0);
    assert_int_equal(relay_run(&f->relay), RELAY_OUTPUT_FAILED);
}

/* Feeds a megabyte through a receiver that takes it in its own time. */
static void relay_megabyte(struct fixture *f, enum h1_body_kind kind, enum relay_framing framing)
{
    enum { TOTAL = 1 << 19 };
    static uint8_t data[TOTAL];
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    begin(f, kind, TOTAL, framing);
    size_t sent = 0;
    bool waited_for_room = false;
    for (int turns = 0; turns < 100000 && f->n_got < TOTAL; turns++) {
        ssize_t n = send(f->from_far, data + sent, TOTAL - sent, 0);
        if (n > 0)
            sent += (size_t)n;
        if (buffer_has_room(&f->from.in))
            (void)conn_read(&f->from);
        enum relay_result result = relay_run(&f->relay);
        waited_for_room |= result == RELAY_WAITS_FOR_ROOM;
        assert_true(buffer_used(&f->from.in) <= BUFFER_LARGE_BYTES);
        if (result == RELAY_WAITS_FOR_ROOM || result == RELAY_ENDED)
            receive(f);
    }
    assert_true(waited_for_room);
    assert_int_equal(f->n_got, TOTAL);
    assert_memory_equal(f->got, data, TOTAL);
}

static void test_back_pressure_bounds_the_memory_and_loses_nothing(void **state)
{
    relay_megabyte(*state, H1_BODY_LENGTH, RELAY_RAW);
}

static void test_staged_bytes_leave_before_the_body(void **state)
{
    struct fixture *f = *state;
    begin(f, H1_BODY_LENGTH, 5, RELAY_RAW);
    assert_true(buffer_append(&f->to.out, &f->worker.buffers, SPAN("head\r\n\r\n")));
    send_in(f, "12345", 5);
    assert_int_equal(relay_run(&f->relay), RELAY_ENDED);
    assert_got(f, "head\r\n\r\n12345");
}

/* ---- through the kernel ---- */

enum { LONG = 300000 };

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 11 + i / 241);
}

/* Sends bytes [at, at + n) of a long body, and lets the relay move them. */
static enum relay_result send_part(struct fixture *f, size_t at, size_t n)
{
    static uint8_t bytes[LONG];
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(at + i);
    send_in(f, bytes, n);
    return relay_run(&f->relay);
}

static void begin_piped(struct fixture *f)
{
    pipe_pool_init(&f->worker.pipes, 1);
    assert_true(f->worker.pipes.max > 0);
    begin(f, H1_BODY_LENGTH, LONG, RELAY_RAW);
    assert_int_equal(send_part(f, 0, 1000), RELAY_WAITS_FOR_INPUT);
    assert_int_equal(f->from.pipe_left, LONG - 1000);
}

static void assert_got_long(struct fixture *f, size_t n)
{
    receive(f);
    assert_int_equal(f->n_got, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(f->got[i], pattern(i));
}

static void test_the_rest_of_a_long_body_goes_through_a_pipe(void **state)
{
    struct fixture *f = *state;
    begin_piped(f);
    enum relay_result result = RELAY_WAITS_FOR_INPUT;
    for (size_t at = 1000; at < LONG; at += 13000) {
        result = send_part(f, at, LONG - at < 13000 ? LONG - at : 13000);
        assert_null(f->from.in.data);
        receive(f);
    }
    assert_int_equal(result, RELAY_ENDED);
    assert_int_equal(f->relay.bytes, LONG);
    assert_null(f->from.pipe);
    assert_int_equal(f->to.written, LONG);
    assert_got_long(f, LONG);
}

static void test_a_pipe_takes_nothing_of_the_next_message(void **state)
{
    struct fixture *f = *state;
    begin_piped(f);
    for (size_t at = 1000; at < LONG - 20000; at += 10000) {
        assert_int_equal(send_part(f, at, 10000), RELAY_WAITS_FOR_INPUT);
        receive(f);
    }
    assert_int_equal(f->from.pipe_left, 29000 - 10000);
    uint8_t last[19000 + 4];
    for (size_t i = 0; i < 19000; i++)
        last[i] = pattern(LONG - 19000 + i);
    memcpy(last + 19000, "next", 4);
    send_in(f, last, sizeof last);
    assert_int_equal(relay_run(&f->relay), RELAY_ENDED);
    assert_got_long(f, LONG);
    assert_int_equal(conn_read(&f->from), 4);
    assert_memory_equal(buffer_bytes(&f->from.in), "next", 4);
}

static void test_a_full_pipe_is_not_read_into(void **state)
{
    struct fixture *f = *state;
    pipe_pool_init(&f->worker.pipes, 1);
    relay_megabyte(f, H1_BODY_LENGTH, RELAY_RAW);
    assert_true(f->relay.was_piped);
}

static void test_a_piped_body_that_ends_early_is_bad(void **state)
{
    struct fixture *f = *state;
    begin_piped(f);
    assert_int_equal(send_part(f, 1000, 5000), RELAY_WAITS_FOR_INPUT);
    assert_int_equal(shutdown(f->from_far, SHUT_WR), 0);
    assert_int_equal(conn_read(&f->from), -1);
    assert_true(f->from.read_ended);
    assert_int_equal(relay_run(&f->relay), RELAY_INPUT_BAD);
    assert_got_long(f, 6000);
}

static void test_the_receiver_of_a_piped_body_that_is_gone_is_told(void **state)
{
    struct fixture *f = *state;
    assert_ptr_not_equal(signal(SIGPIPE, SIG_IGN), SIG_ERR);
    begin_piped(f);
    assert_int_equal(shutdown(f->to_far, SHUT_RDWR), 0);
    assert_int_equal(send_part(f, 1000, 5000), RELAY_OUTPUT_FAILED);
}

static void test_without_a_pipe_bytes_are_copied(void **state)
{
    struct fixture *f = *state;
    begin_piped(f);
    f->worker.pipes.max = 0;
    assert_int_equal(send_part(f, 1000, 5000), RELAY_WAITS_FOR_INPUT);
    assert_false(f->relay.was_piped);
    assert_got_long(f, 6000);
}

static void test_a_short_rest_is_not_worth_a_pipe(void **state)
{
    struct fixture *f = *state;
    pipe_pool_init(&f->worker.pipes, 1);
    begin(f, H1_BODY_LENGTH, 10000, RELAY_RAW);
    assert_int_equal(send_part(f, 0, 1000), RELAY_WAITS_FOR_INPUT);
    assert_int_equal(f->from.pipe_left, 0);
}

static void test_what_is_left_in_a_pipe_goes_with_its_connection(void **state)
{
    struct fixture *f = *state;
    begin_piped(f);
    uint8_t bytes[5000] = {0};
    send_in(f, bytes, sizeof bytes);
    assert_non_null(f->from.pipe);
    conn_close(&f->from);
    assert_null(f->from.pipe);
    assert_int_equal(f->worker.pipes.n_free, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_sized_body_passes_as_it_is),
        TEST(test_chunks_are_written_anew),
        TEST(test_trailers_pass_but_framing_fields_do_not),
        TEST(test_trailers_may_come_long_after_the_last_chunk),
        TEST(test_an_unsized_body_becomes_chunks_that_end_with_the_connection),
        TEST(test_a_body_that_ends_early_is_bad),
        TEST(test_a_body_over_its_limit_is_refused),
        TEST(test_a_receiver_that_is_gone_is_told),
        TEST(test_back_pressure_bounds_the_memory_and_loses_nothing),
        TEST(test_staged_bytes_leave_before_the_body),
        TEST(test_the_rest_of_a_long_body_goes_through_a_pipe),
        TEST(test_a_pipe_takes_nothing_of_the_next_message),
        TEST(test_a_full_pipe_is_not_read_into),
        TEST(test_a_piped_body_that_ends_early_is_bad),
        TEST(test_the_receiver_of_a_piped_body_that_is_gone_is_told),
        TEST(test_without_a_pipe_bytes_are_copied),
        TEST(test_a_short_rest_is_not_worth_a_pipe),
        TEST(test_what_is_left_in_a_pipe_goes_with_its_connection),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
