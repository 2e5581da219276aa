/* Addresses, ranges of them, and whom X-Forwarded-For may speak for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/cidr.h"

static struct ip ip_of(const char *text)
{
    struct ip ip;
    assert_true(ip_parse(span_of(text), &ip));
    return ip;
}

static void assert_prints(const struct ip *ip, const char *expected)
{
    char text[INET6_ADDRSTRLEN];
    assert_int_equal(ip_print(ip, text), strlen(expected));
    assert_string_equal(text, expected);
}

static struct conf_cidr cidr_of(const char *address, uint8_t bits)
{
    struct ip ip = ip_of(address);
    struct conf_cidr cidr = {.is_v6 = ip.is_v6, .bits = bits};
    memcpy(cidr.address, ip.bytes, sizeof cidr.address);
    return cidr;
}

static void test_an_address_is_read_in_any_form_and_written_in_one(void **state)
{
    (void)state;
    static const char *const forms[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"2001:DB8:0:0::1", "2001:db8::1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::", "::"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct ip ip = ip_of(forms[i][0]);
        assert_prints(&ip, forms[i][1]);
    }
}

static void test_what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",          "1.2.3",
        "1.2.3.4 ",  "1.2.3.4:80",
        "[::1]",     "unknown",
        "1.2.3.04x", ":",
        "::1%eth0",  "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    struct ip ip;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(ip_parse(span_of(texts[i]), &ip));
    assert_false(ip_parse((struct span){(const uint8_t *)"1.2.3.4\0", 8}, &ip));
}

static void test_an_element_may_have_brackets_and_a_port(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {" 192.0.2.1\t", "192.0.2.1"},      {"192.0.2.1:65535", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},     {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:8", "2001:db8::1"},
    };
    struct ip ip;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(ip_parse_element(span_of(good[i][0]), &ip));
        assert_prints(&ip, good[i][1]);
    }
    static const char *const bad[] = {
        "",       " ",        "unknown",    "_gazonk",        "[192.0.2.1]", "[::1",  "[::1]x",
        "[::1]:", "1.2.3.4:", "1.2.3.4:x1", "1.2.3.4:123456", "[]",          "[::1]8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ip_parse_element(span_of(bad[i]), &ip));
}

static void test_a_prefix_keeps_the_first_bits(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        uint8_t bits;
        const char *expected;
    } rows[] = {
        {"203.0.113.255", 32, "203.0.113.255"},
        {"203.0.113.255", 24, "203.0.113.0"},
        {"203.0.113.255", 25, "203.0.113.128"},
        {"203.0.113.255", 1, "128.0.0.0"},
        {"203.0.113.255", 0, "0.0.0.0"},
        {"203.0.113.255", 64, "203.0.113.255"},
        {"2001:db8:1:2:3::4", 64, "2001:db8:1:2::"},
        {"2001:db8:ffff::", 33, "2001:db8:8000::"},
        {"2001:db8::1", 128, "2001:db8::1"},
        {"2001:db8::1", 0, "::"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ip ip = ip_prefix(ip_of(rows[i].address), rows[i].bits);
        assert_prints(&ip, rows[i].expected);
    }
}

static void test_a_range_holds_its_addresses_and_no_others(void **state)
{
    (void)state;
    struct conf_cidr ten = cidr_of("10.0.0.0", 8), all4 = cidr_of("0.0.0.0", 0);
    struct conf_cidr doc = cidr_of("2001:db8::", 32), one = cidr_of("192.0.2.7", 32);
    struct ip a = ip_of("10.255.0.1"), b = ip_of("11.0.0.1"), c = ip_of("2001:db8:5::1");
    struct ip zero = ip_of("::"), seven = ip_of("192.0.2.7"), eight = ip_of("192.0.2.8");
    assert_true(cidr_contains(&ten, &a));
    assert_false(cidr_contains(&ten, &b));
    assert_true(cidr_contains(&all4, &b));
    assert_false(cidr_contains(&all4, &zero));
    assert_true(cidr_contains(&doc, &c));
    assert_false(cidr_contains(&doc, &zero));
    assert_true(cidr_contains(&one, &seven));
    assert_false(cidr_contains(&one, &eight));
    const struct conf_cidr list[] = {ten, doc};
    assert_true(cidr_list_contains(list, 2, &c));
    assert_false(cidr_list_contains(list, 1, &c));
    assert_false(cidr_list_contains(NULL, 0, &a));
}

/* Who a request with these field lines from this peer is from, if 10.0.0.0/8 and 2001:db8::/32 are
 * trusted. */
static void expect_client(const char *peer, const char *fields, const char *expected)
{
    static const struct h1_limits limits = {.head_bytes = 4096, .target_bytes = 99, .fields = 50};
    struct conf_cidr list[] = {cidr_of("10.0.0.0", 8), cidr_of("2001:db8::", 32)};
    const struct conf_client conf = {.trusted_proxies = list, .n_trusted_proxies = 2};
    char text[1024];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
    struct h1_request request;
    struct h1_field request_fields[H1_MAX_FIELDS];
    h1_request_init(&request, request_fields);
    const uint8_t *message = (const uint8_t *)text;
    assert_int_equal(h1_request_parse(&request, &limits, message, strlen(text)), H1_DONE);
    struct ip client;
    assert_true(cidr_find_client(&conf, &request.lines, message, span_of(peer), &client));
    assert_prints(&client, expected);
}

#define XFF "X-Forwarded-For: "

static void test_a_stranger_speaks_for_himself_only(void **state)
{
    (void)state;
    expect_client("192.0.2.1", XFF "198.51.100.1\r\n", "192.0.2.1");
}

static void test_the_client_is_the_last_address_that_is_no_proxys(void **state)
{
    (void)state;
    expect_client("10.0.0.1", "", "10.0.0.1");
    expect_client("10.0.0.1", XFF "198.51.100.1\r\n", "198.51.100.1");
    expect_client("::ffff:10.0.0.1", XFF "198.51.100.1\r\n", "198.51.100.1");
    expect_client("10.0.0.1", XFF "1.1.1.1, 198.51.100.1,10.0.0.2 , 2001:db8::2\r\n",
                  "198.51.100.1");
    expect_client("10.0.0.1", XFF "1.1.1.1\r\nA: b\r\n" XFF "198.51.100.1, 10.0.0.3\r\n",
                  "198.51.100.1");
    expect_client("10.0.0.1", XFF "198.51.100.1\r\n" XFF "10.0.0.3\r\n", "198.51.100.1");
    expect_client("10.0.0.1", XFF "[2001:db9::1]:443, [2001:db8::7]\r\n", "2001:db9::1");
}

static void test_if_all_are_proxies_it_is_the_first(void **state)
{
    (void)state;
    expect_client("10.0.0.1", XFF "10.0.0.9, 10.0.0.2\r\n", "10.0.0.9");
}

static void test_what_is_no_address_ends_the_search_at_who_said_it(void **state)
{
    (void)state;
    expect_client("10.0.0.1", XFF "1.1.1.1, unknown, 10.0.0.2\r\n", "10.0.0.2");
    expect_client("10.0.0.1", XFF "1.1.1.1, unknown\r\n", "10.0.0.1");
    expect_client("10.0.0.1", XFF ",, 1.1.1.1 , ,\r\n", "1.1.1.1");
    expect_client("10.0.0.1", XFF "\r\n", "10.0.0.1");
}

static void test_without_trusted_proxies_nobody_is_one(void **state)
{
    (void)state;
    struct conf_cidr ten = cidr_of("10.0.0.0", 8);
    const struct conf_client none = {0};
    const struct conf_client some = {.trusted_proxies = &ten, .n_trusted_proxies = 1};
    assert_false(cidr_trusts(&none, SPAN("10.0.0.1")));
    assert_true(cidr_trusts(&some, SPAN("10.0.0.1")));
    assert_true(cidr_trusts(&some, SPAN("::ffff:10.0.0.1")));
    assert_false(cidr_trusts(&some, SPAN("11.0.0.1")));
    assert_false(cidr_trusts(&some, SPAN("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_is_read_in_any_form_and_written_in_one),
        cmocka_unit_test(test_what_is_no_address_is_refused),
        cmocka_unit_test(test_an_element_may_have_brackets_and_a_port),
        cmocka_unit_test(test_a_prefix_keeps_the_first_bits),
        cmocka_unit_test(test_a_range_holds_its_addresses_and_no_others),
        cmocka_unit_test(test_a_stranger_speaks_for_himself_only),
        cmocka_unit_test(test_the_client_is_the_last_address_that_is_no_proxys),
        cmocka_unit_test(test_if_all_are_proxies_it_is_the_first),
        cmocka_unit_test(test_what_is_no_address_ends_the_search_at_who_said_it),
        cmocka_unit_test(test_without_trusted_proxies_nobody_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
