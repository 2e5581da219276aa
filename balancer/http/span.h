/*
 * A run of bytes that somebody else owns; valid until the callee returns unless said otherwise.
 */
#ifndef QUOIT_BALANCER_HTTP_SPAN_H
#define QUOIT_BALANCER_HTTP_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const uint8_t *p;
    size_t n;
};

#define SPAN(literal) ((struct span){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline struct span span_of(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII only, as HTTP compares tokens (RFC 9110 section 5.1). */
bool span_equal_nocase(struct span a, struct span b);

/* Whether two fields' names are one to programs that read fields from environment variables (RFC
 * 3875 section 4.1.18): in any case, and an underscore is a hyphen. */
bool span_equal_as_names(struct span a, struct span b);

#endif
