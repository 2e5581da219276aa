/*
 * VALUE ─► STRING | NUMBER | LITERAL ─► AFTER ─► (',') VALUE or NEXT_NAME, (']' or '}') AFTER
 *   ├─ '[' ─► ELEMENT_OR_END ─► as VALUE
 *   └─ '{' ─► NAME_OR_END ─► NAME ─► COLON ─► VALUE
 *
 * The root is on the path, so a container on the path is always open from its '{' or '[' on, and
 * the search is over when that closes.
 */
#include "balancer/http/json_field.h"

#include "balancer/http/h1_chars.h"

#define MAX_DEPTH 64

enum state {
    STATE_VALUE,
    STATE_ELEMENT_OR_END,
    STATE_NAME_OR_END,
    STATE_NEXT_NAME,
    STATE_NAME,
    STATE_COLON,
    STATE_STRING,
    STATE_NUMBER,
    STATE_LITERAL,
    STATE_AFTER,
};

/* In a string. HEX and above: as many digits of a \u escape are still to come. */
enum { PART_PLAIN, PART_ESCAPE, PART_HEX };

/* In a number. */
enum {
    PART_MINUS,
    PART_ZERO,
    PART_WHOLE,
    PART_POINT,
    PART_FRACTION,
    PART_E,
    PART_SIGN,
    PART_EXPONENT,
    PART_NONE,
};

/* ---- the path */

static uint32_t index_of(const char *segment, uint32_t n)
{
    uint32_t index = 0;
    if (n > 9 || (n > 1 && segment[0] == '0'))
        return UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (!h1_is_digit((uint8_t)segment[i]))
            return UINT32_MAX;
        index = index * 10 + (uint32_t)(segment[i] - '0');
    }
    return index;
}

static void set_segment(struct json_field *field, const char *segment)
{
    field->segment = segment;
    field->segment_n = (uint32_t)strcspn(segment, ".");
    field->index = index_of(segment, field->segment_n);
}

static void next_segment(struct json_field *field)
{
    const char *end = field->segment + field->segment_n;
    set_segment(field, *end == '.' ? end + 1 : end);
}

void json_field_begin(struct json_field *field, const char *path)
{
    *field = (struct json_field){.state = STATE_VALUE, .is_on_path = true};
    set_segment(field, path);
}

static bool is_target(const struct json_field *field)
{
    return field->is_on_path && field->segment_n == 0;
}

/* ---- containers */

static bool is_in_array(const struct json_field *field)
{
    return (field->arrays >> (field->depth - 1) & 1) != 0;
}

static void begin_element(struct json_field *field)
{
    field->is_on_path = field->depth == field->path_depth && field->element == field->index;
    if (field->is_on_path)
        next_segment(field);
}

static enum field_status open_container(struct json_field *field, uint8_t c)
{
    if (is_target(field) || field->depth == MAX_DEPTH)
        return FIELD_ABSENT;
    uint64_t bit = UINT64_C(1) << field->depth++;
    field->arrays = c == '[' ? field->arrays | bit : field->arrays & ~bit;
    if (field->is_on_path) {
        field->path_depth = field->depth;
        field->element = 0;
    }
    if (c == '[')
        begin_element(field);
    field->state = c == '[' ? STATE_ELEMENT_OR_END : STATE_NAME_OR_END;
    return FIELD_MORE;
}

static enum field_status close_container(struct json_field *field)
{
    if (field->depth == field->path_depth)
        return FIELD_ABSENT;
    field->depth--;
    field->state = STATE_AFTER;
    return FIELD_MORE;
}

static enum field_status take_after(struct json_field *field, uint8_t c)
{
    bool is_array = is_in_array(field);
    if (c == (is_array ? ']' : '}'))
        return close_container(field);
    if (c != ',')
        return FIELD_ABSENT;
    field->state = is_array ? STATE_VALUE : STATE_NEXT_NAME;
    if (is_array && field->depth == field->path_depth)
        field->element++;
    if (is_array)
        begin_element(field);
    return FIELD_MORE;
}

/* ---- values */

static enum field_status end_value(struct json_field *field)
{
    field->state = STATE_AFTER;
    return is_target(field) ? FIELD_FOUND : FIELD_MORE;
}

static enum field_status begin_literal(struct json_field *field, uint8_t c, struct key_text *value)
{
    static const char *const literals[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        if (c != (uint8_t)literals[i][0])
            continue;
        if (is_target(field) && c == 'n')
            return FIELD_ABSENT;
        if (is_target(field))
            key_text_add(value, span_of(literals[i]));
        field->literal = literals[i] + 1;
        field->state = STATE_LITERAL;
        return FIELD_MORE;
    }
    return FIELD_ABSENT;
}

static enum field_status take_literal(struct json_field *field, uint8_t c)
{
    if (c != (uint8_t)*field->literal++)
        return FIELD_ABSENT;
    return *field->literal == '\0' ? end_value(field) : FIELD_MORE;
}

static enum field_status begin_value(struct json_field *field, uint8_t c, struct key_text *value)
{
    if (c == '{' || c == '[')
        return open_container(field, c);
    if (field->is_on_path && !is_target(field))
        return FIELD_ABSENT; /* the path goes on, but not in here */
    if (c == '"') {
        field->state = STATE_STRING;
        field->part = PART_PLAIN;
        return FIELD_MORE;
    }
    if (c != '-' && !h1_is_digit(c))
        return begin_literal(field, c, value);
    if (is_target(field))
        key_text_add(value, (struct span){&c, 1});
    field->state = STATE_NUMBER;
    field->part = c == '-' ? PART_MINUS : c == '0' ? PART_ZERO : PART_WHOLE;
    return FIELD_MORE;
}

/* ---- numbers */

/* Where in a number c leads from part; PART_NONE: nowhere. */
static uint8_t next_part(uint8_t part, uint8_t c)
{
    static const uint8_t on_digit[] = {
        [PART_MINUS] = PART_WHOLE,    [PART_ZERO] = PART_NONE,         [PART_WHOLE] = PART_WHOLE,
        [PART_POINT] = PART_FRACTION, [PART_FRACTION] = PART_FRACTION, [PART_E] = PART_EXPONENT,
        [PART_SIGN] = PART_EXPONENT,  [PART_EXPONENT] = PART_EXPONENT,
    };
    bool is_integer = part == PART_ZERO || part == PART_WHOLE;
    if (h1_is_digit(c))
        return part == PART_MINUS && c == '0' ? PART_ZERO : on_digit[part];
    if (c == '.')
        return is_integer ? PART_POINT : PART_NONE;
    if (c == 'e' || c == 'E')
        return is_integer || part == PART_FRACTION ? PART_E : PART_NONE;
    return (c == '+' || c == '-') && part == PART_E ? PART_SIGN : PART_NONE;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What ends a number is the first byte behind it. */
static enum field_status end_number(struct json_field *field, uint8_t c)
{
    bool is_whole = field->part == PART_ZERO || field->part == PART_WHOLE ||
                    field->part == PART_FRACTION || field->part == PART_EXPONENT;
    if (!is_whole || (!is_blank(c) && c != ',' && c != (is_in_array(field) ? ']' : '}')))
        return FIELD_ABSENT;
    enum field_status status = end_value(field);
    return status != FIELD_MORE || is_blank(c) ? status : take_after(field, c);
}

static enum field_status take_number(struct json_field *field, uint8_t c, struct key_text *value)
{
    uint8_t part = next_part(field->part, c);
    if (part == PART_NONE)
        return end_number(field, c);
    field->part = part;
    if (is_target(field))
        key_text_add(value, (struct span){&c, 1});
    return FIELD_MORE;
}

/* ---- strings */

static void compare_name(struct json_field *field, struct span bytes)
{
    if (bytes.n > field->segment_n - field->matched ||
        memcmp(field->segment + field->matched, bytes.p, bytes.n) != 0)
        field->differs = true;
    else
        field->matched += (uint32_t)bytes.n;
}

static void put(struct json_field *field, struct span bytes, struct key_text *value)
{
    if (field->state == STATE_NAME) {
        if (!field->differs)
            compare_name(field, bytes);
    } else if (is_target(field)) {
        key_text_add(value, bytes);
    }
}

/* As UTF-8 (RFC 3629 section 3). */
static void put_code(struct json_field *field, uint32_t code, struct key_text *value)
{
    uint8_t bytes[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; code >>= 6)
        bytes[i] = (uint8_t)(0x80 | (code & 0x3f));
    bytes[0] = (uint8_t)(marks[n] | code);
    put(field, (struct span){bytes, n}, value);
}

/* A \u escape is complete: a character, or half of one beyond the first 65536. */
static enum field_status end_code(struct json_field *field, struct key_text *value)
{
    uint32_t code = field->code;
    bool is_high = code >= 0xd800 && code < 0xdc00, is_low = code >= 0xdc00 && code < 0xe000;
    if (is_low != (field->high != 0))
        return FIELD_ABSENT;
    if (is_high) {
        field->high = code;
        return FIELD_MORE;
    }
    if (is_low)
        code = 0x10000 + ((field->high - 0xd800) << 10) + (code - 0xdc00);
    field->high = 0;
    put_code(field, code, value);
    return FIELD_MORE;
}

static enum field_status take_hex(struct json_field *field, uint8_t c, struct key_text *value)
{
    int digit = h1_hex_value(c);
    if (digit < 0)
        return FIELD_ABSENT;
    field->code = field->code << 4 | (uint32_t)digit;
    if (--field->part >= PART_HEX)
        return FIELD_MORE;
    field->part = PART_PLAIN;
    return end_code(field, value);
}

static enum field_status take_escape(struct json_field *field, uint8_t c, struct key_text *value)
{
    static const char letters[] = "\"\\/bfnrt";
    static const uint8_t meanings[] = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
        field->part = PART_HEX + 3;
        field->code = 0;
        return FIELD_MORE;
    }
    const char *letter = c != '\0' ? strchr(letters, c) : NULL;
    if (letter == NULL || field->high != 0)
        return FIELD_ABSENT;
    field->part = PART_PLAIN;
    put(field, (struct span){&meanings[letter - letters], 1}, value);
    return FIELD_MORE;
}

static enum field_status end_string(struct json_field *field)
{
    if (field->state == STATE_STRING)
        return end_value(field);
    field->is_on_path = !field->differs && field->matched == field->segment_n;
    if (field->is_on_path)
        next_segment(field);
    field->state = STATE_COLON;
    return FIELD_MORE;
}

static enum field_status take_string(struct json_field *field, uint8_t c, struct key_text *value)
{
    if (field->part >= PART_HEX)
        return take_hex(field, c, value);
    if (field->part == PART_ESCAPE)
        return take_escape(field, c, value);
    if (c == '\\') {
        field->part = PART_ESCAPE;
        return FIELD_MORE;
    }
    if (c < 0x20 || field->high != 0)
        return FIELD_ABSENT;
    if (c == '"')
        return end_string(field);
    put(field, (struct span){&c, 1}, value);
    return FIELD_MORE;
}

static enum field_status begin_name(struct json_field *field, uint8_t c)
{
    if (c != '"')
        return FIELD_ABSENT;
    field->state = STATE_NAME;
    field->part = PART_PLAIN;
    field->matched = 0;
    field->differs = field->depth != field->path_depth;
    return FIELD_MORE;
}

/* ---- the whole */

/* One byte that is not white space, or stands where white space means something. */
static enum field_status take(struct json_field *field, uint8_t c, struct key_text *value)
{
    switch (field->state) {
    case STATE_ELEMENT_OR_END:
        return c == ']' ? close_container(field) : begin_value(field, c, value);
    case STATE_NAME_OR_END:
        return c == '}' ? close_container(field) : begin_name(field, c);
    case STATE_NEXT_NAME:
        return begin_name(field, c);
    case STATE_COLON:
        field->state = STATE_VALUE;
        return c == ':' ? FIELD_MORE : FIELD_ABSENT;
    case STATE_NAME:
    case STATE_STRING:
        return take_string(field, c, value);
    case STATE_NUMBER:
        return take_number(field, c, value);
    case STATE_LITERAL:
        return take_literal(field, c);
    case STATE_AFTER:
        return take_after(field, c);
    default:
        return begin_value(field, c, value);
    }
}

static bool is_in_token(const struct json_field *field)
{
    return field->state == STATE_NAME || field->state == STATE_STRING ||
           field->state == STATE_NUMBER || field->state == STATE_LITERAL;
}

/* How many bytes of a string stand for themselves; 0 outside of strings. */
static size_t plain_run(const struct json_field *field, struct span bytes)
{
    bool is_in_string = field->state == STATE_NAME || field->state == STATE_STRING;
    if (!is_in_string || field->part != PART_PLAIN || field->high != 0)
        return 0;
    size_t n = 0;
    while (n < bytes.n && bytes.p[n] >= 0x20 && bytes.p[n] != '"' && bytes.p[n] != '\\')
        n++;
    return n;
}

enum field_status json_field_feed(struct json_field *field, struct span bytes,
                                  struct key_text *value)
{
    enum field_status status = FIELD_MORE;
    while (bytes.n > 0 && status == FIELD_MORE) {
        size_t n = plain_run(field, bytes);
        if (n > 0) {
            put(field, (struct span){bytes.p, n}, value);
        } else {
            n = 1;
            if (is_in_token(field) || !is_blank(bytes.p[0]))
                status = take(field, bytes.p[0], value);
        }
        bytes = (struct span){bytes.p + n, bytes.n - n};
    }
    return status;
}
