#include "balancer/log/line.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CUT_TEXT " truncated=true"
#define CUT_JSON ",\"truncated\":true"

enum { END_RESERVE = sizeof CUT_JSON "}\n" }; /* what line_end() may have to add */

static size_t room(const struct line *line)
{
    return line->size - END_RESERVE - line->n;
}

void line_put(struct line *line, struct span bytes)
{
    if (line->is_cut || bytes.n > room(line)) {
        line->is_cut = true;
        return;
    }
    if (bytes.n > 0)
        memcpy(line->p + line->n, bytes.p, bytes.n);
    line->n += bytes.n;
}

static void put_char(struct line *line, char c)
{
    line_put(line, (struct span){(const uint8_t *)&c, 1});
}

/* Decimal digits, with leading zeros up to width. */
static void put_padded(struct line *line, uint64_t value, unsigned width)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (sizeof digits - at < width)
        digits[--at] = '0';
    line_put(line, (struct span){digits + at, sizeof digits - at});
}

void line_put_u64(struct line *line, uint64_t value)
{
    put_padded(line, value, 1);
}

/* The length of the printable UTF-8 character (above ASCII) that starts at p; 0: there is none.
 * The table is Unicode 3-7; U+0080 to U+009F count as unprintable, terminals obey some of them. */
static size_t utf8_length(const uint8_t *p, size_t n)
{
    static const struct {
        uint8_t first_low, first_high, second_low, second_high, length;
    } forms[] = {
        {0xc2, 0xc2, 0xa0, 0xbf, 2}, {0xc3, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    size_t form = 0;
    while (form < sizeof forms / sizeof *forms && p[0] > forms[form].first_high)
        form++;
    if (form == sizeof forms / sizeof *forms || p[0] < forms[form].first_low ||
        n < forms[form].length || p[1] < forms[form].second_low || p[1] > forms[form].second_high)
        return 0;
    for (size_t i = 2; i < forms[form].length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return forms[form].length;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_hex(struct line *line, struct span prefix, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    line_put(line, prefix);
    put_char(line, digits[byte >> 4]);
    put_char(line, digits[byte & 15]);
}

static void put_escaped_byte(struct line *line, uint8_t byte)
{
    static const char letters[] = "\"\\\n\r\t", names[] = "\"\\nrt";
    const char *letter = byte == 0 ? NULL : strchr(letters, byte);
    if (letter != NULL) {
        put_char(line, '\\');
        put_char(line, names[letter - letters]);
    } else if (line->format == LINE_TEXT) {
        put_hex(line, SPAN("\\x"), byte);
    } else if (byte < 0x80) {
        put_hex(line, SPAN("\\u00"), byte);
    } else {
        put_hex(line, SPAN("\\\\x"), byte);
    }
}

void line_put_escaped(struct line *line, struct span value)
{
    size_t at = 0;
    while (at < value.n && !line->is_cut) {
        size_t from = at;
        while (at < value.n && is_plain(value.p[at]))
            at++;
        line_put(line, (struct span){value.p + from, at - from});
        if (at == value.n)
            return;
        size_t n = value.p[at] < 0x80 ? 0 : utf8_length(value.p + at, value.n - at);
        if (n > 0)
            line_put(line, (struct span){value.p + at, n});
        else
            put_escaped_byte(line, value.p[at]);
        at += n > 0 ? n : 1;
    }
}

struct date {
    uint64_t year;
    unsigned month, day; /* from 1 on */
};

/* Days since 1970-01-01 as a Gregorian date. gmtime_r() would take a lock that all threads share.
 * The year is taken to begin in March, so that the leap day is its last. */
static struct date date_of(uint64_t days)
{
    uint64_t shifted = days + 719468; /* since 0000-03-01 */
    uint64_t era = shifted / 146097;  /* of 400 years */
    uint64_t day = shifted % 146097;
    uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    uint64_t of_year = day - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153; /* March is 0 */
    struct date date = {
        .year = era * 400 + year + (month >= 10),
        .month = (unsigned)(month < 10 ? month + 3 : month - 9),
        .day = (unsigned)(of_year - (153 * month + 2) / 5 + 1),
    };
    return date;
}

static void put_clock(struct line *line, uint64_t seconds)
{
    put_padded(line, seconds / 3600 % 24, 2);
    put_char(line, ':');
    put_padded(line, seconds / 60 % 60, 2);
    put_char(line, ':');
    put_padded(line, seconds % 60, 2);
}

void line_put_time(struct line *line, uint64_t unix_us, unsigned decimals)
{
    assert(decimals == 3 || decimals == 6);
    uint64_t seconds = unix_us / 1000000, us = unix_us % 1000000;
    struct date date = date_of(seconds / 86400);
    put_padded(line, date.year, 4);
    put_char(line, '-');
    put_padded(line, date.month, 2);
    put_char(line, '-');
    put_padded(line, date.day, 2);
    put_char(line, 'T');
    put_clock(line, seconds);
    put_char(line, '.');
    put_padded(line, decimals == 3 ? us / 1000 : us, decimals);
    put_char(line, 'Z');
}

void line_put_combined_time(struct line *line, uint64_t unix_us)
{
    static const char months[] = "Jan/Feb/Mar/Apr/May/Jun/Jul/Aug/Sep/Oct/Nov/Dec/";
    uint64_t seconds = unix_us / 1000000;
    struct date date = date_of(seconds / 86400);
    put_padded(line, date.day, 2);
    put_char(line, '/');
    line_put(line, (struct span){(const uint8_t *)months + (size_t)4 * (date.month - 1), 4});
    put_padded(line, date.year, 4);
    put_char(line, ':');
    put_clock(line, seconds);
    line_put(line, SPAN(" +0000"));
}

void line_init(struct line *line, enum line_format format, char *p, size_t size)
{
    assert(size >= LINE_MIN_SIZE);
    *line = (struct line){.p = p, .size = size, .format = format};
    if (format == LINE_JSON)
        put_char(line, '{');
}

size_t line_end(struct line *line)
{
    bool was_cut = line->is_cut;
    line->is_cut = false;
    line->size += END_RESERVE; /* room() keeps it back for this moment */
    if (was_cut)
        line_put(line, line->format == LINE_JSON ? SPAN(CUT_JSON) : SPAN(CUT_TEXT));
    if (line->format == LINE_JSON)
        put_char(line, '}');
    put_char(line, '\n');
    line->size -= END_RESERVE;
    assert(!line->is_cut);
    return line->n;
}

/* Writes what separates pairs, and the key; returns where to go back to if the pair does not fit.
 */
static size_t pair_begin(struct line *line, const char *key)
{
    size_t mark = line->n;
    if (line->format == LINE_JSON) {
        line_put(line, line->n > 1 ? SPAN(",\"") : SPAN("\""));
        line_put(line, span_of(key));
        line_put(line, SPAN("\":"));
    } else {
        if (line->n > 0)
            put_char(line, ' ');
        line_put(line, span_of(key));
        put_char(line, '=');
    }
    return mark;
}

static void pair_end(struct line *line, size_t mark)
{
    if (line->is_cut)
        line->n = mark;
}

/* Text values go without quotes where no reader can mistake them. */
static bool needs_quotes(const struct line *line, struct span value)
{
    if (line->format == LINE_JSON || value.n == 0 || span_equal(value, SPAN("-")))
        return true;
    for (size_t i = 0; i < value.n; i++)
        if (!is_plain(value.p[i]) || value.p[i] == ' ')
            return true;
    return false;
}

/* At most LINE_VALUE_MAX bytes of value, cut between characters. */
static struct span shorten(struct span value)
{
    if (value.n <= LINE_VALUE_MAX)
        return value;
    size_t n = LINE_VALUE_MAX;
    for (size_t back = 0; back < 3 && (value.p[n] & 0xc0) == 0x80; back++)
        n--;
    return (struct span){value.p, n};
}

static void put_absent(struct line *line)
{
    line_put(line, line->format == LINE_JSON ? SPAN("null") : SPAN("-"));
}

void line_str(struct line *line, const char *key, struct span value)
{
    size_t mark = pair_begin(line, key);
    struct span shown = shorten(value);
    if (value.p == NULL) {
        put_absent(line);
    } else if (!needs_quotes(line, shown)) {
        line_put(line, shown);
        line_put(line, shown.n < value.n ? SPAN("...") : SPAN(""));
    } else {
        put_char(line, '"');
        line_put_escaped(line, shown);
        line_put(line, shown.n < value.n ? SPAN("...\"") : SPAN("\""));
    }
    pair_end(line, mark);
}

void line_u64(struct line *line, const char *key, uint64_t value)
{
    size_t mark = pair_begin(line, key);
    line_put_u64(line, value);
    pair_end(line, mark);
}

void line_i64(struct line *line, const char *key, int64_t value)
{
    size_t mark = pair_begin(line, key);
    if (value < 0)
        put_char(line, '-');
    line_put_u64(line, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    pair_end(line, mark);
}

void line_f64(struct line *line, const char *key, double value)
{
    size_t mark = pair_begin(line, key);
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%.15g", value);
    if (strtod(digits, NULL) != value) /* 15 digits are not always enough to read it back */
        n = snprintf(digits, sizeof digits, "%.17g", value);
    if (line->format == LINE_JSON && !isfinite(value))
        put_absent(line);
    else
        line_put(line, (struct span){(const uint8_t *)digits, (size_t)n});
    pair_end(line, mark);
}

void line_time(struct line *line, const char *key, uint64_t unix_us, unsigned decimals)
{
    size_t mark = pair_begin(line, key);
    const char *quote = line->format == LINE_JSON ? "\"" : "";
    line_put(line, span_of(quote));
    line_put_time(line, unix_us, decimals);
    line_put(line, span_of(quote));
    pair_end(line, mark);
}
