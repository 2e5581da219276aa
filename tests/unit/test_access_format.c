#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "balancer/log/access_format.h"

static char buffer[ACCESS_LINE_MAX + 1];

static struct access_entry usual(void)
{
    return (struct access_entry){.time_us = 1795205280123456, /* 2026-11-20T20:08:00.123456Z */
                                 .client = "192.0.2.7",
                                 .client_port = 40000,
                                 .method = SPAN("GET"),
                                 .target = SPAN("/a?b=1"),
                                 .host = SPAN("example.com"),
                                 .referer = SPAN("http://r/"),
                                 .user_agent = SPAN("curl/7.88.1"),
                                 .version = ACCESS_HTTP_1_1,
                                 .status = 200,
                                 .reason = REASON_OK,
                                 .pool = "images",
                                 .endpoint = "10.0.0.1:80",
                                 .key = SPAN("/a"),
                                 .attempts = 1,
                                 .bytes_in = 0,
                                 .bytes_out = 512,
                                 .total_us = 1234,
                                 .connect_us = 200,
                                 .response_us = 900};
}

static const char *format(enum conf_access_format how, const struct access_entry *entry)
{
    memset(buffer, '#', sizeof buffer);
    size_t n = access_format(how, entry, buffer);
    assert_true(n <= ACCESS_LINE_MAX);
    assert_int_equal(buffer[ACCESS_LINE_MAX], '#');
    assert_ptr_equal(memchr(buffer, '\n', n), buffer + n - 1);
    buffer[n] = '\0';
    return buffer;
}

static void test_the_combined_line_reads_as_other_servers_write_it(void **state)
{
    (void)state;
    struct access_entry entry = usual();
    assert_string_equal(format(CONF_ACCESS_COMBINED, &entry),
                        "192.0.2.7 - - [20/Nov/2026:20:08:00 +0000] \"GET /a?b=1 HTTP/1.1\" 200 "
                        "512 \"http://r/\" \"curl/7.88.1\" host=example.com reason=ok pool=images "
                        "endpoint=10.0.0.1:80 key=/a attempts=1 bytes_in=0 bytes_out=512 "
                        "total_us=1234 connect_us=200 response_us=900\n");
}

static void test_the_json_line_has_every_field(void **state)
{
    (void)state;
    struct access_entry entry = usual();
    assert_string_equal(format(CONF_ACCESS_JSON, &entry),
                        "{\"time\":\"2026-11-20T20:08:00.123456Z\",\"client\":\"192.0.2.7\","
                        "\"client_port\":40000,\"method\":\"GET\",\"target\":\"/a?b=1\","
                        "\"version\":\"1.1\",\"host\":\"example.com\",\"status\":200,"
                        "\"reason\":\"ok\",\"pool\":\"images\",\"endpoint\":\"10.0.0.1:80\","
                        "\"key\":\"/a\",\"attempts\":1,\"bytes_in\":0,\"bytes_out\":512,"
                        "\"total_us\":1234,\"connect_us\":200,\"response_us\":900,"
                        "\"referer\":\"http://r/\",\"user_agent\":\"curl/7.88.1\"}\n");
}

static void test_a_call_of_grpc_shows_its_status_also_if_that_is_zero(void **state)
{
    (void)state;
    struct access_entry entry = usual();
    assert_null(strstr(format(CONF_ACCESS_JSON, &entry), "grpc_status"));
    entry.is_grpc = true;
    assert_non_null(
        strstr(format(CONF_ACCESS_JSON, &entry), "\"reason\":\"ok\",\"grpc_status\":0,"));
    entry.grpc_code = GRPC_UNAVAILABLE;
    assert_non_null(
        strstr(format(CONF_ACCESS_COMBINED, &entry), " reason=ok grpc_status=14 pool=images"));
}

static void test_a_request_that_could_not_be_read_still_has_its_line(void **state)
{
    (void)state;
    struct access_entry entry = {
        .client = "::1", .reason = REASON_CLIENT_GONE, .time_us = 1795205280000000};
    assert_string_equal(format(CONF_ACCESS_COMBINED, &entry),
                        "::1 - - [20/Nov/2026:20:08:00 +0000] \"-\" 000 0 \"-\" \"-\" "
                        "reason=client_gone attempts=0 bytes_in=0 bytes_out=0 total_us=0 "
                        "connect_us=0 response_us=0\n");
    json_t *object = json_loads(format(CONF_ACCESS_JSON, &entry), 0, NULL);
    assert_non_null(object);
    assert_null(json_object_get(object, "endpoint"));
    assert_null(json_object_get(object, "target"));
    json_decref(object);
}

static void test_what_a_client_sends_cannot_forge_a_line_or_a_field(void **state)
{
    (void)state;
    const struct span hostile = SPAN("x\" 200 0\r\n10.0.0.1 - - \"\x1b[2J\\ \xff status=200");
    struct access_entry entry = usual();
    entry.method = entry.target = entry.host = entry.referer = entry.user_agent = entry.key =
        hostile;
    const char *line = format(CONF_ACCESS_COMBINED, &entry);
    static const char escaped[] = "x\\\" 200 0\\r\\n10.0.0.1 - - \\\"\\x1b[2J\\\\ \\xff status=200";
    unsigned found = 0;
    for (const char *p = line; (p = strstr(p, escaped)) != NULL; p++)
        found++;
    assert_int_equal(found, 6);

    json_t *object = json_loads(format(CONF_ACCESS_JSON, &entry), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    static const char *const keys[] = {"method", "target", "host", "referer", "user_agent", "key"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_string_equal(json_string_value(json_object_get(object, keys[i])),
                            "x\" 200 0\r\n10.0.0.1 - - \"\x1b[2J\\ \\xff status=200");
    assert_int_equal(json_integer_value(json_object_get(object, "status")), 200);
    json_decref(object);
}

static void test_lines_of_huge_requests_are_bounded_and_stay_valid(void **state)
{
    (void)state;
    static uint8_t huge[100000];
    static const uint8_t fills[] = {'a', '"', 1, 0xff};
    for (size_t i = 0; i < sizeof fills; i++) {
        memset(huge, fills[i], sizeof huge);
        struct access_entry entry = usual();
        entry.method = entry.target = entry.host = entry.referer = entry.user_agent = entry.key =
            (struct span){huge, sizeof huge};
        format(CONF_ACCESS_COMBINED, &entry);
        assert_non_null(strstr(buffer, "truncated=true\n"));
        json_t *object = json_loads(format(CONF_ACCESS_JSON, &entry), 0, NULL);
        assert_non_null(object);
        assert_true(json_is_true(json_object_get(object, "truncated")));
        json_decref(object);
    }
}

static void test_a_long_target_is_cut_where_one_sees_it(void **state)
{
    (void)state;
    static uint8_t target[5000];
    memset(target, 'a', sizeof target);
    struct access_entry entry = usual();
    entry.target = (struct span){target, sizeof target};
    assert_non_null(strstr(format(CONF_ACCESS_COMBINED, &entry), "aaa... HTTP/1.1\" 200 512 "));
    assert_non_null(strstr(format(CONF_ACCESS_JSON, &entry), "aaa...\",\"version\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_combined_line_reads_as_other_servers_write_it),
        cmocka_unit_test(test_the_json_line_has_every_field),
        cmocka_unit_test(test_a_call_of_grpc_shows_its_status_also_if_that_is_zero),
        cmocka_unit_test(test_a_request_that_could_not_be_read_still_has_its_line),
        cmocka_unit_test(test_what_a_client_sends_cannot_forge_a_line_or_a_field),
        cmocka_unit_test(test_lines_of_huge_requests_are_bounded_and_stay_valid),
        cmocka_unit_test(test_a_long_target_is_cut_where_one_sees_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
