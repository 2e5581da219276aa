/*
 * Which characters may stand where, by table. Private to the HTTP/1 parser.
 */
#ifndef QUOIT_BALANCER_HTTP_H1_CHARS_H
#define QUOIT_BALANCER_HTTP_H1_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/http/span.h"

enum {
    H1_CHAR_TOKEN = 1,
    H1_CHAR_PATH = 2, /* of a request target, '?' ends it */
    H1_CHAR_QUERY = 4,
    H1_CHAR_HOST = 8, /* of a registered name, without '%' */
};

extern const uint8_t h1_chars[256];

/* How many bytes from the start of the text belong to the class (one of the above). */
size_t h1_chars_run(struct span text, uint8_t class);

/* The same, a byte at a time: for other processors, and for tests to compare with. */
size_t h1_chars_run_scalar(struct span text, uint8_t class);

static inline bool h1_is_token(struct span text)
{
    return text.n > 0 && h1_chars_run(text, H1_CHAR_TOKEN) == text.n;
}

static inline bool h1_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The value of a hexadecimal digit, or -1. */
static inline int h1_hex_value(uint8_t c)
{
    if (h1_is_digit(c))
        return c - '0';
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Optional white space (RFC 9110 section 5.6.3). */
static inline bool h1_is_ows(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static inline struct span h1_trim(struct span text)
{
    while (text.n > 0 && h1_is_ows(text.p[text.n - 1]))
        text.n--;
    while (text.n > 0 && h1_is_ows(text.p[0])) {
        text.p++;
        text.n--;
    }
    return text;
}

#endif
