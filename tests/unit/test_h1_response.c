#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/h1.h"
#include "tests/unit/h1_feed.h"

static const struct h1_limits limits = {.head_bytes = 16384, .target_bytes = 10, .fields = 100};

static enum h1_status parse_with(struct span message, const struct h1_limits *by,
                                 enum h1_method method, struct h1_response *ret_response)
{
    struct feed feed = {parse_response, message};
    static struct response_state state; /* the fields of what is returned */
    response_state_init(&state, by, method);
    enum h1_status status = feed_whole(&feed, &state);
    for (size_t at = 0; at < message.n; at++)
        if (!response_agrees(message, by, method, at, status, &state.response))
            fail_msg("split at %zu differs: %.*s", at, (int)message.n, (const char *)message.p);
    *ret_response = state.response;
    return status;
}

static void expect_done(struct span message, enum h1_method method,
                        struct h1_response *ret_response)
{
    if (parse_with(message, &limits, method, ret_response) != H1_DONE)
        fail_msg("expected done: %.*s", (int)message.n, (const char *)message.p);
}

static void expect_error(struct span message)
{
    struct h1_response response;
    enum h1_status status = parse_with(message, &limits, H1_GET, &response);
    if (status != H1_ERROR || response.reason != REASON_UPSTREAM_BAD)
        fail_msg("expected an error: %.*s", (int)message.n, (const char *)message.p);
}

static void test_a_common_answer_is_taken_apart(void **state)
{
    (void)state;
    struct span text = SPAN("HTTP/1.1 404 Not Found at all\r\n"
                            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                            "X-Obs: \xe4\r\n"
                            "Content-Length: 12\r\n"
                            "\r\n"
                            "body \n\0");
    struct h1_response response;
    expect_done(text, H1_GET, &response);
    assert_int_equal(response.head_n, text.n - 7);
    assert_int_equal(response.status, 404);
    assert_int_equal(response.minor, 1);
    struct span phrase = {text.p + response.phrase.at, response.phrase.n};
    assert_true(span_equal(phrase, SPAN("Not Found at all")));
    assert_int_equal(response.lines.n_fields, 3);
    assert_int_equal(response.lines.fields[0].id, H1_DATE);
    assert_true(span_equal(h1_field_value(&response.lines.fields[1], text.p), SPAN("\xe4")));
    assert_int_equal(response.framing.body, H1_BODY_LENGTH);
    assert_int_equal(response.framing.content_length, 12);
    assert_true(response.framing.keep_alive);
}

static void test_phrases_may_be_missing_with_or_without_their_space(void **state)
{
    (void)state;
    const struct {
        struct span line, phrase;
    } cases[] = {
        {SPAN("HTTP/1.1 200\r\n\r\n"), SPAN("")},
        {SPAN("HTTP/1.1 200 \r\n\r\n"), SPAN("")},
        {SPAN("HTTP/1.1 200  \r\n\r\n"), SPAN(" ")},
        {SPAN("HTTP/1.1 200 OK\r\n\r\n"), SPAN("OK")},
        {SPAN("HTTP/1.1 200 \xc3\xa4\t(b)\r\n\r\n"), SPAN("\xc3\xa4\t(b)")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct h1_response response;
        expect_done(cases[i].line, H1_GET, &response);
        struct span phrase = {cases[i].line.p + response.phrase.at, response.phrase.n};
        assert_true(span_equal(phrase, cases[i].phrase));
    }
}

static void test_malformed_status_lines_are_refused(void **state)
{
    (void)state;
    const struct span lines[] = {
        SPAN("\r\n"),
        SPAN("\n"),
        SPAN("200 OK\r\n"),
        SPAN("HTTP/1.1\r\n"),
        SPAN("HTTP/1.1 \r\n"),
        SPAN("HTTP/1.1 2\r\n"),
        SPAN("HTTP/1.1 20\r\n"),
        SPAN("HTTP/1.1 20 OK\r\n"),
        SPAN("HTTP/1.1 2000 OK\r\n"),
        SPAN("HTTP/1.1 200OK\r\n"),
        SPAN("HTTP/1.1 200\tOK\r\n"),
        SPAN("HTTP/1.1  200 OK\r\n"),
        SPAN("HTTP/1.1\t200 OK\r\n"),
        SPAN(" HTTP/1.1 200 OK\r\n"),
        SPAN("HTTP/1.1 -20 OK\r\n"),
        SPAN("HTTP/1.1 +20 OK\r\n"),
        SPAN("HTTP/1.1 2x0 OK\r\n"),
        SPAN("HTTP/1.1 000 OK\r\n"),
        SPAN("HTTP/1.1 099 OK\r\n"),
        SPAN("HTTP/2.0 200 OK\r\n"),
        SPAN("HTTP/2 200 OK\r\n"),
        SPAN("HTTP/0.9 200 OK\r\n"),
        SPAN("HTTP/1. 200 OK\r\n"),
        SPAN("HTTP/1.10 200 OK\r\n"),
        SPAN("http/1.1 200 OK\r\n"),
        SPAN("ICY 200 OK now\r\n"),
        SPAN("HTTP/1.1 200 OK\n"),
        SPAN("HTTP/1.1 200 OK\r\r\n"),
        SPAN("HTTP/1.1 200 O\0K\r\n"),
        SPAN("HTTP/1.1 200 O\x1bK\r\n"),
        SPAN("HTTP/1.1 200 OK\rX: y\r\n"),
        SPAN("GET / HTTP/1.1\r\n"),
        SPAN("<html>not found</html>\r\n"),
        SPAN("\x15\x03\x01\x00\x02\x02\x46"),
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        expect_error(lines[i]);
}

static void test_statuses_from_100_to_999_pass(void **state)
{
    (void)state;
    for (int status = 100; status <= 999; status++) {
        char text[64];
        snprintf(text, sizeof(text), "HTTP/1.1 %d\r\n\r\n", status);
        struct response_state parsed;
        response_state_init(&parsed, &limits, H1_GET);
        struct feed feed = {parse_response, span_of(text)};
        assert_int_equal(feed_whole(&feed, &parsed), H1_DONE);
        assert_int_equal(parsed.response.status, status);
    }
}

static void test_malformed_fields_are_refused(void **state)
{
    (void)state;
    const struct span lines[] = {
        SPAN("Name : value\r\n"),
        SPAN(" Name: value\r\n"),
        SPAN("X: a\r\n b\r\n"),
        SPAN(": value\r\n"),
        SPAN("Name\r\n"),
        SPAN("X: a\0b\r\n"),
        SPAN("X: a\nY: b\r\n"),
        SPAN("X: a\rY: b\r\n"),
        SPAN("X: a\x7f\r\n"),
        SPAN("Content-Length: 1\r\nContent-Length: 1\r\n"),
        SPAN("Content-Length: 1\r\nContent-Length: 2\r\n"),
        SPAN("Content-Length: 1, 1\r\n"),
        SPAN("Content-Length: -1\r\n"),
        SPAN("Content-Length:\r\n"),
        SPAN("Content-Length: 9223372036854775808\r\n"),
        SPAN("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
        SPAN("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"),
        SPAN("Transfer-Encoding: gzip\r\n"),
        SPAN("Transfer-Encoding: identity\r\n"),
        SPAN("Transfer-Encoding: gzip, chunked\r\n"),
        SPAN("Transfer-Encoding: chunked, gzip\r\n"),
        SPAN("Transfer-Encoding: chunked, chunked\r\n"),
        SPAN("Transfer-Encoding: xchunked\r\n"),
        SPAN("Transfer-Encoding:\r\n"),
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char text[256];
        size_t n = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n");
        n = put(text, put(text, n, lines[i]), SPAN("\r\n"));
        expect_error((struct span){(uint8_t *)text, n});
    }
    expect_error(SPAN("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

static void expect_body(const char *status, const char *fields, enum h1_method method,
                        enum h1_body_kind body)
{
    char text[256];
    snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n%s\r\n", status, fields);
    struct h1_response response;
    expect_done(span_of(text), method, &response);
    if (response.framing.body != body)
        fail_msg("body kind %d instead of %d: %s", (int)response.framing.body, (int)body, text);
}

static void test_bodies_are_framed_by_status_method_and_fields_in_this_order(void **state)
{
    (void)state;
    static const char length[] = "Content-Length: 5\r\n";
    static const char chunked[] = "Transfer-Encoding: Chunked\r\n";
    expect_body("200 OK", "", H1_GET, H1_BODY_UNTIL_CLOSE);
    expect_body("200 OK", length, H1_GET, H1_BODY_LENGTH);
    expect_body("200 OK", "Content-Length: 0\r\n", H1_GET, H1_BODY_LENGTH);
    expect_body("200 OK", chunked, H1_GET, H1_BODY_CHUNKED);
    expect_body("500 Oh", chunked, H1_POST, H1_BODY_CHUNKED);
    expect_body("205 Reset", length, H1_GET, H1_BODY_LENGTH);
    static const char *const bodyless[] = {"100", "101", "103", "199", "204", "304"};
    for (size_t i = 0; i < 6; i++) {
        expect_body(bodyless[i], "", H1_GET, H1_BODY_NONE);
        expect_body(bodyless[i], length, H1_GET, H1_BODY_NONE);
        expect_body(bodyless[i], chunked, H1_GET, H1_BODY_NONE);
    }
    expect_body("200 OK", "", H1_HEAD, H1_BODY_NONE);
    expect_body("200 OK", length, H1_HEAD, H1_BODY_NONE);
    expect_body("404 No", chunked, H1_HEAD, H1_BODY_NONE);
}

static void test_an_answer_to_head_says_what_it_announces(void **state)
{
    (void)state;
    struct h1_response response;
    expect_done(SPAN("HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"), H1_HEAD, &response);
    assert_true(response.framing.has_content_length);
    assert_int_equal(response.framing.content_length, 77);
    assert_true(response.framing.keep_alive);
}

static void expect_keep_alive(const char *text, bool is_kept)
{
    struct h1_response response;
    expect_done(span_of(text), H1_GET, &response);
    if (response.framing.keep_alive != is_kept)
        fail_msg("keep_alive is wrong: %s", text);
}

static void test_connections_are_kept_when_the_body_has_an_end_and_the_upstream_agrees(void **state)
{
    (void)state;
    expect_keep_alive("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", true);
    expect_keep_alive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true);
    expect_keep_alive("HTTP/1.1 204 No\r\n\r\n", true);
    expect_keep_alive("HTTP/1.1 200 OK\r\n\r\n", false);
    expect_keep_alive("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", false);
    expect_keep_alive("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\n", false);
    expect_keep_alive("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false);
    expect_keep_alive("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
                      true);
}

static void test_upgrade_counts_only_when_connection_names_it(void **state)
{
    (void)state;
    struct h1_response response;
    expect_done(SPAN("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
                H1_GET, &response);
    assert_true(response.framing.has_upgrade);
    assert_true(response.lines.fields[0].is_hop);
    assert_true(response.lines.fields[1].is_hop);
    expect_done(SPAN("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n"), H1_GET, &response);
    assert_false(response.framing.has_upgrade);
}

static void test_named_fields_are_marked(void **state)
{
    (void)state;
    struct h1_response response;
    expect_done(SPAN("HTTP/1.1 204 No\r\nConnection: close, x-b\r\nX-A: 1\r\nX-B: 2\r\n"
                     "Keep-Alive: timeout=5\r\nVia: 1.1 a\r\n\r\n"),
                H1_GET, &response);
    const bool expected[] = {true, false, true, true, false};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(response.lines.fields[i].is_hop, expected[i]);
}

static void test_limits_hold_for_answers(void **state)
{
    (void)state;
    struct h1_limits small = {.head_bytes = 64, .target_bytes = 10, .fields = 2};
    struct h1_response response;
    struct span two = SPAN("HTTP/1.1 204 No\r\nA: 1\r\nB: 2\r\n\r\n");
    struct span three = SPAN("HTTP/1.1 204 No\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
    assert_int_equal(parse_with(two, &small, H1_GET, &response), H1_DONE);
    assert_int_equal(parse_with(three, &small, H1_GET, &response), H1_ERROR);
    assert_int_equal(response.reason, REASON_UPSTREAM_BAD);

    for (size_t n = 62; n <= 67; n++) {
        char text[80];
        memset(text, 'x', sizeof(text));
        put(text, 0, SPAN("HTTP/1.1 204 No\r\nA: "));
        put(text, n - 4, SPAN("\r\n\r\n"));
        struct span message = {(uint8_t *)text, n};
        assert_int_equal(parse_with(message, &small, H1_GET, &response),
                         n <= 64 ? H1_DONE : H1_ERROR);
        memset(text + 9, '2', sizeof(text) - 9);
        message.n = 63;
        assert_int_equal(parse_with(message, &small, H1_GET, &response), H1_MORE);
        message.n = n;
        assert_int_equal(parse_with(message, &small, H1_GET, &response),
                         n < 64 ? H1_MORE : H1_ERROR);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_common_answer_is_taken_apart),
        cmocka_unit_test(test_phrases_may_be_missing_with_or_without_their_space),
        cmocka_unit_test(test_malformed_status_lines_are_refused),
        cmocka_unit_test(test_statuses_from_100_to_999_pass),
        cmocka_unit_test(test_malformed_fields_are_refused),
        cmocka_unit_test(test_bodies_are_framed_by_status_method_and_fields_in_this_order),
        cmocka_unit_test(test_an_answer_to_head_says_what_it_announces),
        cmocka_unit_test(
            test_connections_are_kept_when_the_body_has_an_end_and_the_upstream_agrees),
        cmocka_unit_test(test_upgrade_counts_only_when_connection_names_it),
        cmocka_unit_test(test_named_fields_are_marked),
        cmocka_unit_test(test_limits_hold_for_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
