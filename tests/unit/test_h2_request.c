#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "balancer/http/h2_request.h"

#define ROOM 4096
#define KEY SPAN("0123456789012345678901==")

static uint8_t room[ROOM];
static char text[2 * ROOM];

static enum h2_verdict add(struct h2_head *head, const char *name, const char *value)
{
    return h2_head_add(head, span_of(name), span_of(value));
}

static struct h2_head begin(const char *method, const char *path)
{
    struct h2_head head;
    h2_head_init(&head, H2_REQUEST, room, sizeof room);
    assert_int_equal(add(&head, ":method", method), H2_FINE);
    assert_int_equal(add(&head, ":scheme", "https"), H2_FINE);
    assert_int_equal(add(&head, ":authority", "a.example"), H2_FINE);
    assert_int_equal(add(&head, ":path", path), H2_FINE);
    return head;
}

static const char *join(const struct h2_head *head, enum h2_body body)
{
    struct span spans[H2_REQUEST_SPANS];
    size_t n = h2_request_spans(head, h2_request_kind(head), body, KEY, spans), at = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(text + at, spans[i].p, spans[i].n);
        at += spans[i].n;
    }
    text[at] = '\0';
    return text;
}

static void test_a_request_becomes_one_of_http_1(void **state)
{
    (void)state;
    struct h2_head head = begin("GET", "/a?b=c");
    add(&head, "x-a", "b");
    add(&head, "empty", "");
    assert_int_equal(h2_request_kind(&head), H2_PLAIN);
    assert_string_equal(join(&head, H2_BODY_NONE), "GET /a?b=c HTTP/1.1\r\nHost: a.example\r\n"
                                                   "x-a: b\r\nempty: \r\n\r\n");
}

static void test_a_body_without_length_is_chunked(void **state)
{
    (void)state;
    struct h2_head head = begin("POST", "/");
    assert_string_equal(join(&head, H2_BODY_FOLLOWS), "POST / HTTP/1.1\r\nHost: a.example\r\n"
                                                      "Transfer-Encoding: chunked\r\n\r\n");
    add(&head, "content-length", "5");
    assert_string_equal(join(&head, H2_BODY_FOLLOWS), "POST / HTTP/1.1\r\nHost: a.example\r\n"
                                                      "content-length: 5\r\n\r\n");
}

static void test_crumbs_of_cookies_become_one_field(void **state)
{
    (void)state;
    struct h2_head head = begin("GET", "/");
    add(&head, "cookie", "a=1");
    add(&head, "x-a", "b");
    add(&head, "cookie", "c=2");
    add(&head, "cookie", "d=3");
    add(&head, "x-b", "c");
    assert_string_equal(join(&head, H2_BODY_NONE),
                        "GET / HTTP/1.1\r\nHost: a.example\r\n"
                        "cookie: a=1; c=2; d=3\r\nx-a: b\r\nx-b: c\r\n\r\n");
}

static void test_host_and_authority_agree(void **state)
{
    (void)state;
    struct h2_head head = begin("GET", "/");
    assert_int_equal(add(&head, "host", "A.EXAMPLE"), H2_FINE);
    assert_int_equal(add(&head, "host", "a.example"), H2_MALFORMED); /* not twice */
    head = begin("GET", "/");
    assert_int_equal(add(&head, "host", "b.example"), H2_MALFORMED);
    h2_head_init(&head, H2_REQUEST, room, sizeof room);
    add(&head, ":method", "GET");
    add(&head, ":scheme", "http");
    add(&head, ":path", "/");
    add(&head, "host", "b.example");
    assert_string_equal(join(&head, H2_BODY_NONE), "GET / HTTP/1.1\r\nhost: b.example\r\n\r\n");
}

static void test_fields_that_are_wrong_are_malformed(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"X-a", "b"},
        {"", "b"},
        {"x a", "b"},
        {"x:a", "b"},
        {"x-a", " b"},
        {"x-a", "b\t"},
        {"x-a", "b\rc"},
        {"x-a", "b\nc"},
        {"x-a", "\x01"},
        {"x-a", "\x7f"},
        {"connection", "close"},
        {"te", "gzip"},
        {"upgrade", "h2c"},
        {"keep-alive", "1"},
        {"transfer-encoding", "chunked"},
        {"proxy-connection", "close"},
        {":path", "/"},
        {":status", "200"},
        {":x", "y"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct h2_head head = begin("GET", "/");
        assert_int_equal(add(&head, wrong[i][0], wrong[i][1]), H2_MALFORMED);
        assert_int_equal(add(&head, "x-fine", "1"), H2_MALFORMED); /* it stays so */
        assert_int_equal(h2_request_kind(&head), H2_INVALID);
    }
    struct h2_head head = begin("GET", "/");
    assert_int_equal(h2_head_add(&head, SPAN("x-a"), (struct span){(const uint8_t *)"b\0c", 3}),
                     H2_MALFORMED);
    head = begin("GET", "/");
    assert_int_equal(add(&head, "te", "trailers"), H2_FINE);
    assert_int_equal(add(&head, "x-a", "caf\xc3\xa9"), H2_FINE);
}

static void test_pseudo_fields_have_to_go_together(void **state)
{
    (void)state;
    static const char *const wrong[][4] = {
        /* method, scheme, path, protocol */
        {NULL, "http", "/", NULL},           {"GET", NULL, "/", NULL},
        {"GET", "http", NULL, NULL},         {"GET", "http", "a", NULL},
        {"GET", "http", "*", NULL},          {"GET", "http", "/", "websocket"},
        {"G(T", "http", "/", NULL},          {"CONNECT", "http", "/", NULL},
        {"CONNECT", NULL, "/", "websocket"}, {"CONNECT", "http", NULL, "websocket"},
    };
    static const char *const names[] = {":method", ":scheme", ":path", ":protocol"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct h2_head head;
        h2_head_init(&head, H2_REQUEST, room, sizeof room);
        add(&head, ":authority", "a");
        for (size_t k = 0; k < 4; k++)
            if (wrong[i][k] != NULL)
                add(&head, names[k], wrong[i][k]);
        assert_int_equal(h2_request_kind(&head), H2_INVALID);
    }
    struct h2_head head = begin("OPTIONS", "*");
    assert_int_equal(h2_request_kind(&head), H2_PLAIN);
}

static void test_a_path_cannot_end_the_request_line(void **state)
{
    (void)state;
    static const char *const paths[] = {"/ HTTP/1.1", "/\r\nX: y", "/a b", "/\x7f", ""};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct h2_head head;
        h2_head_init(&head, H2_REQUEST, room, sizeof room);
        assert_int_equal(add(&head, ":path", paths[i]), H2_MALFORMED);
    }
}

static void test_websocket_is_an_upgrade_with_a_key_of_ours(void **state)
{
    (void)state;
    struct h2_head head = begin("CONNECT", "/chat");
    add(&head, ":protocol", "websocket");
    add(&head, "sec-websocket-key", "theirs");
    add(&head, "sec-websocket-version", "13");
    assert_int_equal(h2_request_kind(&head), H2_WEBSOCKET);
    assert_string_equal(join(&head, H2_BODY_FOLLOWS),
                        "GET /chat HTTP/1.1\r\nHost: a.example\r\nsec-websocket-version: 13\r\n"
                        "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Key: 0123456789012345678901==\r\n\r\n");
    head = begin("CONNECT", "/");
    add(&head, ":protocol", "connect-udp");
    assert_int_equal(h2_request_kind(&head), H2_OTHER_PROTOCOL);
}

static void test_plain_connect_keeps_its_form_to_be_refused(void **state)
{
    (void)state;
    struct h2_head head;
    h2_head_init(&head, H2_REQUEST, room, sizeof room);
    add(&head, ":method", "CONNECT");
    add(&head, ":authority", "a:443");
    assert_string_equal(join(&head, H2_BODY_NONE), "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
}

static void test_what_does_not_fit_is_too_large_and_nothing_is_written_behind(void **state)
{
    (void)state;
    for (uint32_t size = 0; size < 80; size++) {
        struct h2_head head;
        memset(room, 0xee, 128);
        h2_head_init(&head, H2_REQUEST, room, size);
        add(&head, ":method", "GET");
        add(&head, ":scheme", "http");
        add(&head, ":path", "/0123456789");
        add(&head, "cookie", "0123456789");
        add(&head, "cookie", "abcdefghij");
        add(&head, "x-a", "0123456789");
        assert_int_equal(head.verdict, size < 67 ? H2_TOO_LARGE : H2_FINE);
        assert_int_equal(room[size], 0xee);
    }
}

static void test_trailers_have_no_pseudo_fields(void **state)
{
    (void)state;
    struct h2_head head;
    h2_head_init(&head, H2_TRAILERS, room, sizeof room);
    assert_int_equal(add(&head, "x-sum", "1"), H2_FINE);
    struct span fields = h2_head_fields(&head);
    assert_int_equal(fields.n, 10);
    assert_memory_equal(fields.p, "x-sum: 1\r\n", 10);
    assert_int_equal(add(&head, ":path", "/"), H2_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_becomes_one_of_http_1),
        cmocka_unit_test(test_a_body_without_length_is_chunked),
        cmocka_unit_test(test_crumbs_of_cookies_become_one_field),
        cmocka_unit_test(test_host_and_authority_agree),
        cmocka_unit_test(test_fields_that_are_wrong_are_malformed),
        cmocka_unit_test(test_pseudo_fields_have_to_go_together),
        cmocka_unit_test(test_a_path_cannot_end_the_request_line),
        cmocka_unit_test(test_websocket_is_an_upgrade_with_a_key_of_ours),
        cmocka_unit_test(test_plain_connect_keeps_its_form_to_be_refused),
        cmocka_unit_test(test_what_does_not_fit_is_too_large_and_nothing_is_written_behind),
        cmocka_unit_test(test_trailers_have_no_pseudo_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
