/*
 * Feeds an HTTP/1 parser one message whole and in every other way it may arrive, each time from
 * memory of exactly the right size at a new address, so that a sanitizer sees the first byte read
 * too far and a pointer kept between calls. For unit tests and fuzz targets.
 */
#ifndef QUOIT_TESTS_UNIT_H1_FEED_H
#define QUOIT_TESTS_UNIT_H1_FEED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/http/h1.h"

/* A span in an initializer. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

/* Copies bytes to text + at; returns the place behind them. */
static inline size_t put(void *text, size_t at, struct span bytes)
{
    if (bytes.n > 0)
        memcpy((uint8_t *)text + at, bytes.p, bytes.n);
    return at + bytes.n;
}

/* One way to call a parser: `parse` gets the first n bytes of the message. */
struct feed {
    enum h1_status (*parse)(void *state, const uint8_t *bytes, size_t n);
    struct span message;
};

static inline enum h1_status feed_first(const struct feed *feed, void *state, size_t n)
{
    uint8_t *copy = malloc(n);
    if (n > 0)
        memcpy(copy, feed->message.p, n);
    enum h1_status status = feed->parse(state, copy, n);
    free(copy);
    return status;
}

static inline enum h1_status feed_whole(const struct feed *feed, void *state)
{
    return feed_first(feed, state, feed->message.n);
}

/* Calls after each `step` bytes, and at the end, until the parser has made up its mind. */
static inline enum h1_status feed_steps(const struct feed *feed, void *state, size_t step)
{
    for (size_t n = step; n < feed->message.n; n += step) {
        enum h1_status status = feed_first(feed, state, n);
        if (status != H1_MORE)
            return status;
    }
    return feed_whole(feed, state);
}

static inline enum h1_status feed_split(const struct feed *feed, void *state, size_t at)
{
    enum h1_status status = feed_first(feed, state, at);
    return status == H1_MORE ? feed_whole(feed, state) : status;
}

static inline bool ranges_equal(struct h1_range a, struct h1_range b)
{
    return a.at == b.at && a.n == b.n;
}

static inline bool framings_equal(const struct h1_framing *a, const struct h1_framing *b)
{
    return a->body == b->body && a->content_length == b->content_length &&
           a->has_content_length == b->has_content_length && a->keep_alive == b->keep_alive &&
           a->has_upgrade == b->has_upgrade;
}

static inline bool fields_equal(const struct h1_lines *a, const struct h1_lines *b)
{
    if (a->n_fields != b->n_fields)
        return false;
    for (uint32_t i = 0; i < a->n_fields; i++) {
        const struct h1_field *x = &a->fields[i], *y = &b->fields[i];
        if (x->name_at != y->name_at || x->name_n != y->name_n || x->value_at != y->value_at ||
            x->value_n != y->value_n || x->id != y->id || x->is_hop != y->is_hop)
            return false;
    }
    return true;
}

static inline bool requests_equal(const struct h1_request *a, const struct h1_request *b)
{
    return a->head_n == b->head_n && a->minor == b->minor && a->method == b->method &&
           ranges_equal(a->method_text, b->method_text) && ranges_equal(a->target, b->target) &&
           ranges_equal(a->path, b->path) && ranges_equal(a->query, b->query) &&
           ranges_equal(a->authority, b->authority) && a->is_absolute_form == b->is_absolute_form &&
           a->expects_continue == b->expects_continue &&
           a->accepts_trailers == b->accepts_trailers && a->reason == b->reason &&
           framings_equal(&a->framing, &b->framing) && fields_equal(&a->lines, &b->lines);
}

static inline bool responses_equal(const struct h1_response *a, const struct h1_response *b)
{
    return a->head_n == b->head_n && a->minor == b->minor && a->status == b->status &&
           ranges_equal(a->phrase, b->phrase) && a->reason == b->reason &&
           framings_equal(&a->framing, &b->framing) && fields_equal(&a->lines, &b->lines);
}

static inline bool trailers_equal(const struct h1_trailers *a, const struct h1_trailers *b)
{
    return a->total_n == b->total_n && a->reason == b->reason && fields_equal(&a->lines, &b->lines);
}

/* A request parser in feed_fn's shape. */
struct request_state {
    struct h1_request request;
    struct h1_field fields[H1_MAX_FIELDS];
    const struct h1_limits *limits;
};

static inline enum h1_status parse_request(void *state, const uint8_t *bytes, size_t n)
{
    struct request_state *s = state;
    return h1_request_parse(&s->request, s->limits, bytes, n);
}

static inline void request_state_init(struct request_state *state, const struct h1_limits *limits)
{
    h1_request_init(&state->request, state->fields);
    state->limits = limits;
}

/* Whether one split feeding agrees with the whole one; at == 0: a byte at a time. */
static inline bool request_agrees(struct span message, const struct h1_limits *limits, size_t at,
                                  enum h1_status status, const struct h1_request *whole)
{
    struct feed feed = {parse_request, message};
    struct request_state state;
    request_state_init(&state, limits);
    enum h1_status split = at == 0 ? feed_steps(&feed, &state, 1) : feed_split(&feed, &state, at);
    return split == status && requests_equal(&state.request, whole);
}

struct response_state {
    struct h1_response response;
    struct h1_field fields[H1_MAX_FIELDS];
    const struct h1_limits *limits;
    enum h1_method method;
};

static inline enum h1_status parse_response(void *state, const uint8_t *bytes, size_t n)
{
    struct response_state *s = state;
    return h1_response_parse(&s->response, s->limits, s->method, bytes, n);
}

static inline void response_state_init(struct response_state *state, const struct h1_limits *limits,
                                       enum h1_method method)
{
    h1_response_init(&state->response, state->fields);
    state->limits = limits;
    state->method = method;
}

static inline bool response_agrees(struct span message, const struct h1_limits *limits,
                                   enum h1_method method, size_t at, enum h1_status status,
                                   const struct h1_response *whole)
{
    struct feed feed = {parse_response, message};
    struct response_state state;
    response_state_init(&state, limits, method);
    enum h1_status split = at == 0 ? feed_steps(&feed, &state, 1) : feed_split(&feed, &state, at);
    return split == status && responses_equal(&state.response, whole);
}

struct trailers_state {
    struct h1_trailers trailers;
    struct h1_field fields[H1_MAX_FIELDS];
    const struct h1_limits *limits;
};

static inline enum h1_status parse_trailers(void *state, const uint8_t *bytes, size_t n)
{
    struct trailers_state *s = state;
    return h1_trailers_parse(&s->trailers, s->limits, REASON_UPSTREAM_BAD, bytes, n);
}

static inline void trailers_state_init(struct trailers_state *state, const struct h1_limits *limits)
{
    h1_trailers_init(&state->trailers, state->fields);
    state->limits = limits;
}

static inline bool trailers_agree(struct span message, const struct h1_limits *limits, size_t at,
                                  enum h1_status status, const struct h1_trailers *whole)
{
    struct feed feed = {parse_trailers, message};
    struct trailers_state state;
    trailers_state_init(&state, limits);
    enum h1_status split = at == 0 ? feed_steps(&feed, &state, 1) : feed_split(&feed, &state, at);
    return split == status && trailers_equal(&state.trailers, whole);
}

/* What a reader makes of a stream of body bytes. */
struct body_result {
    enum h1_status status;
    size_t read;     /* bytes of the stream the reader is through with, but not those of an error */
    size_t payload;  /* bytes of payload in it */
    uint8_t *copied; /* them */
};

/*
 * Reads pieces of `step` bytes (0: all at once), taking at most `take` payload bytes of a run. The
 * first piece is `first` bytes long when first > 0. The result's `copied` is the caller's to free.
 */
struct body_feed {
    struct h1_framing framing;
    struct span stream;
    size_t first, step, take;
};

/* Reads one piece: as far as it goes. */
static inline enum h1_status body_read_piece(struct h1_body *body, const uint8_t *piece, size_t n,
                                             size_t take, struct body_result *result)
{
    size_t at = 0;
    while (true) {
        struct h1_run run;
        enum h1_status status = h1_body_next(body, piece + at, n - at, &run);
        if (status == H1_ERROR)
            return status;
        at += run.skip;
        result->read += run.skip;
        if (status != H1_DATA)
            return status;
        size_t k = run.n < take ? run.n : take;
        memcpy(result->copied + result->payload, piece + at, k);
        h1_body_take(body, k);
        result->payload += k;
        result->read += k;
        at += k;
    }
}

static inline struct body_result feed_body(const struct body_feed *feed)
{
    struct h1_body body;
    h1_body_init(&body, &feed->framing, REASON_BAD_REQUEST);
    struct body_result result = {.status = H1_MORE, .copied = malloc(feed->stream.n + 1)};
    size_t at = 0;
    do {
        size_t step = at == 0 && feed->first > 0 ? feed->first : feed->step;
        size_t left = feed->stream.n - at;
        size_t n = step == 0 || step > left ? left : step;
        uint8_t *piece = malloc(n);
        if (n > 0)
            memcpy(piece, feed->stream.p + at, n);
        result.status = body_read_piece(&body, piece, n, feed->take, &result);
        free(piece);
        at += n;
    } while (result.status == H1_MORE && at < feed->stream.n);
    return result;
}

/* Whether two readings agree; frees the second. Of an error, only that it is one and the payload
 * before it count: how much framing was passed depends on the pieces. */
static inline bool body_results_agree(const struct body_result *a, struct body_result *b)
{
    bool agree = a->status == b->status && a->payload == b->payload &&
                 (a->status == H1_ERROR || a->read == b->read) &&
                 (a->payload == 0 || memcmp(a->copied, b->copied, a->payload) == 0);
    free(b->copied);
    return agree;
}

#endif
