#include <assert.h>

#include "balancer/http/h1.h"
#include "balancer/http/h1_chars.h"
#include "balancer/http/h1_lines.h"

#define MAX_SIZE_DIGITS 16
#define MAX_SIZE_LINE 4096

/*
 * The chunk reader (RFC 9112 section 7.1):
 *
 *   SIZE ─► BLANK ─► EXTENSION ─► SIZE_LF ─► PAYLOAD ─► PAYLOAD_CR ─► PAYLOAD_LF ─► SIZE
 *     └───────┴───────────┴────────►┘   └─► LAST, when the size was 0
 */
enum chunk_state {
    CHUNK_SIZE,
    CHUNK_BLANK, /* white space between the size and an extension's ';' */
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_PAYLOAD,
    CHUNK_PAYLOAD_CR,
    CHUNK_PAYLOAD_LF,
    CHUNK_LAST,
    CHUNK_BROKEN,
};

void h1_body_init(struct h1_body *body, const struct h1_framing *framing, enum reason bad)
{
    *body = (struct h1_body){
        .kind = framing->body,
        .state = CHUNK_SIZE,
        .left = framing->body == H1_BODY_LENGTH ? framing->content_length : 0,
        .reason = bad,
    };
}

static enum chunk_state after_size(const struct h1_body *body, uint8_t c)
{
    if (body->size_digits == 0)
        return CHUNK_BROKEN;
    if (c == '\r')
        return CHUNK_SIZE_LF;
    if (c == ';')
        return CHUNK_EXTENSION;
    return h1_is_ows(c) ? CHUNK_BLANK : CHUNK_BROKEN;
}

static enum chunk_state read_size(struct h1_body *body, uint8_t c)
{
    int digit = h1_hex_value(c);
    if (digit < 0)
        return after_size(body, c);
    if (body->size_digits == MAX_SIZE_DIGITS || body->left > (uint64_t)INT64_MAX >> 4)
        return CHUNK_BROKEN;
    body->size_digits++;
    body->left = body->left << 4 | (uint64_t)digit;
    return CHUNK_SIZE;
}

static enum chunk_state read_extension(uint8_t c)
{
    if (c == '\r')
        return CHUNK_SIZE_LF;
    bool is_control = (c < 0x20 && c != '\t') || c == 0x7f;
    return is_control ? CHUNK_BROKEN : CHUNK_EXTENSION;
}

static enum chunk_state read_size_lf(struct h1_body *body, uint8_t c)
{
    if (c != '\n')
        return CHUNK_BROKEN;
    body->size_digits = 0;
    body->line_n = 0;
    return body->left > 0 ? CHUNK_PAYLOAD : CHUNK_LAST;
}

/* The state after one more byte of framing. */
static enum chunk_state read_framing(struct h1_body *body, uint8_t c)
{
    switch (body->state) {
    case CHUNK_SIZE:
        return read_size(body, c);
    case CHUNK_BLANK:
        if (c == ';')
            return CHUNK_EXTENSION;
        return h1_is_ows(c) ? CHUNK_BLANK : CHUNK_BROKEN;
    case CHUNK_EXTENSION:
        return read_extension(c);
    case CHUNK_SIZE_LF:
        return read_size_lf(body, c);
    case CHUNK_PAYLOAD_CR:
        return c == '\r' ? CHUNK_PAYLOAD_LF : CHUNK_BROKEN;
    case CHUNK_PAYLOAD_LF:
        return c == '\n' ? CHUNK_SIZE : CHUNK_BROKEN;
    default:
        return CHUNK_BROKEN;
    }
}

static bool is_framing(enum chunk_state state)
{
    return state != CHUNK_PAYLOAD && state != CHUNK_LAST && state != CHUNK_BROKEN;
}

static bool is_size_line(enum chunk_state state)
{
    return state == CHUNK_SIZE || state == CHUNK_BLANK || state == CHUNK_EXTENSION;
}

/* Reads framing up to the next payload, the trailers or an error; the bytes it took. */
static size_t skip_framing(struct h1_body *body, const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (at < n && is_framing(body->state)) {
        bool is_too_long = is_size_line(body->state) && body->line_n++ > MAX_SIZE_LINE;
        body->state = (uint8_t)(is_too_long ? CHUNK_BROKEN : read_framing(body, bytes[at++]));
    }
    return at;
}

static enum h1_status next_chunked(struct h1_body *body, const uint8_t *bytes, size_t n,
                                   struct h1_run *ret_run)
{
    size_t skip = skip_framing(body, bytes, n);
    *ret_run = (struct h1_run){skip, 0};
    if (body->state == CHUNK_BROKEN)
        return H1_ERROR;
    if (body->state == CHUNK_LAST)
        return H1_TRAILERS;
    if (body->state != CHUNK_PAYLOAD || skip == n)
        return H1_MORE;
    ret_run->n = body->left < n - skip ? (size_t)body->left : n - skip;
    return H1_DATA;
}

enum h1_status h1_body_next(struct h1_body *body, const uint8_t *bytes, size_t n,
                            struct h1_run *ret_run)
{
    *ret_run = (struct h1_run){0, 0};
    switch (body->kind) {
    case H1_BODY_NONE:
        return H1_DONE;
    case H1_BODY_LENGTH:
        if (body->left == 0)
            return H1_DONE;
        ret_run->n = body->left < n ? (size_t)body->left : n;
        return n > 0 ? H1_DATA : H1_MORE;
    case H1_BODY_UNTIL_CLOSE:
        ret_run->n = n;
        return n > 0 ? H1_DATA : H1_MORE;
    case H1_BODY_CHUNKED:
        return next_chunked(body, bytes, n, ret_run);
    }
    return H1_ERROR;
}

void h1_body_take(struct h1_body *body, size_t n)
{
    if (body->kind == H1_BODY_UNTIL_CLOSE)
        return;
    assert(body->kind != H1_BODY_CHUNKED || n == 0 || body->state == CHUNK_PAYLOAD);
    assert(n <= body->left);
    body->left -= n;
    if (body->kind == H1_BODY_CHUNKED && body->left == 0 && body->state == CHUNK_PAYLOAD)
        body->state = CHUNK_PAYLOAD_CR;
}
