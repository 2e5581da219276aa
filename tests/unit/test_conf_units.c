/* Numbers, sizes, durations and addresses, as an operator writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/units.h"

static uint64_t size(const char *text)
{
    uint64_t bytes = 0;
    assert_int_equal(conf_parse_size(text, &bytes), 0);
    return bytes;
}

static uint64_t duration(const char *text)
{
    uint64_t ms = 0;
    assert_int_equal(conf_parse_duration(text, &ms), 0);
    return ms;
}

static void test_sizes_are_powers_of_1024(void **state)
{
    (void)state;
    assert_int_equal(size("0"), 0);
    assert_int_equal(size("512b"), 512);
    assert_int_equal(size("64k"), 65536);
    assert_int_equal(size("1m"), 1048576);
    assert_int_equal(size("2g"), UINT64_C(2147483648));
}

static void test_durations_are_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(duration("0"), 0);
    assert_int_equal(duration("500ms"), 500);
    assert_int_equal(duration("2s"), 2000);
    assert_int_equal(duration("1m"), 60000);
    assert_int_equal(duration("1h"), 3600000);
}

static void test_other_sizes_and_durations_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "5",
                                        "k",
                                        "-1k",
                                        "+1k",
                                        " 1k",
                                        "1k ",
                                        "1.5",
                                        "1kb",
                                        "1d",
                                        "1K",
                                        "0x1",
                                        "s",
                                        "1 s",
                                        "99999999999999999999",
                                        "99999999999999999h",
                                        "99999999999999999g"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        uint64_t value = 7;
        assert_int_equal(conf_parse_size(wrong[i], &value), -EINVAL);
        assert_int_equal(conf_parse_duration(wrong[i], &value), -EINVAL);
        assert_int_equal(value, 7);
    }
}

static void test_numbers_are_decimal_digits_up_to_64_bits(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_int_equal(conf_parse_number("18446744073709551615", &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(conf_parse_number("010", &value), 0);
    assert_int_equal(value, 10);
    assert_int_equal(conf_parse_number("18446744073709551616", &value), -EINVAL);
    assert_int_equal(conf_parse_number("", &value), -EINVAL);
    assert_int_equal(conf_parse_number("1e3", &value), -EINVAL);
    assert_int_equal(conf_parse_number("-1", &value), -EINVAL);
    assert_int_equal(value, 10);
}

static void test_decimals_have_one_point_between_digits(void **state)
{
    (void)state;
    double value = 7;
    assert_int_equal(conf_parse_decimal("2.5", &value), 0);
    assert_true(value > 2.4999 && value < 2.5001);
    assert_int_equal(conf_parse_decimal("3", &value), 0);
    assert_true(value > 2.9999 && value < 3.0001);
    static const char *const wrong[] = {"", ".", "1.", ".5", "1.2.3", "nan", "inf", "1e9", "-1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(conf_parse_decimal(wrong[i], &value), -EINVAL);
}

static void assert_address(const char *text, enum conf_host_type type, const char *host,
                           unsigned port)
{
    struct conf_host_port address;
    assert_int_equal(conf_parse_host_port(text, &address), 0);
    assert_int_equal(address.type, type);
    if (type != CONF_HOST_ALL)
        assert_string_equal(address.host, host);
    assert_int_equal(address.port, port);
}

static void test_addresses_are_brought_to_one_form(void **state)
{
    (void)state;
    assert_address("127.0.0.1:80", CONF_HOST_NUMERIC, "127.0.0.1", 80);
    assert_address("[::1]:65535", CONF_HOST_NUMERIC, "::1", 65535);
    assert_address("[2001:DB8:0::1]:80", CONF_HOST_NUMERIC, "2001:db8::1", 80);
    assert_address(":8080", CONF_HOST_ALL, NULL, 8080);
    assert_address("Images.Internal:80", CONF_HOST_NAME, "images.internal", 80);
    assert_address("a_b-c.example1:80", CONF_HOST_NAME, "a_b-c.example1", 80);
}

static void test_addresses_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",        "host",    "host:",    "host:0",   "host:65536",  "::1:80",
        "[::1:80", "[::1]",   "[]:80",    "[1.2]:80", "256.1.1.1:1", "1.2.3:80",
        "-a.b:80", "a-.b:80", "a..b:80",  "a.:80",    ".a:80",       "a b:80",
        "a/b:80",  "a:80:90", "a\x80:80", "host:8o",  "a-:80",       "host: 80",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct conf_host_port address;
        if (conf_parse_host_port(wrong[i], &address) != -EINVAL)
            fail_msg("accepted: %s", wrong[i]);
    }
}

static void test_host_names_are_as_long_as_dns_allows(void **state)
{
    (void)state;
    struct conf_host_port address;
    char name[300];
    memset(name, 'a', sizeof(name));
    assert_int_equal(conf_parse_host(name, 63, &address), 0);
    assert_int_equal(conf_parse_host(name, 64, &address), -EINVAL);
    for (size_t i = 49; i < sizeof(name); i += 50)
        name[i] = '.';
    assert_int_equal(conf_parse_host(name, 253, &address), 0);
    assert_int_equal(conf_parse_host(name, 254, &address), -EINVAL);
}

static void assert_printed(void (*print)(uint64_t, FILE *), uint64_t value, const char *expected)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    print(value, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void test_values_are_printed_in_their_largest_unit(void **state)
{
    (void)state;
    assert_printed(conf_print_size, 0, "0");
    assert_printed(conf_print_size, 1, "1b");
    assert_printed(conf_print_size, 1536, "1536b");
    assert_printed(conf_print_size, 16384, "16k");
    assert_printed(conf_print_size, UINT64_C(1) << 31, "2g");
    assert_printed(conf_print_duration, 0, "0");
    assert_printed(conf_print_duration, 1500, "1500ms");
    assert_printed(conf_print_duration, 90000, "90s");
    assert_printed(conf_print_duration, 3600000, "1h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_powers_of_1024),
        cmocka_unit_test(test_durations_are_milliseconds),
        cmocka_unit_test(test_other_sizes_and_durations_are_refused),
        cmocka_unit_test(test_numbers_are_decimal_digits_up_to_64_bits),
        cmocka_unit_test(test_decimals_have_one_point_between_digits),
        cmocka_unit_test(test_addresses_are_brought_to_one_form),
        cmocka_unit_test(test_addresses_that_are_none_are_refused),
        cmocka_unit_test(test_host_names_are_as_long_as_dns_allows),
        cmocka_unit_test(test_values_are_printed_in_their_largest_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
