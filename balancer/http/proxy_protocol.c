#include "balancer/http/proxy_protocol.h"

#include <assert.h>
#include <string.h>

#include "balancer/http/h1_chars.h"

static const uint8_t signature[12] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                      '\n', 'Q',  'U',  'I',  'T', '\n'};

enum {
    V2_FIXED_BYTES = 16, /* signature, version and command, family, length */
    V2_LOCAL = 0x20,
    V2_PROXY = 0x21,
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_UNSPEC = 0,
    TLV_HEAD_BYTES = 3,
    TLV_CRC32C = 0x03,
};

/* ---- version 1 ---- */

/* Takes what comes before the next space off the text; all of it where there is none. */
static struct span take_word(struct span *text)
{
    const uint8_t *space = text->n > 0 ? memchr(text->p, ' ', text->n) : NULL;
    size_t n = space != NULL ? (size_t)(space - text->p) : text->n;
    struct span word = {text->p, n};
    size_t taken = space != NULL ? n + 1 : n;
    *text = (struct span){text->p + taken, text->n - taken};
    return word;
}

/* 0 to 65535 without leading zeros. */
static bool parse_port(struct span text, uint16_t *ret_port)
{
    if (text.n == 0 || text.n > 5 || (text.n > 1 && text.p[0] == '0'))
        return false;
    uint32_t port = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (!h1_is_digit(text.p[i]))
            return false;
        port = port * 10 + (uint32_t)(text.p[i] - '0');
    }
    *ret_port = (uint16_t)port;
    return port <= UINT16_MAX;
}

/* An address as the family has it: an IPv4 one mapped into IPv6 is one of IPv6 here. */
static bool parse_address(struct span text, bool is_v6, struct ip *ret_ip)
{
    bool looks_v6 = text.n > 0 && memchr(text.p, ':', text.n) != NULL;
    return looks_v6 == is_v6 && ip_parse(text, ret_ip);
}

/* What follows "PROXY TCP4 " or "PROXY TCP6 ". */
static bool parse_ends(struct span text, bool is_v6, struct proxy_header *header)
{
    struct span source = take_word(&text), destination = take_word(&text);
    struct span source_port = take_word(&text);
    return parse_address(source, is_v6, &header->source.ip) &&
           parse_address(destination, is_v6, &header->destination.ip) &&
           parse_port(source_port, &header->source.port) &&
           parse_port(text, &header->destination.port);
}

/* The line without its CRLF. */
static bool parse_line(struct span line, struct proxy_header *header)
{
    struct span rest = line;
    (void)take_word(&rest); /* "PROXY" */
    struct span family = take_word(&rest);
    if (span_equal(family, SPAN("UNKNOWN")))
        return true; /* what follows is to be ignored */
    bool is_v6 = span_equal(family, SPAN("TCP6"));
    if (!is_v6 && !span_equal(family, SPAN("TCP4")))
        return false;
    header->has_ends = true;
    return parse_ends(rest, is_v6, header);
}

static enum proxy_status parse_v1(struct span bytes, struct proxy_header *header)
{
    static const uint8_t beginning[6] = {'P', 'R', 'O', 'X', 'Y', ' '};
    size_t n = bytes.n < sizeof beginning ? bytes.n : sizeof beginning;
    if (memcmp(bytes.p, beginning, n) != 0)
        return PROXY_BAD;
    size_t within = bytes.n < PROXY_V1_MAX_BYTES ? bytes.n : PROXY_V1_MAX_BYTES;
    const uint8_t *end = memchr(bytes.p, '\n', within);
    if (end == NULL)
        return within < PROXY_V1_MAX_BYTES ? PROXY_MORE : PROXY_BAD;
    struct span line = {bytes.p, (size_t)(end - bytes.p)};
    const uint8_t *cr = memchr(line.p, '\r', line.n);
    if (cr == NULL || cr + 1 != end)
        return PROXY_BAD;
    line.n--;
    header->n = line.n + 2;
    return parse_line(line, header) ? PROXY_DONE : PROXY_BAD;
}

/* ---- version 2 ---- */

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* Castagnoli's polynomial, bit by bit (RFC 4960 appendix B): once a connection, and short. */
static uint32_t crc32c(uint32_t crc, struct span bytes)
{
    crc = ~crc;
    for (size_t i = 0; i < bytes.n; i++) {
        crc ^= bytes.p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* Whether the checksum at p, in the middle of the header, is that of the header with zeros there.
 */
static bool is_right_checksum(struct span whole, const uint8_t *p)
{
    static const uint8_t zeros[4] = {0};
    uint32_t said = (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
    uint32_t crc = crc32c(0, (struct span){whole.p, (size_t)(p - whole.p)});
    crc = crc32c(crc, (struct span){zeros, sizeof zeros});
    crc = crc32c(crc, (struct span){p + 4, (size_t)(whole.p + whole.n - p) - 4});
    return crc == said;
}

/* Walks the TLVs that fill the header from `at` on. */
static bool check_tlvs(struct span whole, size_t at)
{
    while (at < whole.n) {
        if (whole.n - at < TLV_HEAD_BYTES)
            return false;
        const uint8_t *tlv = whole.p + at;
        size_t n = get_u16(tlv + 1);
        at += TLV_HEAD_BYTES;
        if (n > whole.n - at)
            return false;
        if (tlv[0] == TLV_CRC32C && (n != 4 || !is_right_checksum(whole, tlv + TLV_HEAD_BYTES)))
            return false;
        at += n;
    }
    return true;
}

static struct ip get_ip(const uint8_t *p, bool is_v6)
{
    char text[INET6_ADDRSTRLEN];
    struct ip ip = {.is_v6 = is_v6};
    memcpy(ip.bytes, p, is_v6 ? 16 : 4);
    /* By way of its text an IPv4 address that is mapped into IPv6 becomes what it is elsewhere. */
    bool is_ip = ip_parse((struct span){(const uint8_t *)text, ip_print(&ip, text)}, &ip);
    assert(is_ip);
    return ip;
}

static bool parse_block(struct span whole, bool is_v6, struct proxy_header *header)
{
    size_t n = is_v6 ? 16 : 4, ports = V2_FIXED_BYTES + 2 * n;
    if (whole.n < ports + 4)
        return false;
    const uint8_t *p = whole.p + V2_FIXED_BYTES;
    header->has_ends = true;
    header->source = (struct proxy_end){get_ip(p, is_v6), get_u16(whole.p + ports)};
    header->destination = (struct proxy_end){get_ip(p + n, is_v6), get_u16(whole.p + ports + 2)};
    return check_tlvs(whole, ports + 4);
}

static enum proxy_status parse_v2(struct span bytes, struct proxy_header *header)
{
    size_t n = bytes.n < sizeof signature ? bytes.n : sizeof signature;
    if (memcmp(bytes.p, signature, n) != 0)
        return PROXY_BAD;
    if (bytes.n < V2_FIXED_BYTES)
        return PROXY_MORE;
    uint8_t command = bytes.p[12], family = bytes.p[13];
    header->n = V2_FIXED_BYTES + (size_t)get_u16(bytes.p + 14);
    bool is_known =
        command == V2_LOCAL || (command == V2_PROXY && family >> 4 <= 3 && (family & 15) <= 2);
    if (!is_known || header->n > PROXY_V2_MAX_BYTES)
        return PROXY_BAD;
    if (bytes.n < header->n)
        return PROXY_MORE;
    /* The family of LOCAL is to be ignored, and others than TCP may be taken for UNSPEC. */
    if (command == V2_LOCAL || (family != V2_TCP4 && family != V2_TCP6))
        return PROXY_DONE;
    struct span whole = {bytes.p, header->n};
    return parse_block(whole, family == V2_TCP6, header) ? PROXY_DONE : PROXY_BAD;
}

enum proxy_status proxy_header_parse(const uint8_t *bytes, size_t n,
                                     struct proxy_header *ret_header)
{
    if (n == 0)
        return PROXY_MORE;
    struct proxy_header header = {0};
    struct span all = {bytes, n};
    enum proxy_status status =
        bytes[0] == signature[0] ? parse_v2(all, &header) : parse_v1(all, &header);
    if (status == PROXY_DONE)
        *ret_header = header;
    return status;
}

/* ---- writing ---- */

static bool is_sayable(const struct proxy_header *header)
{
    return header->has_ends && header->source.ip.is_v6 == header->destination.ip.is_v6;
}

struct writer {
    uint8_t *at;
};

static void put(struct writer *writer, struct span bytes)
{
    memcpy(writer->at, bytes.p, bytes.n);
    writer->at += bytes.n;
}

static void put_ip(struct writer *writer, const struct ip *ip)
{
    char text[INET6_ADDRSTRLEN];
    size_t n = ip_print(ip, text);
    put(writer, (struct span){(const uint8_t *)text, n});
    put(writer, SPAN(" "));
}

static void put_port(struct writer *writer, uint16_t port)
{
    uint8_t digits[5];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + port % 10);
        port = (uint16_t)(port / 10);
    } while (port > 0);
    put(writer, (struct span){digits + at, sizeof digits - at});
}

size_t proxy_header_write_v1(const struct proxy_header *header, uint8_t out[PROXY_V1_MAX_BYTES])
{
    struct writer writer = {out};
    if (!is_sayable(header)) {
        put(&writer, SPAN("PROXY UNKNOWN\r\n"));
        return (size_t)(writer.at - out);
    }
    put(&writer, header->source.ip.is_v6 ? SPAN("PROXY TCP6 ") : SPAN("PROXY TCP4 "));
    put_ip(&writer, &header->source.ip);
    put_ip(&writer, &header->destination.ip);
    put_port(&writer, header->source.port);
    put(&writer, SPAN(" "));
    put_port(&writer, header->destination.port);
    put(&writer, SPAN("\r\n"));
    return (size_t)(writer.at - out);
}

static void put_u16(struct writer *writer, uint16_t value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(writer, (struct span){bytes, sizeof bytes});
}

size_t proxy_header_write_v2(const struct proxy_header *header, uint8_t out[PROXY_V2_WRITTEN_BYTES])
{
    struct writer writer = {out};
    bool has_ends = is_sayable(header), is_v6 = header->source.ip.is_v6;
    size_t n = is_v6 ? 16 : 4;
    uint8_t family = !has_ends ? V2_UNSPEC : is_v6 ? V2_TCP6 : V2_TCP4;
    put(&writer, (struct span){signature, sizeof signature});
    put(&writer, (struct span){(const uint8_t[]){V2_PROXY, family}, 2});
    put_u16(&writer, has_ends ? (uint16_t)(2 * n + 4) : 0);
    if (has_ends) {
        put(&writer, (struct span){header->source.ip.bytes, n});
        put(&writer, (struct span){header->destination.ip.bytes, n});
        put_u16(&writer, header->source.port);
        put_u16(&writer, header->destination.port);
    }
    return (size_t)(writer.at - out);
}
