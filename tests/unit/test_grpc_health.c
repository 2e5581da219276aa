#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "health/grpc_health.h"

#define READ(text) grpc_health_read((const uint8_t *)(text), sizeof(text) - 1)

static void test_a_request_about_the_server_has_no_field(void **state)
{
    (void)state;
    uint8_t bytes[GRPC_HEALTH_REQUEST_BYTES];
    assert_int_equal(grpc_health_write(NULL, bytes), 5);
    assert_memory_equal(bytes, "\0\0\0\0\0", 5);
    assert_int_equal(grpc_health_write("", bytes), 5);
    assert_memory_equal(bytes, "\0\0\0\0\0", 5);
}

static void test_a_request_names_its_service(void **state)
{
    (void)state;
    uint8_t bytes[GRPC_HEALTH_REQUEST_BYTES];
    assert_int_equal(grpc_health_write("shop.v1.Cart", bytes), 19);
    assert_memory_equal(bytes, "\0\0\0\0\x0e\x0a\x0cshop.v1.Cart", 19);
}

static void test_long_names_have_lengths_of_two_bytes(void **state)
{
    (void)state;
    uint8_t bytes[GRPC_HEALTH_REQUEST_BYTES];
    char name[CONF_GRPC_SERVICE_MAX + 1] = "";
    memset(name, 'a', 127);
    assert_int_equal(grpc_health_write(name, bytes), 5 + 2 + 127);
    assert_memory_equal(bytes, "\0\0\0\0\x81\x0a\x7f", 7);
    memset(name, 'a', 128);
    assert_int_equal(grpc_health_write(name, bytes), 5 + 3 + 128);
    assert_memory_equal(bytes, "\0\0\0\0\x83\x0a\x80\x01", 8);
    memset(name, 'a', 255);
    assert_int_equal(grpc_health_write(name, bytes), sizeof bytes);
    assert_memory_equal(bytes, "\0\0\0\x01\x02\x0a\xff\x01", 8);
}

static void test_every_status_of_the_protocol_is_read(void **state)
{
    (void)state;
    assert_int_equal(READ("\0\0\0\0\x02\x08\x00"), GRPC_HEALTH_UNKNOWN);
    assert_int_equal(READ("\0\0\0\0\x02\x08\x01"), GRPC_HEALTH_SERVING);
    assert_int_equal(READ("\0\0\0\0\x02\x08\x02"), GRPC_HEALTH_NOT_SERVING);
    assert_int_equal(READ("\0\0\0\0\x02\x08\x03"), GRPC_HEALTH_SERVICE_UNKNOWN);
}

static void test_a_status_that_is_absent_or_new_is_unknown(void **state)
{
    (void)state;
    assert_int_equal(READ("\0\0\0\0\0"), GRPC_HEALTH_UNKNOWN);
    assert_int_equal(READ("\0\0\0\0\x02\x08\x04"), GRPC_HEALTH_UNKNOWN);
    assert_int_equal(READ("\0\0\0\0\x03\x08\x81\x02"), GRPC_HEALTH_UNKNOWN);
    assert_int_equal(READ("\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                     GRPC_HEALTH_UNKNOWN);
}

static void test_of_several_statuses_the_last_counts(void **state)
{
    (void)state;
    assert_int_equal(READ("\0\0\0\0\x04\x08\x02\x08\x01"), GRPC_HEALTH_SERVING);
    assert_int_equal(READ("\0\0\0\0\x04\x08\x01\x08\x02"), GRPC_HEALTH_NOT_SERVING);
}

static void test_fields_of_other_numbers_are_passed_by(void **state)
{
    (void)state;
    assert_int_equal(READ("\0\0\0\0\x05\x10\x96\x01\x08\x01"), GRPC_HEALTH_SERVING);
    assert_int_equal(READ("\0\0\0\0\x0b\x11"
                          "12345678\x08\x01"),
                     GRPC_HEALTH_SERVING);
    assert_int_equal(READ("\0\0\0\0\x07\x1a\x03"
                          "abc\x08\x01"),
                     GRPC_HEALTH_SERVING);
    assert_int_equal(READ("\0\0\0\0\x07\x1d"
                          "1234\x08\x01"),
                     GRPC_HEALTH_SERVING);
}

static void test_the_prefix_must_announce_exactly_what_follows(void **state)
{
    (void)state;
    assert_int_equal(READ(""), GRPC_HEALTH_MALFORMED);
    assert_int_equal(READ("\0\0\0\0"), GRPC_HEALTH_MALFORMED);
    assert_int_equal(READ("\0\0\0\0\x03\x08\x01"), GRPC_HEALTH_MALFORMED);
    assert_int_equal(READ("\0\0\0\0\x01\x08\x01"), GRPC_HEALTH_MALFORMED);
    assert_int_equal(READ("\0\xff\xff\xff\xff\x08\x01"), GRPC_HEALTH_MALFORMED);
    assert_int_equal(READ("\x01\0\0\0\x02\x08\x01"), GRPC_HEALTH_MALFORMED);
}

static void test_what_is_no_message_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(READ("\0\0\0\0\x01\x08"), GRPC_HEALTH_MALFORMED);
    assert_int_equal(READ("\0\0\0\0\x02\x08\x81"), GRPC_HEALTH_MALFORMED);
    assert_int_equal(READ("\0\0\0\0\x02\x0a\x01"), GRPC_HEALTH_MALFORMED);  /* wrong type */
    assert_int_equal(READ("\0\0\0\0\x02\x00\x01"), GRPC_HEALTH_MALFORMED);  /* field 0 */
    assert_int_equal(READ("\0\0\0\0\x02\x13\x14"), GRPC_HEALTH_MALFORMED);  /* a group */
    assert_int_equal(READ("\0\0\0\0\x03\x1a\x02x"), GRPC_HEALTH_MALFORMED); /* beyond the end */
    assert_int_equal(READ("\0\0\0\0\x04\x1d\x01\x02\x03"), GRPC_HEALTH_MALFORMED);
    assert_int_equal(READ("\0\0\0\0\x0b\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                     GRPC_HEALTH_MALFORMED);
    assert_int_equal(READ("\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
                     GRPC_HEALTH_MALFORMED); /* more than 64 bits */
    assert_int_equal(READ("\0\0\0\0\x06\x80\x80\x80\x80\x10\x01"),
                     GRPC_HEALTH_MALFORMED); /* a field number of 30 bits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_about_the_server_has_no_field),
        cmocka_unit_test(test_a_request_names_its_service),
        cmocka_unit_test(test_long_names_have_lengths_of_two_bytes),
        cmocka_unit_test(test_every_status_of_the_protocol_is_read),
        cmocka_unit_test(test_a_status_that_is_absent_or_new_is_unknown),
        cmocka_unit_test(test_of_several_statuses_the_last_counts),
        cmocka_unit_test(test_fields_of_other_numbers_are_passed_by),
        cmocka_unit_test(test_the_prefix_must_announce_exactly_what_follows),
        cmocka_unit_test(test_what_is_no_message_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
