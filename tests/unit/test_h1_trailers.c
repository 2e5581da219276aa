#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/h1.h"
#include "tests/unit/h1_feed.h"

static const struct h1_limits limits = {.head_bytes = 1024, .target_bytes = 10, .fields = 20};

static enum h1_status parse_with(struct span message, const struct h1_limits *by,
                                 struct h1_trailers *ret_trailers)
{
    struct feed feed = {parse_trailers, message};
    static struct trailers_state state; /* the fields of what is returned */
    trailers_state_init(&state, by);
    enum h1_status status = feed_whole(&feed, &state);
    for (size_t at = 0; at < message.n; at++)
        if (!trailers_agree(message, by, at, status, &state.trailers))
            fail_msg("split at %zu differs: %.*s", at, (int)message.n, (const char *)message.p);
    *ret_trailers = state.trailers;
    return status;
}

static void test_an_empty_section_is_one_line_end(void **state)
{
    (void)state;
    struct h1_trailers trailers;
    assert_int_equal(parse_with(SPAN("\r\nGET / HTTP/1.1\r\n"), &limits, &trailers), H1_DONE);
    assert_int_equal(trailers.total_n, 2);
    assert_int_equal(trailers.lines.n_fields, 0);
}

static void test_fields_are_read_to_the_empty_line(void **state)
{
    (void)state;
    struct h1_trailers trailers;
    struct span text = SPAN("Checksum: abc \r\nServer-Timing:x\r\n\r\nrest");
    assert_int_equal(parse_with(text, &limits, &trailers), H1_DONE);
    assert_int_equal(trailers.total_n, text.n - 4);
    assert_int_equal(trailers.lines.n_fields, 2);
    const struct h1_field *fields = trailers.lines.fields;
    assert_true(span_equal(h1_field_name(&fields[0], text.p), SPAN("Checksum")));
    assert_true(span_equal(h1_field_value(&fields[0], text.p), SPAN("abc")));
    assert_true(span_equal(h1_field_value(&fields[1], text.p), SPAN("x")));
    assert_false(fields[0].is_hop);
    assert_false(fields[1].is_hop);
}

static void test_fields_that_frame_route_or_authenticate_are_marked(void **state)
{
    (void)state;
    static const char *const forbidden[] = {
        "Content-Length",  "Transfer-Encoding", "Host",
        "Connection",      "Trailer",           "TE",
        "Cookie",          "Set-Cookie",        "Authorization",
        "Content-Type",    "Content-Range",     "CONTENT-ENCODING",
        "Expect",          "Max-Forwards",      "Via",
        "X-Forwarded-For", "Cache-Control",     "If-None-Match",
        "Range",           "Upgrade",
    };
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s: 1\r\n\r\n", forbidden[i]);
        struct h1_trailers trailers;
        assert_int_equal(parse_with(span_of(text), &limits, &trailers), H1_DONE);
        if (!trailers.lines.fields[0].is_hop)
            fail_msg("%s is let through", forbidden[i]);
    }
    static const char *const allowed[] = {"Date", "ETag", "Content-Digest", "Content-Lengths",
                                          "X-Content-Length"};
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s: 1\r\n\r\n", allowed[i]);
        struct h1_trailers trailers;
        assert_int_equal(parse_with(span_of(text), &limits, &trailers), H1_DONE);
        if (trailers.lines.fields[0].is_hop)
            fail_msg("%s is held back", allowed[i]);
    }
}

static void test_malformed_sections_are_refused_with_the_callers_reason(void **state)
{
    (void)state;
    const struct span sections[] = {
        SPAN("\n"),
        SPAN("\r\r\n"),
        SPAN("\rX"),
        SPAN("X\r\n"),
        SPAN("X : y\r\n"),
        SPAN(" X: y\r\n"),
        SPAN(": y\r\n"),
        SPAN("X: y\n\n"),
        SPAN("X: y\r\n z\r\n"),
        SPAN("X: \0\r\n"),
        SPAN("GET / HTTP/1.1\r\n"),
    };
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        struct h1_trailers trailers;
        assert_int_equal(parse_with(sections[i], &limits, &trailers), H1_ERROR);
        assert_int_equal(trailers.reason, REASON_UPSTREAM_BAD);
    }
}

static void test_limits_hold_for_trailers(void **state)
{
    (void)state;
    struct h1_limits small = {.head_bytes = 20, .target_bytes = 10, .fields = 2};
    struct h1_trailers trailers;
    assert_int_equal(parse_with(SPAN("A: 1\r\nB: 2\r\n\r\n"), &small, &trailers), H1_DONE);
    assert_int_equal(parse_with(SPAN("A:1\r\nB:2\r\nC:3\r\n\r\n"), &small, &trailers), H1_ERROR);
    assert_int_equal(parse_with(SPAN("A: 345678901234\r\n\r\n"), &small, &trailers), H1_DONE);
    assert_int_equal(parse_with(SPAN("A: 3456789012345\r\n\r\n"), &small, &trailers), H1_DONE);
    assert_int_equal(parse_with(SPAN("A: 34567890123456\r\n\r\n"), &small, &trailers), H1_ERROR);
    assert_int_equal(parse_with(SPAN("A: 3456789012345678"), &small, &trailers), H1_MORE);
    assert_int_equal(parse_with(SPAN("A: 34567890123456789"), &small, &trailers), H1_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_section_is_one_line_end),
        cmocka_unit_test(test_fields_are_read_to_the_empty_line),
        cmocka_unit_test(test_fields_that_frame_route_or_authenticate_are_marked),
        cmocka_unit_test(test_malformed_sections_are_refused_with_the_callers_reason),
        cmocka_unit_test(test_limits_hold_for_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
