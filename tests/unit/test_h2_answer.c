#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "balancer/http/h2_answer.h"

static uint8_t room[256];
static struct h2_head head;

static enum h2_verdict add(const char *name, const char *value)
{
    return h2_head_add(&head, span_of(name), span_of(value));
}

static void begin(const char *status)
{
    h2_head_init(&head, H2_RESPONSE, room, sizeof room);
    assert_int_equal(add(":status", status), H2_FINE);
}

static void assert_text(enum h2_asked asked, enum h2_body follows, const char *expected)
{
    struct span spans[H2_ANSWER_SPANS];
    char text[512];
    size_t at = 0;
    size_t n = h2_answer_spans(&head, h2_answer_body(&head, asked, follows), spans);
    for (size_t i = 0; i < n; i++) {
        memcpy(text + at, spans[i].p, spans[i].n);
        at += spans[i].n;
    }
    text[at] = '\0';
    assert_string_equal(text, expected);
}

static void test_a_head_becomes_lines(void **state)
{
    (void)state;
    begin("200");
    assert_int_equal(add("x-a", "b"), H2_FINE);
    assert_int_equal(add("content-length", "3"), H2_FINE);
    assert_int_equal(add("set-cookie", "a"), H2_FINE);
    assert_int_equal(add("set-cookie", "b"), H2_FINE);
    assert_int_equal(h2_answer_status(&head), 200);
    assert_text(H2_ASKED_OTHER, H2_BODY_FOLLOWS,
                "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 3\r\nset-cookie: a\r\n"
                "set-cookie: b\r\n\r\n");
}

static void test_a_body_without_a_length_is_chunked_and_none_at_all_is_empty(void **state)
{
    (void)state;
    begin("404");
    assert_text(H2_ASKED_OTHER, H2_BODY_FOLLOWS,
                "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_text(H2_ASKED_OTHER, H2_BODY_NONE,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

static void test_what_has_no_body_says_nothing_of_one(void **state)
{
    (void)state;
    begin("200");
    assert_text(H2_ASKED_HEAD, H2_BODY_FOLLOWS, "HTTP/1.1 200 OK\r\n\r\n");
    assert_text(H2_ASKED_HEAD, H2_BODY_NONE, "HTTP/1.1 200 OK\r\n\r\n");
    begin("204");
    assert_text(H2_ASKED_OTHER, H2_BODY_NONE, "HTTP/1.1 204 No Content\r\n\r\n");
    begin("304");
    assert_text(H2_ASKED_OTHER, H2_BODY_FOLLOWS, "HTTP/1.1 304 Not Modified\r\n\r\n");
    begin("103");
    assert_text(H2_ASKED_OTHER, H2_BODY_FOLLOWS, "HTTP/1.1 103 Early Hints\r\n\r\n");
}

static void test_a_status_is_three_digits_and_not_101(void **state)
{
    (void)state;
    const char *const bad[] = {"20", "2000", "2x0", "099", "101", "+20", "000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        begin(bad[i]);
        assert_int_equal(h2_answer_status(&head), 0);
    }
    begin("999");
    assert_int_equal(h2_answer_status(&head), 999);
    h2_head_init(&head, H2_RESPONSE, room, sizeof room);
    assert_int_equal(h2_answer_status(&head), 0);
}

static void assert_malformed(const char *name, const char *value)
{
    begin("200");
    assert_int_equal(add("x", "y"), H2_FINE);
    assert_int_equal(add(name, value), H2_MALFORMED);
    assert_int_equal(h2_answer_status(&head), 0);
}

static void test_malformed_fields_spoil_a_head(void **state)
{
    (void)state;
    assert_malformed(":status", "200"); /* behind a field */
    assert_malformed("X", "1");
    assert_malformed("a b", "1");
    assert_malformed("", "1");
    assert_malformed("connection", "close");
    assert_malformed("transfer-encoding", "chunked");
    assert_malformed("upgrade", "x");
    assert_malformed("x", "a\r\nb: c");
    assert_malformed("x", " a");
    begin("200");
    assert_int_equal(add(":status", "200"), H2_MALFORMED);
    begin("200");
    assert_int_equal(add(":path", "/"), H2_MALFORMED);
}

static void test_a_status_is_not_for_requests_or_trailers(void **state)
{
    (void)state;
    h2_head_init(&head, H2_REQUEST, room, sizeof room);
    assert_int_equal(add(":status", "200"), H2_MALFORMED);
    h2_head_init(&head, H2_TRAILERS, room, sizeof room);
    assert_int_equal(add(":status", "200"), H2_MALFORMED);
}

static void test_a_head_that_does_not_fit_is_none(void **state)
{
    (void)state;
    static const char value[] = "0123456789012345678901234567890123456789";
    begin("200");
    enum h2_verdict verdict = H2_FINE;
    for (int i = 0; i < 10; i++)
        verdict = add("name", value);
    assert_int_equal(verdict, H2_TOO_LARGE);
    assert_int_equal(h2_answer_status(&head), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_head_becomes_lines),
        cmocka_unit_test(test_a_body_without_a_length_is_chunked_and_none_at_all_is_empty),
        cmocka_unit_test(test_what_has_no_body_says_nothing_of_one),
        cmocka_unit_test(test_a_status_is_three_digits_and_not_101),
        cmocka_unit_test(test_malformed_fields_spoil_a_head),
        cmocka_unit_test(test_a_status_is_not_for_requests_or_trailers),
        cmocka_unit_test(test_a_head_that_does_not_fit_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
