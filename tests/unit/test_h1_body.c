#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/h1.h"
#include "tests/unit/h1_feed.h"

static void expect_same(struct body_feed feed, const struct body_result *whole)
{
    struct body_result result = feed_body(&feed);
    if (!body_results_agree(whole, &result))
        fail_msg("first %zu step %zu take %zu differs: %.*s", feed.first, feed.step, feed.take,
                 (int)feed.stream.n, (const char *)feed.stream.p);
}

/* Reads in every way; all must agree with the whole. */
static struct body_result read_all_ways(struct h1_framing framing, struct span stream)
{
    struct body_feed feed = {.framing = framing, .stream = stream, .take = SIZE_MAX};
    struct body_result whole = feed_body(&feed);
    for (size_t take = 1; take <= 3; take++)
        expect_same((struct body_feed){framing, stream, 0, 0, take}, &whole);
    size_t most = stream.n < 300 ? stream.n : 7;
    for (size_t step = 1; step <= most; step++)
        expect_same((struct body_feed){framing, stream, 0, step, SIZE_MAX}, &whole);
    for (size_t first = 1; first < stream.n; first += stream.n < 300 ? 1 : 97)
        expect_same((struct body_feed){framing, stream, first, 0, SIZE_MAX}, &whole);
    return whole;
}

static void expect_chunks(struct span stream, enum h1_status status, struct span payload,
                          size_t rest)
{
    struct h1_framing framing = {.body = H1_BODY_CHUNKED};
    struct body_result result = read_all_ways(framing, stream);
    struct span is = {result.copied, result.payload};
    if (result.status != status || !span_equal(is, payload) ||
        (status != H1_ERROR && stream.n - result.read != rest))
        fail_msg("status %d, %zu payload bytes, %zu left: %.*s", (int)result.status, result.payload,
                 stream.n - result.read, (int)stream.n, (const char *)stream.p);
    free(result.copied);
}

static void test_chunks_are_put_together(void **state)
{
    (void)state;
    expect_chunks(SPAN("5\r\nhello\r\n0\r\n\r\n"), H1_TRAILERS, SPAN("hello"), 2);
    expect_chunks(SPAN("5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n"), H1_TRAILERS,
                  SPAN("hello world"), 8);
    expect_chunks(SPAN("0\r\n\r\nGET / HTTP/1.1\r\n"), H1_TRAILERS, SPAN(""), 18);
    expect_chunks(SPAN("1\r\na\r\n1\r\nb\r\n1\r\n\r\r\n1\r\n\n\r\n0\r\n"), H1_TRAILERS,
                  SPAN("ab\r\n"), 0);
    expect_chunks(SPAN("a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n"), H1_TRAILERS,
                  SPAN("01234567890123456789"), 0);
    expect_chunks(SPAN("0000000000000003\r\nabc\r\n0000000000000000\r\n"), H1_TRAILERS, SPAN("abc"),
                  0);
    expect_chunks(SPAN("3\r\n0\r\n\r\n0\r\n\r\n"), H1_TRAILERS, SPAN("0\r\n"), 2);
}

static void test_unfinished_chunks_want_more(void **state)
{
    (void)state;
    expect_chunks(SPAN(""), H1_MORE, SPAN(""), 0);
    expect_chunks(SPAN("5"), H1_MORE, SPAN(""), 0);
    expect_chunks(SPAN("5;a"), H1_MORE, SPAN(""), 0);
    expect_chunks(SPAN("5\r"), H1_MORE, SPAN(""), 0);
    expect_chunks(SPAN("5\r\n"), H1_MORE, SPAN(""), 0);
    expect_chunks(SPAN("5\r\nhel"), H1_MORE, SPAN("hel"), 0);
    expect_chunks(SPAN("5\r\nhello"), H1_MORE, SPAN("hello"), 0);
    expect_chunks(SPAN("5\r\nhello\r"), H1_MORE, SPAN("hello"), 0);
    expect_chunks(SPAN("5\r\nhello\r\n"), H1_MORE, SPAN("hello"), 0);
    expect_chunks(SPAN("7fffffffffffffff\r\nabc"), H1_MORE, SPAN("abc"), 0);
}

static void test_extensions_are_dropped(void **state)
{
    (void)state;
    expect_chunks(SPAN("1;a\r\nx\r\n0\r\n"), H1_TRAILERS, SPAN("x"), 0);
    expect_chunks(SPAN("1;a=b;c=\"d;e\\\"f\"\r\nx\r\n0;z\r\n"), H1_TRAILERS, SPAN("x"), 0);
    expect_chunks(SPAN("1 \t; a = b\r\nx\r\n0\r\n"), H1_TRAILERS, SPAN("x"), 0);
    expect_chunks(SPAN("1;\r\nx\r\n0\r\n"), H1_TRAILERS, SPAN("x"), 0);
    expect_chunks(SPAN("1;\xc3\xa4\r\nx\r\n0\r\n"), H1_TRAILERS, SPAN("x"), 0);
}

static void test_malformed_chunks_are_refused(void **state)
{
    (void)state;
    const struct {
        struct span stream, payload;
    } cases[] = {
        {SPAN("\r\n"), SPAN("")},
        {SPAN("\n"), SPAN("")},
        {SPAN(" 5\r\nhello\r\n"), SPAN("")},
        {SPAN("\t5\r\n"), SPAN("")},
        {SPAN(";a\r\n"), SPAN("")},
        {SPAN("+5\r\n"), SPAN("")},
        {SPAN("-5\r\n"), SPAN("")},
        {SPAN("0x5\r\n"), SPAN("")},
        {SPAN("x\r\n"), SPAN("")},
        {SPAN("g\r\n"), SPAN("")},
        {SPAN("G\r\n"), SPAN("")},
        {SPAN("@\r\n"), SPAN("")},
        {SPAN("`\r\n"), SPAN("")},
        {SPAN("/\r\n"), SPAN("")},
        {SPAN(":\r\n"), SPAN("")},
        {SPAN("5,\r\n"), SPAN("")},
        {SPAN("5.0\r\n"), SPAN("")},
        {SPAN("5_0\r\n"), SPAN("")},
        {SPAN("\"5\"\r\n"), SPAN("")},
        {SPAN("5 5\r\n"), SPAN("")},
        {SPAN("5 \r\n"), SPAN("")},
        {SPAN("5\t\r\n"), SPAN("")},
        {SPAN("5 a\r\n"), SPAN("")},
        {SPAN("5\n"), SPAN("")},
        {SPAN("5\rhello"), SPAN("")},
        {SPAN("5\r\r\n"), SPAN("")},
        {SPAN("5;a\n"), SPAN("")},
        {SPAN("5;a\rb\r\n"), SPAN("")},
        {SPAN("5;\"\n\"\r\n"), SPAN("")},
        {SPAN("5;a\0b\r\n"), SPAN("")},
        {SPAN("5;a\x0b\r\n"), SPAN("")},
        {SPAN("5;a\x7f\r\n"), SPAN("")},
        {SPAN("5\0\r\n"), SPAN("")},
        {SPAN("5\x0b\r\n"), SPAN("")},
        {SPAN("\xef\xbc\x95\r\n"), SPAN("")},
        {SPAN("00000000000000000\r\n"), SPAN("")},
        {SPAN("00000000000000005\r\n"), SPAN("")},
        {SPAN("8000000000000000\r\n"), SPAN("")},
        {SPAN("ffffffffffffffff\r\n"), SPAN("")},
        {SPAN("10000000000000005\r\n"), SPAN("")},
        {SPAN("fffffffffffffffffffffffff\r\n"), SPAN("")},
        {SPAN("5\r\nhellox\r\n"), SPAN("hello")},
        {SPAN("5\r\nhello\n0\r\n"), SPAN("hello")},
        {SPAN("5\r\nhello\r0\r\n"), SPAN("hello")},
        {SPAN("5\r\nhello0\r\n"), SPAN("hello")},
        {SPAN("5\r\nhello\r\n\r\n"), SPAN("hello")},
        {SPAN("5\r\nhello\r\n 0\r\n"), SPAN("hello")},
        {SPAN("5\r\nhel\r\n0\r\n\r\n"), SPAN("hel\r\n")},
        {SPAN("1\r\na\r\nx\r\n"), SPAN("a")},
        {SPAN("0\r\x0b"), SPAN("")},
        {SPAN("0\n\n"), SPAN("")},
        {SPAN("0 \r\n\r\n"), SPAN("")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_chunks(cases[i].stream, H1_ERROR, cases[i].payload, 0);
}

static void test_a_broken_reader_stays_broken_and_keeps_its_reason(void **state)
{
    (void)state;
    struct h1_framing framing = {.body = H1_BODY_CHUNKED};
    struct h1_body body;
    struct h1_run run;
    h1_body_init(&body, &framing, REASON_UPSTREAM_BAD);
    assert_int_equal(h1_body_next(&body, (const uint8_t *)"x", 1, &run), H1_ERROR);
    assert_int_equal(h1_body_next(&body, (const uint8_t *)"0\r\n", 3, &run), H1_ERROR);
    assert_int_equal(body.reason, REASON_UPSTREAM_BAD);
}

static void test_trailers_are_announced_again_and_again(void **state)
{
    (void)state;
    struct h1_framing framing = {.body = H1_BODY_CHUNKED};
    struct h1_body body;
    struct h1_run run;
    h1_body_init(&body, &framing, REASON_BAD_REQUEST);
    assert_int_equal(h1_body_next(&body, (const uint8_t *)"0\r\nX", 4, &run), H1_TRAILERS);
    assert_int_equal(run.skip, 3);
    assert_int_equal(h1_body_next(&body, (const uint8_t *)"X", 1, &run), H1_TRAILERS);
    assert_int_equal(run.skip, 0);
}

/* "1" and an extension that makes the line n bytes long. */
static struct span size_line(size_t n)
{
    uint8_t *text = malloc(n + 10);
    memset(text, 'x', n);
    put(text, 0, SPAN("1;"));
    put(text, n, SPAN("\r\na\r\n0\r\n"));
    return (struct span){text, n + 8};
}

static void test_a_size_line_may_have_4096_bytes_and_no_more(void **state)
{
    (void)state;
    struct span longest = size_line(4096), longer = size_line(4097);
    expect_chunks(longest, H1_TRAILERS, SPAN("a"), 0);
    expect_chunks(longer, H1_ERROR, SPAN(""), 0);
    free((void *)longest.p);
    free((void *)longer.p);

    /* The limit is a line's, not the body's. */
    uint8_t stream[3 * 3010];
    for (size_t i = 0; i < 3; i++) {
        memset(stream + i * 3010, 'x', 3010);
        put(stream, i * 3010, i < 2 ? SPAN("1;") : SPAN("0;"));
        put(stream, (i + 1) * 3010 - 5, SPAN("\r\na\r\n"));
    }
    expect_chunks((struct span){stream, sizeof(stream)}, H1_TRAILERS, SPAN("aa"), 3);
}

static void test_a_body_with_a_length_ends_there(void **state)
{
    (void)state;
    struct h1_framing framing = {H1_BODY_LENGTH, 5, true, true, false};
    struct body_result result = read_all_ways(framing, SPAN("helloGET /"));
    assert_int_equal(result.status, H1_DONE);
    assert_int_equal(result.payload, 5);
    assert_int_equal(result.read, 5);
    free(result.copied);

    result = read_all_ways(framing, SPAN("hell"));
    assert_int_equal(result.status, H1_MORE);
    assert_int_equal(result.payload, 4);
    free(result.copied);

    framing.content_length = 0;
    result = read_all_ways(framing, SPAN("x"));
    assert_int_equal(result.status, H1_DONE);
    assert_int_equal(result.read, 0);
    free(result.copied);
}

static void test_no_body_is_done_at_once(void **state)
{
    (void)state;
    struct h1_framing framing = {.body = H1_BODY_NONE, .content_length = 7};
    struct body_result result = read_all_ways(framing, SPAN("x"));
    assert_int_equal(result.status, H1_DONE);
    assert_int_equal(result.read, 0);
    free(result.copied);
}

static void test_a_body_until_close_takes_everything(void **state)
{
    (void)state;
    struct h1_framing framing = {.body = H1_BODY_UNTIL_CLOSE};
    struct span stream = SPAN("5\r\nhello\r\n0\r\n\r\n");
    struct body_result result = read_all_ways(framing, stream);
    assert_int_equal(result.status, H1_MORE);
    assert_int_equal(result.payload, stream.n);
    free(result.copied);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks_are_put_together),
        cmocka_unit_test(test_unfinished_chunks_want_more),
        cmocka_unit_test(test_extensions_are_dropped),
        cmocka_unit_test(test_malformed_chunks_are_refused),
        cmocka_unit_test(test_a_broken_reader_stays_broken_and_keeps_its_reason),
        cmocka_unit_test(test_trailers_are_announced_again_and_again),
        cmocka_unit_test(test_a_size_line_may_have_4096_bytes_and_no_more),
        cmocka_unit_test(test_a_body_with_a_length_ends_there),
        cmocka_unit_test(test_no_body_is_done_at_once),
        cmocka_unit_test(test_a_body_until_close_takes_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
