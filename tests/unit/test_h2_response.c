#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "balancer/http/h2_response.h"

static struct h2_response response;

static void read_head(const char *head, enum h2_asked asked)
{
    assert_true(h2_response_read(span_of(head), asked, &response));
    assert_int_equal(response.head_n, strlen(head));
}

static void assert_field(uint32_t i, const char *name, const char *value)
{
    assert_true(i < response.n_fields);
    assert_true(span_equal(response.fields[i].name, span_of(name)));
    assert_true(span_equal(response.fields[i].value, span_of(value)));
}

static void test_a_head_becomes_fields_without_those_of_the_connection(void **state)
{
    (void)state;
    read_head("HTTP/1.1 404 Not Found\r\nX-A: b\r\nConnection: close\r\nKeep-Alive: 1\r\n"
              "Upgrade: x\r\nProxy-Connection: y\r\nContent-Length: 12\r\nE:\r\n\r\n",
              H2_ASKED_OTHER);
    assert_int_equal(response.status, 404);
    assert_int_equal(response.n_fields, 4);
    assert_field(0, ":status", "404");
    assert_field(1, "X-A", "b");
    assert_field(2, "Content-Length", "12");
    assert_field(3, "E", "");
    assert_int_equal(response.framing.body, H1_BODY_LENGTH);
    assert_int_equal(response.framing.content_length, 12);
}

static void test_the_framing_is_that_of_http_1(void **state)
{
    (void)state;
    read_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", H2_ASKED_OTHER);
    assert_int_equal(response.framing.body, H1_BODY_CHUNKED);
    assert_int_equal(response.n_fields, 1);
    read_head("HTTP/1.1 200 OK\r\n\r\n", H2_ASKED_OTHER);
    assert_int_equal(response.framing.body, H1_BODY_UNTIL_CLOSE);
    read_head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", H2_ASKED_HEAD);
    assert_int_equal(response.framing.body, H1_BODY_NONE);
    read_head("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", H2_ASKED_OTHER);
    assert_int_equal(response.framing.body, H1_BODY_NONE);
    read_head("HTTP/1.1 204 No Content\r\n\r\n", H2_ASKED_OTHER);
    assert_int_equal(response.framing.body, H1_BODY_NONE);
    read_head("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", H2_ASKED_OTHER);
    assert_int_equal(response.framing.body, H1_BODY_NONE);
    read_head("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", H2_ASKED_OTHER);
    assert_int_equal(response.framing.body, H1_BODY_NONE);
    assert_int_equal(response.status, 103);
}

static void test_a_switch_of_protocols_is_a_tunnel(void **state)
{
    (void)state;
    read_head("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
              "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
              H2_ASKED_OTHER);
    assert_true(response.is_tunnel);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.n_fields, 2);
    assert_field(0, ":status", "200");
    assert_field(1, "Sec-WebSocket-Protocol", "chat");
    assert_int_equal(response.framing.body, H1_BODY_UNTIL_CLOSE);
}

static void test_half_a_head_is_none(void **state)
{
    (void)state;
    const char head[] = "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\n";
    for (size_t n = 0; n < sizeof head - 1; n++)
        assert_false(
            h2_response_read((struct span){(const uint8_t *)head, n}, H2_ASKED_OTHER, &response));
    read_head(head, H2_ASKED_OTHER);
}

static void test_more_fields_than_there_is_room_for_are_none(void **state)
{
    (void)state;
    static char head[16 * H2_MAX_FIELDS];
    int at = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < H2_MAX_FIELDS; i++)
        at += snprintf(head + at, sizeof head - (size_t)at, "a: b\r\n");
    (void)snprintf(head + at, sizeof head - (size_t)at, "\r\n");
    assert_false(h2_response_read(span_of(head), H2_ASKED_OTHER, &response));
}

static void test_trailers_are_read_to_their_empty_line(void **state)
{
    (void)state;
    struct h2_field fields[2];
    uint32_t n = 0;
    assert_int_equal(h2_trailers_read(SPAN("A: 1\r\nB: 2\r\n\r\nmore"), fields, 2, &n), 2);
    assert_int_equal(n, 14);
    assert_true(span_equal(fields[1].value, SPAN("2")));
    assert_int_equal(h2_trailers_read(SPAN("\r\n"), fields, 2, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(h2_trailers_read(SPAN("A: 1\r\nB: 2\r\n"), fields, 2, &n), -1);
    assert_int_equal(h2_trailers_read(SPAN("A: 1\r\nB: 2\r\nC: 3\r\n\r\n"), fields, 2, &n), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_head_becomes_fields_without_those_of_the_connection),
        cmocka_unit_test(test_the_framing_is_that_of_http_1),
        cmocka_unit_test(test_a_switch_of_protocols_is_a_tunnel),
        cmocka_unit_test(test_half_a_head_is_none),
        cmocka_unit_test(test_more_fields_than_there_is_room_for_are_none),
        cmocka_unit_test(test_trailers_are_read_to_their_empty_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
