#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/grpc.h"

/* A head of a request with these fields; kept for the next call only. */
struct parsed {
    struct h1_request request;
    struct h1_field fields[H1_MAX_FIELDS];
    uint8_t bytes[1024];
};

static struct parsed parsed;

static void parse(const char *method, const char *fields)
{
    static const struct h1_limits limits = {1024, 1024, 100};
    char text[sizeof parsed.bytes];
    int n = snprintf(text, sizeof text, "%s /s/m HTTP/1.1\r\nHost: a\r\n%s\r\n", method, fields);
    memcpy(parsed.bytes, text, (size_t)n);
    h1_request_init(&parsed.request, parsed.fields);
    assert_int_equal(h1_request_parse(&parsed.request, &limits, parsed.bytes, (size_t)n), H1_DONE);
}

static bool is_call(const char *method, const char *fields)
{
    parse(method, fields);
    return grpc_is_call(&parsed.request, parsed.bytes);
}

static void test_a_call_is_a_post_of_grpcs_media_type(void **state)
{
    (void)state;
    assert_true(is_call("POST", "content-type: application/grpc\r\n"));
    assert_true(is_call("POST", "Content-Type: application/grpc+proto\r\n"));
    assert_true(is_call("POST", "a: b\r\ncontent-type: Application/gRPC; x=y\r\n"));
    assert_false(is_call("GET", "content-type: application/grpc\r\n"));
    assert_false(is_call("POST", "content-type: application/grpc-web\r\n"));
    assert_false(is_call("POST", "content-type: application/grpc-web+proto\r\n"));
    assert_false(is_call("POST", "content-type: application/grp\r\n"));
    assert_false(is_call("POST", "content-type:\r\n"));
    assert_false(is_call("POST", "x-content-type: application/grpc\r\n"));
    assert_false(is_call("POST", ""));
}

/* Of a head with these values; 0: none that is valid. */
static uint64_t timeout_of(const char *value)
{
    char fields[64];
    uint64_t us = 0;
    snprintf(fields, sizeof fields, "grpc-timeout: %s\r\n", value);
    parse("POST", fields);
    struct h1_field *field = grpc_timeout_find(&parsed.request.lines, parsed.bytes, &us);
    assert_true((field != NULL) == (us != 0));
    return us;
}

static void test_timeouts_are_read_in_every_unit(void **state)
{
    (void)state;
    assert_true(timeout_of("1H") == UINT64_C(3600000000));
    assert_true(timeout_of("2M") == 120000000);
    assert_true(timeout_of("3S") == 3000000);
    assert_true(timeout_of("100m") == 100000);
    assert_true(timeout_of("7u") == 7);
    assert_true(timeout_of("2000n") == 2);
    assert_true(timeout_of("1n") == 1);
    assert_true(timeout_of("00000001S") == 1000000);
    assert_true(timeout_of("99999999H") == UINT64_C(359999996400000000));
}

static void test_other_timeouts_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",    "S",    "1",  "1s", "1h",  "-1S",        "+1S",
                                        "1 S", "1.5S", "0S", "0n", "1SS", "123456789S", "1S 1S"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_true(timeout_of(wrong[i]) == 0);
    assert_true(timeout_of("1S\r\ngrpc-timeout: 2S") == 0);
}

static void expect_written(uint64_t us, const char *text)
{
    uint8_t written[GRPC_TIMEOUT_BYTES];
    size_t n = grpc_timeout_write(us, written);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(written, text, n);
}

static void test_a_timeout_is_written_as_exactly_as_eight_digits_allow(void **state)
{
    (void)state;
    expect_written(1, "1u");
    expect_written(1500000, "1500000u");
    expect_written(99999999, "99999999u");
    expect_written(100000000, "100000m");
    expect_written(UINT64_C(100000000000), "100000S");
    expect_written(UINT64_C(359999996400000000), "99999999H");
    expect_written(UINT64_MAX, "99999999H");
}

/* -1: there is none. */
static int code_in(const char *fields)
{
    enum grpc_code code;
    parse("POST", fields);
    return grpc_code_find(&parsed.request.lines, parsed.bytes, &code) ? (int)code : -1;
}

static void test_a_status_is_the_number_of_a_code(void **state)
{
    (void)state;
    assert_int_equal(code_in(""), -1);
    assert_int_equal(code_in("x-grpc-status: 0\r\n"), -1);
    assert_int_equal(code_in("grpc-status: 0\r\n"), GRPC_OK);
    assert_int_equal(code_in("Grpc-Status: 14\r\n"), GRPC_UNAVAILABLE);
    assert_int_equal(code_in("grpc-status: 16\r\n"), GRPC_UNAUTHENTICATED);
    assert_int_equal(code_in("grpc-status: 5\r\ngrpc-status: 9\r\n"), GRPC_FAILED_PRECONDITION);
}

static void test_a_status_that_is_no_code_is_unknown(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "17", "99", "100", "-1", "x", "1x", "x1", "OK"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char fields[64];
        snprintf(fields, sizeof fields, "grpc-status: %s\r\n", wrong[i]);
        assert_int_equal(code_in(fields), GRPC_UNKNOWN);
    }
}

static void test_statuses_of_http_stand_for_codes(void **state)
{
    (void)state;
    assert_int_equal(grpc_code_of_status(400), GRPC_INTERNAL);
    assert_int_equal(grpc_code_of_status(401), GRPC_UNAUTHENTICATED);
    assert_int_equal(grpc_code_of_status(403), GRPC_PERMISSION_DENIED);
    assert_int_equal(grpc_code_of_status(404), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_code_of_status(429), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_code_of_status(502), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_code_of_status(503), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_code_of_status(504), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_code_of_status(418), GRPC_UNKNOWN);
}

static void test_reasons_stand_for_codes(void **state)
{
    (void)state;
    assert_int_equal(grpc_code_of_reason(REASON_NO_ROUTE), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_code_of_reason(REASON_TOTAL_TIMEOUT), GRPC_DEADLINE_EXCEEDED);
    assert_int_equal(grpc_code_of_reason(REASON_NO_ENDPOINT), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_code_of_reason(REASON_UPSTREAM_CLOSED), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_code_of_reason(REASON_BODY_TOO_LARGE), GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(grpc_code_of_reason(REASON_CLIENT_GONE), GRPC_CANCELLED);
    assert_int_equal(grpc_code_of_reason(REASON_DRAINED), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_code_of_reason(REASON_INTERNAL), GRPC_INTERNAL);
}

static void test_codes_have_the_words_of_their_specification(void **state)
{
    (void)state;
    assert_string_equal(grpc_code_word(GRPC_OK), "OK");
    assert_string_equal(grpc_code_word(GRPC_UNAVAILABLE), "UNAVAILABLE");
    assert_int_equal(GRPC_UNAVAILABLE, 14);
    assert_int_equal(GRPC_CODE_COUNT, 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_is_a_post_of_grpcs_media_type),
        cmocka_unit_test(test_timeouts_are_read_in_every_unit),
        cmocka_unit_test(test_other_timeouts_are_none),
        cmocka_unit_test(test_a_timeout_is_written_as_exactly_as_eight_digits_allow),
        cmocka_unit_test(test_a_status_is_the_number_of_a_code),
        cmocka_unit_test(test_a_status_that_is_no_code_is_unknown),
        cmocka_unit_test(test_statuses_of_http_stand_for_codes),
        cmocka_unit_test(test_reasons_stand_for_codes),
        cmocka_unit_test(test_codes_have_the_words_of_their_specification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
