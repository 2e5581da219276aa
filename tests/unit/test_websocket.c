/* Which answers to a WebSocket handshake prove that the key was read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "balancer/http/websocket.h"

/* RFC 6455 section 1.3. */
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ACCEPT "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

/* Whether a response with these fields accepts a request with those. */
static bool is_accepted(const char *request_fields, const char *response_fields)
{
    static const struct h1_limits limits = {.head_bytes = 4096, .target_bytes = 100, .fields = 10};
    struct h1_field request_room[H1_MAX_FIELDS], response_room[H1_MAX_FIELDS];
    struct h1_request request;
    struct h1_response response;
    char asks[512], answers[512];
    (void)snprintf(asks, sizeof asks, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", request_fields);
    (void)snprintf(answers, sizeof answers,
                   "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n%s\r\n",
                   response_fields);
    h1_request_init(&request, request_room);
    h1_response_init(&response, response_room);
    assert_int_equal(h1_request_parse(&request, &limits, (const uint8_t *)asks, strlen(asks)),
                     H1_DONE);
    assert_int_equal(
        h1_response_parse(&response, &limits, H1_GET, (const uint8_t *)answers, strlen(answers)),
        H1_DONE);
    return websocket_is_accepted(&request.lines, (const uint8_t *)asks, &response.lines,
                                 (const uint8_t *)answers);
}

static void test_the_digest_of_the_key_accepts_it(void **state)
{
    (void)state;
    assert_true(is_accepted(KEY, "Server: a\r\n" ACCEPT));
}

static void test_anything_else_does_not(void **state)
{
    (void)state;
    assert_false(is_accepted(KEY, ""));
    assert_false(is_accepted(KEY, "Sec-WebSocket-Accept:\r\n"));
    assert_false(is_accepted(KEY, "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_false(is_accepted(KEY, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n"));
    assert_false(is_accepted(KEY, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo==\r\n"));
    assert_false(is_accepted(KEY, ACCEPT ACCEPT));
}

static void test_without_one_whole_key_nothing_is_accepted(void **state)
{
    (void)state;
    assert_false(is_accepted("", ACCEPT));
    assert_false(is_accepted(KEY KEY, ACCEPT));
    assert_false(is_accepted("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n", ACCEPT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_digest_of_the_key_accepts_it),
        cmocka_unit_test(test_anything_else_does_not),
        cmocka_unit_test(test_without_one_whole_key_nothing_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
