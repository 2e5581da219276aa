#include "balancer/http/h1_lines.h"

#include <assert.h>

#include "balancer/http/h1_chars.h"
#include "balancer/http/h1_scan.h"

/* More options that name fields serve nobody, and each is compared with every field. */
#define MAX_NAMED_OPTIONS 64

#define ID_BIT(id) (1u << (id))

/*
 * RFC 9110 section 7.6.1, and the credentials that a gateway keeps to itself (sections 11.7.1 and
 * 11.7.2).
 */
#define HOP_IDS                                                                                    \
    (ID_BIT(H1_CONNECTION) | ID_BIT(H1_PROXY_CONNECTION) | ID_BIT(H1_KEEP_ALIVE) | ID_BIT(H1_TE) | \
     ID_BIT(H1_TRANSFER_ENCODING) | ID_BIT(H1_UPGRADE) | ID_BIT(H1_HTTP2_SETTINGS) |               \
     ID_BIT(H1_PROXY_AUTHENTICATE) | ID_BIT(H1_PROXY_AUTHORIZATION))

/* A client must not be able to remove these by naming them in Connection: they go from end to end,
 * or are what proxies in front say. */
#define STAYING_IDS                                                                                \
    (ID_BIT(H1_HOST) | ID_BIT(H1_CONTENT_LENGTH) | ID_BIT(H1_AUTHORIZATION) | ID_BIT(H1_COOKIE) |  \
     ID_BIT(H1_MAX_FORWARDS) | ID_BIT(H1_VIA) | ID_BIT(H1_X_FORWARDED_FOR) |                       \
     ID_BIT(H1_X_FORWARDED_PROTO) | ID_BIT(H1_X_FORWARDED_HOST) | ID_BIT(H1_X_FORWARDED_PORT) |    \
     ID_BIT(H1_FORWARDED) | ID_BIT(H1_TRACEPARENT) | ID_BIT(H1_TRACESTATE))

_Static_assert(H1_FIELD_COUNT <= 32, "field ids are bits of an unsigned int");

static bool is_one_of(uint8_t id, unsigned int ids)
{
    return (ids >> id & 1) != 0;
}

static const struct span names[H1_FIELD_COUNT] = {
#define X(name, text) [H1_##name] = {(const uint8_t *)(text), sizeof(text) - 1},
    H1_FIELDS(X)
#undef X
};

/* The known fields whose names have this many letters; tests hold it against H1_FIELDS. */
#define LONGEST_NAME 19
#define MAX_OF_LENGTH 4
static const uint8_t ids_by_length[LONGEST_NAME + 1][MAX_OF_LENGTH] = {
    [2] = {H1_TE},
    [3] = {H1_VIA},
    [4] = {H1_HOST, H1_DATE},
    [6] = {H1_EXPECT, H1_COOKIE},
    [7] = {H1_REFERER, H1_UPGRADE, H1_TRAILER},
    [9] = {H1_FORWARDED},
    [10] = {H1_CONNECTION, H1_USER_AGENT, H1_KEEP_ALIVE, H1_TRACESTATE},
    [11] = {H1_TRACEPARENT},
    [12] = {H1_MAX_FORWARDS},
    [13] = {H1_AUTHORIZATION},
    [14] = {H1_CONTENT_LENGTH, H1_HTTP2_SETTINGS},
    [15] = {H1_X_FORWARDED_FOR},
    [16] = {H1_PROXY_CONNECTION, H1_X_FORWARDED_HOST, H1_X_FORWARDED_PORT},
    [17] = {H1_TRANSFER_ENCODING, H1_X_FORWARDED_PROTO},
    [18] = {H1_PROXY_AUTHENTICATE},
    [19] = {H1_PROXY_AUTHORIZATION},
};

/* Whether n bytes are those of a known name, which is in lower case. Setting bit 5 makes letters of
 * either case alike, leaves digits and the hyphen, and makes no other character of a token one of
 * these. */
static bool is_name(const uint8_t *p, const uint8_t *known, size_t n)
{
    const uint64_t case_bits = UINT64_C(0x2020202020202020);
    uint64_t a, b, unlike = 0;
    if (n < sizeof a) {
        for (size_t i = 0; i < n; i++)
            unlike |= (uint64_t)((p[i] | 0x20) ^ known[i]);
        return unlike == 0;
    }
    for (size_t i = 0; i < n; i += sizeof a) {
        size_t at = i + sizeof a <= n ? i : n - sizeof a; /* the last eight may overlap */
        memcpy(&a, p + at, sizeof a);
        memcpy(&b, known + at, sizeof b);
        unlike |= (a | case_bits) ^ b;
    }
    return unlike == 0;
}

enum h1_field_id h1_field_lookup(struct span name)
{
    if (name.n == 0 || name.n > LONGEST_NAME)
        return H1_OTHER;
    const uint8_t *ids = ids_by_length[name.n];
    for (size_t i = 0; i < MAX_OF_LENGTH && ids[i] != H1_OTHER; i++) {
        if (is_name(name.p, names[ids[i]].p, name.n))
            return ids[i];
    }
    return H1_OTHER;
}

void h1_lines_init(struct h1_lines *lines, struct h1_field *fields)
{
    lines->fields = fields;
    lines->at = 0;
    lines->scanned = 0;
    lines->n_fields = 0;
    lines->has_start_line = false;
    lines->seen = 0;
}

/* LINE_FIELD for a complete line, which lies before its CRLF. */
static enum line_result next_line(struct h1_lines *lines, const uint8_t *bytes, size_t n,
                                  struct span *ret_line)
{
    assert(n <= UINT32_MAX && lines->scanned <= n);
    const uint8_t *end = bytes + n;
    const uint8_t *stop = h1_scan_text(bytes + lines->scanned, end);
    lines->scanned = (uint32_t)(stop - bytes);
    if (stop == end)
        return LINE_MORE;
    if (*stop != '\r')
        return LINE_BAD;
    if (end - stop == 1)
        return LINE_MORE;
    if (stop[1] != '\n')
        return LINE_BAD;
    *ret_line = (struct span){bytes + lines->at, lines->scanned - lines->at};
    lines->scanned += 2;
    lines->at = lines->scanned;
    return LINE_FIELD;
}

enum line_result h1_lines_start(struct h1_lines *lines, const uint8_t *bytes, size_t n,
                                struct span *ret_line)
{
    struct span line;
    enum line_result result = next_line(lines, bytes, n, &line);
    if (result != LINE_FIELD)
        return result;
    if (line.n == 0)
        return LINE_BAD;
    lines->has_start_line = true;
    *ret_line = line;
    return LINE_START;
}

static void add_field(struct h1_lines *lines, const uint8_t *bytes, struct span name,
                      struct span value)
{
    enum h1_field_id id = h1_field_lookup(name);
    lines->fields[lines->n_fields++] = (struct h1_field){
        .name_at = (uint32_t)(name.p - bytes),
        .name_n = (uint16_t)name.n,
        .value_at = (uint32_t)(value.p - bytes),
        .value_n = (uint32_t)value.n,
        .id = (uint8_t)id,
        .is_hop = is_one_of((uint8_t)id, HOP_IDS),
    };
}

enum line_result h1_lines_field(struct h1_lines *lines, uint32_t max_fields, const uint8_t *bytes,
                                size_t n)
{
    assert(max_fields <= H1_MAX_FIELDS);
    struct span line;
    enum line_result result = next_line(lines, bytes, n, &line);
    if (result != LINE_FIELD)
        return result;
    if (line.n == 0)
        return LINE_END;

    size_t name_n = h1_chars_run(line, H1_CHAR_TOKEN);
    if (name_n == 0 || name_n == line.n || line.p[name_n] != ':')
        return LINE_BAD;
    if (name_n > UINT16_MAX || lines->n_fields == max_fields)
        return LINE_TOO_MANY;
    struct span value = {line.p + name_n + 1, line.n - name_n - 1};
    add_field(lines, bytes, (struct span){line.p, name_n}, h1_trim(value));
    return LINE_FIELD;
}

bool h1_list_next(struct span *list, struct span *ret_element)
{
    if (list->p == NULL)
        return false;
    const uint8_t *comma = list->n > 0 ? memchr(list->p, ',', list->n) : NULL;
    size_t n = comma != NULL ? (size_t)(comma - list->p) : list->n;
    *ret_element = h1_trim((struct span){list->p, n});
    *list = comma != NULL ? (struct span){comma + 1, list->n - n - 1} : (struct span){NULL, 0};
    return true;
}

static uint16_t option_note(struct span option)
{
    if (span_equal_nocase(option, SPAN("close")))
        return SEEN_OPTION_CLOSE;
    if (span_equal_nocase(option, SPAN("keep-alive")))
        return SEEN_OPTION_KEEP_ALIVE;
    if (span_equal_nocase(option, SPAN("upgrade")))
        return SEEN_OPTION_UPGRADE;
    return option.n > 0 ? SEEN_OPTION_OTHER : 0;
}

static void note_connection(struct h1_lines *lines, struct span value)
{
    struct span option;
    while (h1_list_next(&value, &option))
        lines->seen |= option_note(option);
}

static bool note_length(struct h1_framing *framing, struct span value)
{
    if (framing->has_content_length || value.n == 0)
        return false;
    uint64_t length = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (!h1_is_digit(value.p[i]))
            return false;
        uint8_t digit = value.p[i] - '0';
        if (length > (INT64_MAX - (uint64_t)digit) / 10)
            return false;
        length = length * 10 + digit;
    }
    framing->has_content_length = true;
    framing->content_length = length;
    return true;
}

/* Nothing may follow chunked, chunked itself included. */
static bool note_codings(struct h1_lines *lines, struct span value)
{
    lines->seen |= SEEN_TRANSFER_ENCODING;
    struct span coding;
    while (h1_list_next(&value, &coding)) {
        if ((lines->seen & SEEN_CHUNKED) != 0 || !h1_is_token(coding))
            return false;
        bool is_chunked = span_equal_nocase(coding, SPAN("chunked"));
        lines->seen |= is_chunked ? SEEN_CHUNKED : SEEN_OTHER_CODING;
    }
    return true;
}

bool h1_framing_note(struct h1_framing *framing, struct h1_lines *lines, const uint8_t *message)
{
    assert(lines->n_fields > 0);
    const struct h1_field *field = &lines->fields[lines->n_fields - 1];
    struct span value = h1_field_value(field, message);
    switch (field->id) {
    case H1_CONNECTION:
        note_connection(lines, value);
        return true;
    case H1_CONTENT_LENGTH:
        return note_length(framing, value);
    case H1_TRANSFER_ENCODING:
        return note_codings(lines, value);
    case H1_UPGRADE:
        lines->seen |= SEEN_UPGRADE;
        return true;
    default:
        return true;
    }
}

static void mark_named(struct h1_lines *lines, struct span name, const uint8_t *message)
{
    for (uint32_t i = 0; i < lines->n_fields; i++) {
        struct h1_field *field = &lines->fields[i];
        if (!is_one_of(field->id, STAYING_IDS) &&
            span_equal_nocase(h1_field_name(field, message), name))
            field->is_hop = true;
    }
}

/* False when there are too many. */
static bool mark_options(struct h1_lines *lines, const uint8_t *message)
{
    size_t n_named = 0;
    for (uint32_t i = 0; i < lines->n_fields; i++) {
        if (lines->fields[i].id != H1_CONNECTION)
            continue;
        struct span value = h1_field_value(&lines->fields[i], message);
        struct span option;
        while (h1_list_next(&value, &option)) {
            if (option_note(option) != SEEN_OPTION_OTHER)
                continue;
            if (++n_named > MAX_NAMED_OPTIONS)
                return false;
            mark_named(lines, option, message);
        }
    }
    return true;
}

static enum reason settle_body(struct h1_framing *framing, uint16_t seen, uint8_t minor,
                               enum h1_body_kind bare)
{
    framing->body = framing->has_content_length ? H1_BODY_LENGTH : bare;
    if ((seen & SEEN_TRANSFER_ENCODING) == 0)
        return REASON_OK;
    if (minor == 0 || framing->has_content_length || (seen & SEEN_CHUNKED) == 0)
        return REASON_BAD_REQUEST;
    if ((seen & SEEN_OTHER_CODING) != 0)
        return REASON_CODING_UNKNOWN;
    framing->body = H1_BODY_CHUNKED;
    return REASON_OK;
}

static bool keeps_alive(uint16_t seen, uint8_t minor)
{
    if ((seen & SEEN_OPTION_CLOSE) != 0)
        return false;
    return minor > 0 || (seen & SEEN_OPTION_KEEP_ALIVE) != 0;
}

enum reason h1_framing_settle(struct h1_framing *framing, struct h1_lines *lines, uint8_t minor,
                              enum h1_body_kind bare, const uint8_t *message)
{
    uint16_t seen = lines->seen;
    if ((seen & SEEN_OPTION_OTHER) != 0 && !mark_options(lines, message))
        return REASON_BAD_REQUEST;
    framing->keep_alive = keeps_alive(seen, minor);
    /* RFC 9110 section 7.8: an Upgrade in HTTP/1.0 is to be ignored. */
    framing->has_upgrade =
        minor > 0 && (seen & SEEN_UPGRADE) != 0 && (seen & SEEN_OPTION_UPGRADE) != 0;
    return settle_body(framing, seen, minor, bare);
}

enum reason h1_version_parse(struct span text, uint8_t *ret_minor)
{
    if (text.n != 8 || memcmp(text.p, "HTTP/", 5) != 0 || text.p[6] != '.')
        return REASON_BAD_REQUEST;
    if (!h1_is_digit(text.p[5]) || !h1_is_digit(text.p[7]))
        return REASON_BAD_REQUEST;
    if (text.p[5] != '1')
        return REASON_VERSION_UNKNOWN;
    *ret_minor = text.p[7] == '0' ? 0 : 1;
    return REASON_OK;
}
