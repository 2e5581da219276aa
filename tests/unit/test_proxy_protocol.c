/* PROXY protocol headers: read, refused and written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/http/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* Parses a copy that has no byte behind it, so that a sanitizer sees what is read too much. */
static enum proxy_status parse(struct span text, struct proxy_header *header)
{
    uint8_t *copy = malloc(text.n + (text.n == 0));
    assert_non_null(copy);
    memcpy(copy, text.p, text.n);
    enum proxy_status status = proxy_header_parse(copy, text.n, header);
    free(copy);
    return status;
}

/* What is whole is not judged before it is whole, and takes nothing of what follows. */
static struct proxy_header expect_done(struct span text)
{
    struct proxy_header header;
    for (size_t n = 0; n < text.n; n++)
        assert_int_equal(parse((struct span){text.p, n}, &header), PROXY_MORE);
    uint8_t more[PROXY_V2_MAX_BYTES + 16];
    assert_true(text.n + 4 <= sizeof more);
    memcpy(more, text.p, text.n);
    memcpy(more + text.n, "GET ", 4);
    assert_int_equal(parse((struct span){more, text.n + 4}, &header), PROXY_DONE);
    assert_int_equal(header.n, text.n);
    assert_int_equal(parse(text, &header), PROXY_DONE);
    assert_int_equal(header.n, text.n);
    return header;
}

static void expect_bad(struct span text)
{
    struct proxy_header header;
    assert_int_equal(parse(text, &header), PROXY_BAD);
}

static void assert_end(const struct proxy_end *end, const char *address, uint16_t port)
{
    char text[INET6_ADDRSTRLEN];
    (void)ip_print(&end->ip, text);
    assert_string_equal(text, address);
    assert_int_equal(end->port, port);
}

static void assert_ends(struct span text, const char *source, uint16_t source_port,
                        const char *destination, uint16_t destination_port)
{
    struct proxy_header header = expect_done(text);
    assert_true(header.has_ends);
    assert_end(&header.source, source, source_port);
    assert_end(&header.destination, destination, destination_port);
}

static void test_the_examples_of_version_1(void **state)
{
    (void)state;
    assert_ends(SPAN("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), "192.168.0.1", 56324,
                "192.168.0.11", 443);
    assert_ends(SPAN("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
                "255.255.255.255", 65535, "255.255.255.255", 65535);
    assert_ends(SPAN("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
    assert_ends(SPAN("PROXY TCP6 2001:DB8::1 ::1 0 1\r\n"), "2001:db8::1", 0, "::1", 1);
}

static void test_unknown_says_nothing_and_is_followed_by_anything(void **state)
{
    (void)state;
    assert_false(expect_done(SPAN("PROXY UNKNOWN\r\n")).has_ends);
    assert_false(expect_done(SPAN("PROXY UNKNOWN whatever 7\r\n")).has_ends);
    struct span longest = SPAN("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n");
    assert_int_equal(longest.n, PROXY_V1_MAX_BYTES);
    assert_false(expect_done(longest).has_ends);
}

static void test_a_line_longer_than_107_bytes_is_bad(void **state)
{
    (void)state;
    char text[PROXY_V1_MAX_BYTES + 8];
    memset(text, 'x', sizeof text);
    memcpy(text, "PROXY UNKNOWN ", 14);
    struct proxy_header header;
    struct span all = {(const uint8_t *)text, PROXY_V1_MAX_BYTES - 1};
    assert_int_equal(parse(all, &header), PROXY_MORE);
    all.n++;
    expect_bad(all);
    memcpy(text + PROXY_V1_MAX_BYTES - 1, "\r\n", 2);
    all.n++;
    expect_bad(all);
}

static void test_version_1_is_read_to_the_letter(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY\r\n",
        "PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY \r\n",
        "PROXY TCP 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8  1 2\r\n",
        "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 00\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 100000 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 0x1 2\r\n",
        "PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP6 ::1 5.6.7.8 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP6 ::g ::1 1 2\r\n",
        "PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
        "PROXY TCP4 a.example 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n",
        "PROXY TCP4 1.2.3.4\r5.6.7.8 1 2\r\n",
        "PROXY UNKNOWN\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_bad(span_of(wrong[i]));
    expect_bad(SPAN("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n"));
}

static void test_what_cannot_become_a_header_is_bad_at_its_first_byte(void **state)
{
    (void)state;
    expect_bad(SPAN("G"));
    expect_bad(SPAN("PR\0"));
    expect_bad(SPAN("PROXY\t"));
    expect_bad(SPAN("\r\n\r\nG"));
    expect_bad(SPAN("\n"));
    expect_bad(SPAN("\x16\x03\x01")); /* TLS */
}

/* Recorded from HAProxy 2.6.12 with send-proxy, send-proxy-v2 and proxy-v2-options. */
static void test_headers_as_haproxy_sends_them(void **state)
{
    (void)state;
    assert_ends(SPAN("PROXY TCP4 127.0.0.1 127.0.0.1 52816 41747\r\n"), "127.0.0.1", 52816,
                "127.0.0.1", 41747);
    assert_ends(SPAN("PROXY TCP6 ::1 ::1 48980 45905\r\n"), "::1", 48980, "::1", 45905);
    assert_ends(SPAN(SIGNATURE "\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\xca\x9a\xb5\x47"), "127.0.0.1",
                51866, "127.0.0.1", 46407);
    assert_ends(SPAN(SIGNATURE "\x21\x11\0\x16\x7f\0\0\1\x7f\0\0\1\xbf\x8c\x93\x61"
                               "\3\0\4\x0f\x83\x4a\xbf\5\0\0"),
                "127.0.0.1", 49036, "127.0.0.1", 37729);
    assert_ends(SPAN(SIGNATURE "\x21\x21\0\x2b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
                               "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\xa6\xf0\x83\x7f"
                               "\3\0\4\x9e\x6a\x48\x2d"),
                "::1", 42736, "::1", 33663);
}

static void test_a_wrong_checksum_is_bad_wherever_the_mistake_is(void **state)
{
    (void)state;
    static const char right[] = SIGNATURE "\x21\x11\0\x16\x7f\0\0\1\x7f\0\0\1\xbf\x8c\x93\x61"
                                          "\3\0\4\x0f\x83\x4a\xbf\5\0\0";
    uint8_t copy[sizeof right - 1];
    for (size_t at = 16; at < sizeof copy; at++) {
        memcpy(copy, right, sizeof copy);
        copy[at] ^= 1;
        if (at == 28) /* makes another TLV of the checksum, which then is none */
            continue;
        expect_bad((struct span){copy, sizeof copy});
    }
    expect_bad(SPAN(SIGNATURE "\x21\x11\0\x12\x7f\0\0\1\x7f\0\0\1\0\1\0\2\3\0\3\0\0\0"));
}

static void test_connections_of_the_proxy_itself_say_nothing(void **state)
{
    (void)state;
    assert_false(expect_done(SPAN(SIGNATURE "\x20\0\0\0")).has_ends);
    /* With whatever is in them: the family and the block are to be ignored. */
    assert_false(
        expect_done(SPAN(SIGNATURE "\x20\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\0\1\0\2")).has_ends);
    assert_false(expect_done(SPAN(SIGNATURE "\x20\xff\0\2xy")).has_ends);
}

static void test_families_without_a_tcp_port_say_nothing(void **state)
{
    (void)state;
    static const uint8_t families[] = {0x00, 0x01, 0x02, 0x10, 0x12, 0x20, 0x22, 0x30, 0x31, 0x32};
    for (size_t i = 0; i < sizeof families; i++) {
        uint8_t text[] = SIGNATURE "\x21\0\0\5hello";
        text[13] = families[i];
        assert_false(expect_done((struct span){text, sizeof text - 1}).has_ends);
    }
}

static void test_unknown_versions_commands_and_families_are_bad(void **state)
{
    (void)state;
    static const uint8_t commands[] = {0x00, 0x01, 0x11, 0x22, 0x2f, 0x31, 0xff};
    for (size_t i = 0; i < sizeof commands; i++) {
        uint8_t text[] = SIGNATURE "\x21\0\0\0";
        text[12] = commands[i];
        expect_bad((struct span){text, sizeof text - 1});
    }
    static const uint8_t families[] = {0x03, 0x13, 0x1f, 0x23, 0x33, 0x40, 0x41, 0xf1};
    for (size_t i = 0; i < sizeof families; i++) {
        uint8_t text[] = SIGNATURE "\x21\0\0\0";
        text[13] = families[i];
        expect_bad((struct span){text, sizeof text - 1});
    }
}

static void test_a_block_too_short_for_its_addresses_is_bad(void **state)
{
    (void)state;
    uint8_t text[16 + 36] = SIGNATURE "\x21\x11";
    for (uint8_t n = 0; n < 36; n++) {
        text[15] = n;
        text[13] = 0x21;
        expect_bad((struct span){text, 16u + n});
        text[13] = 0x11;
        if (n < 12)
            expect_bad((struct span){text, 16u + n});
    }
}

static void test_tlvs_must_fill_the_header(void **state)
{
    (void)state;
#define ADDRESSES "\xc0\0\2\1\xc0\0\2\2\x1f\x90\0\x50"
    assert_ends(SPAN(SIGNATURE "\x21\x11\0\x16" ADDRESSES "\xe0\0\1a\x04\0\3\0\0\0"), "192.0.2.1",
                8080, "192.0.2.2", 80);
    expect_bad(SPAN(SIGNATURE "\x21\x11\0\x0d" ADDRESSES "\x04"));
    expect_bad(SPAN(SIGNATURE "\x21\x11\0\x0e" ADDRESSES "\x04\0"));
    expect_bad(SPAN(SIGNATURE "\x21\x11\0\x0f" ADDRESSES "\x04\0\1"));
    expect_bad(SPAN(SIGNATURE "\x21\x11\0\x10" ADDRESSES "\x04\xff\xff\0"));
}

static void test_a_header_that_announces_too_much_is_bad_at_once(void **state)
{
    (void)state;
    struct proxy_header header;
    assert_int_equal(parse(SPAN(SIGNATURE "\x21\x11\x0f\xf0"), &header), PROXY_MORE);
    expect_bad(SPAN(SIGNATURE "\x21\x11\x0f\xf1"));
    expect_bad(SPAN(SIGNATURE "\x20\0\xff\xff"));
}

static void test_ipv4_mapped_into_ipv6_is_ipv4(void **state)
{
    (void)state;
    assert_ends(SPAN("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n"), "192.0.2.1", 1,
                "192.0.2.2", 2);
    assert_ends(SPAN(SIGNATURE "\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1"
                               "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\2\0\1\0\2"),
                "192.0.2.1", 1, "192.0.2.2", 2);
}

static struct proxy_end end_of(const char *address, uint16_t port)
{
    struct proxy_end end = {.port = port};
    assert_true(ip_parse(span_of(address), &end.ip));
    return end;
}

static void expect_written(const struct proxy_header *header, struct span v1, struct span v2)
{
    uint8_t bytes[PROXY_V1_MAX_BYTES];
    assert_int_equal(proxy_header_write_v1(header, bytes), v1.n);
    assert_memory_equal(bytes, v1.p, v1.n);
    assert_int_equal(proxy_header_write_v2(header, bytes), v2.n);
    assert_memory_equal(bytes, v2.p, v2.n);
}

static void test_headers_are_written_as_they_are_read(void **state)
{
    (void)state;
    struct proxy_header header = {.has_ends = true,
                                  .source = end_of("192.0.2.1", 8080),
                                  .destination = end_of("192.0.2.2", 80)};
    expect_written(&header, SPAN("PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\r\n"),
                   SPAN(SIGNATURE "\x21\x11\0\x0c" ADDRESSES));
    header.source = end_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
    header.destination = end_of("::1", 0);
    expect_written(
        &header, SPAN("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::1 65535 0\r\n"),
        SPAN(SIGNATURE "\x21\x21\0\x24\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                       "\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\xff\xff\0\0"));
}

static void test_ends_that_no_family_can_say_are_not_said(void **state)
{
    (void)state;
    struct proxy_header header = {
        .has_ends = true, .source = end_of("192.0.2.1", 8080), .destination = end_of("::1", 80)};
    expect_written(&header, SPAN("PROXY UNKNOWN\r\n"), SPAN(SIGNATURE "\x21\0\0\0"));
    header.destination = header.source;
    header.has_ends = false;
    expect_written(&header, SPAN("PROXY UNKNOWN\r\n"), SPAN(SIGNATURE "\x21\0\0\0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_examples_of_version_1),
        cmocka_unit_test(test_unknown_says_nothing_and_is_followed_by_anything),
        cmocka_unit_test(test_a_line_longer_than_107_bytes_is_bad),
        cmocka_unit_test(test_version_1_is_read_to_the_letter),
        cmocka_unit_test(test_what_cannot_become_a_header_is_bad_at_its_first_byte),
        cmocka_unit_test(test_headers_as_haproxy_sends_them),
        cmocka_unit_test(test_a_wrong_checksum_is_bad_wherever_the_mistake_is),
        cmocka_unit_test(test_connections_of_the_proxy_itself_say_nothing),
        cmocka_unit_test(test_families_without_a_tcp_port_say_nothing),
        cmocka_unit_test(test_unknown_versions_commands_and_families_are_bad),
        cmocka_unit_test(test_a_block_too_short_for_its_addresses_is_bad),
        cmocka_unit_test(test_tlvs_must_fill_the_header),
        cmocka_unit_test(test_a_header_that_announces_too_much_is_bad_at_once),
        cmocka_unit_test(test_ipv4_mapped_into_ipv6_is_ipv4),
        cmocka_unit_test(test_headers_are_written_as_they_are_read),
        cmocka_unit_test(test_ends_that_no_family_can_say_are_not_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
