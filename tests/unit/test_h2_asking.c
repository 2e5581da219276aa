#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "balancer/http/h2_asking.h"

static struct h2_asking asking;

static void read_head(const char *head)
{
    assert_true(h2_asking_read(span_of(head), SPAN("https"), SPAN("x-id"), &asking));
    assert_int_equal(asking.head_n, strlen(head));
}

static void assert_field(uint32_t i, const char *name, const char *value)
{
    assert_true(i < asking.n_fields);
    assert_true(span_equal(asking.fields[i].name, span_of(name)));
    assert_true(span_equal(asking.fields[i].value, span_of(value)));
}

static void test_a_head_becomes_fields_without_those_of_the_connection(void **state)
{
    (void)state;
    read_head(
        "GET /a?b HTTP/1.1\r\nX-A: b\r\nHost: a.test:80\r\nConnection: TE\r\nKeep-Alive: 1\r\n"
        "Upgrade: x\r\nProxy-Connection: y\r\nTE: trailers\r\nCookie: a; b\r\n\r\n");
    assert_int_equal(asking.n_fields, 7);
    assert_field(0, ":method", "GET");
    assert_field(1, ":scheme", "https");
    assert_field(2, ":path", "/a?b");
    assert_field(3, ":authority", "a.test:80");
    assert_field(4, "X-A", "b");
    assert_field(5, "TE", "trailers");
    assert_field(6, "Cookie", "a; b");
    assert_int_equal(asking.framing.body, H1_BODY_NONE);
    assert_int_equal(asking.asked, H2_ASKED_OTHER);
}

static void test_an_empty_host_is_no_authority(void **state)
{
    (void)state;
    const char *const heads[] = {"HEAD * HTTP/1.1\r\nHost: \r\nA: 1\r\nB: 2\r\n\r\n",
                                 "HEAD * HTTP/1.1\r\nA: 1\r\nB: 2\r\n\r\n"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        read_head(heads[i]);
        assert_int_equal(asking.n_fields, 5);
        assert_field(0, ":method", "HEAD");
        assert_field(2, ":path", "*");
        assert_field(3, "A", "1");
        assert_field(4, "B", "2");
        assert_int_equal(asking.asked, H2_ASKED_HEAD);
    }
}

static void test_what_is_of_one_client_or_request_is_private(void **state)
{
    (void)state;
    read_head("GET / HTTP/1.1\r\nHost: a\r\nCookie: a\r\nAuthorization: b\r\nX-ID: 1\r\n"
              "X-Forwarded-For: c\r\nAccept: d\r\nX-Forwarded-Proto: e\r\n\r\n");
    const bool expected[] = {false, false, false, false, true, true, true, true, false, false};
    assert_int_equal(asking.n_fields, sizeof expected / sizeof *expected);
    for (uint32_t i = 0; i < asking.n_fields; i++)
        assert_int_equal(asking.fields[i].is_private, expected[i]);
}

static void test_the_framing_is_that_of_http_1(void **state)
{
    (void)state;
    read_head("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(asking.framing.body, H1_BODY_CHUNKED);
    assert_int_equal(asking.n_fields, 4);
    read_head("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n");
    assert_int_equal(asking.framing.body, H1_BODY_LENGTH);
    assert_int_equal(asking.framing.content_length, 12);
    assert_field(4, "Content-Length", "12");
    read_head("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(asking.framing.body, H1_BODY_NONE);
}

static void test_a_part_of_a_head_is_none(void **state)
{
    (void)state;
    const struct span head = SPAN("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
    for (size_t n = 0; n < head.n; n++)
        assert_false(h2_asking_read((struct span){head.p, n}, SPAN("http"), SPAN("x-id"), &asking));
    assert_true(h2_asking_read(head, SPAN("http"), SPAN("x-id"), &asking));
    assert_false(
        h2_asking_read(SPAN("GET /\r\nHost: a\r\n\r\n"), SPAN("http"), SPAN("x-id"), &asking));
}

static void test_more_fields_than_there_is_room_for_are_refused(void **state)
{
    (void)state;
    static char head[16 * H2_MAX_FIELDS];
    size_t n = (size_t)snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i <= H2_MAX_FIELDS; i++)
        n += (size_t)snprintf(head + n, sizeof head - n, "a: b\r\n");
    (void)snprintf(head + n, sizeof head - n, "\r\n");
    assert_false(h2_asking_read(span_of(head), SPAN("http"), SPAN("x-id"), &asking));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_head_becomes_fields_without_those_of_the_connection),
        cmocka_unit_test(test_an_empty_host_is_no_authority),
        cmocka_unit_test(test_what_is_of_one_client_or_request_is_private),
        cmocka_unit_test(test_the_framing_is_that_of_http_1),
        cmocka_unit_test(test_a_part_of_a_head_is_none),
        cmocka_unit_test(test_more_fields_than_there_is_room_for_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
