/*
 * HTTP/1.0 and 1.1 messages, read strictly (RFC 9112; field values as RFC 9110 section 5.5).
 *
 * Pure: bytes in, offsets out; nothing is copied, allocated or changed. The head must lie in one
 * piece of memory; the parser takes it line by line as it grows, looks at no byte twice, and finds
 * an error as soon as the line that holds it is complete (a bare LF: at once). Offsets count from
 * the first byte of the message, so the buffer may move between calls.
 *
 * What is ambiguous is an error: see h1_request_parse().
 */
#ifndef QUOIT_BALANCER_HTTP_H1_H
#define QUOIT_BALANCER_HTTP_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/http/reason.h"
#include "balancer/http/span.h"

#define H1_MAX_FIELDS 256

enum h1_status {
    H1_MORE,     /* the bytes so far are fine; more are needed */
    H1_DONE,     /* complete */
    H1_DATA,     /* body only: a run of payload */
    H1_TRAILERS, /* body only: the last chunk is read, the trailer section follows */
    H1_ERROR,    /* the message is wrong: .reason says how */
};

/* Fields that the proxy looks at. X(ENUM, "lower-case-name") */
#define H1_FIELDS(X)                                                                               \
    X(HOST, "host")                                                                                \
    X(CONNECTION, "connection")                                                                    \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(EXPECT, "expect")                                                                            \
    X(UPGRADE, "upgrade")                                                                          \
    X(TE, "te")                                                                                    \
    X(TRAILER, "trailer")                                                                          \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(PROXY_AUTHENTICATE, "proxy-authenticate")                                                    \
    X(PROXY_AUTHORIZATION, "proxy-authorization")                                                  \
    X(VIA, "via")                                                                                  \
    X(X_FORWARDED_FOR, "x-forwarded-for")                                                          \
    X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                      \
    X(X_FORWARDED_HOST, "x-forwarded-host")                                                        \
    X(X_FORWARDED_PORT, "x-forwarded-port")                                                        \
    X(FORWARDED, "forwarded")                                                                      \
    X(TRACEPARENT, "traceparent")                                                                  \
    X(TRACESTATE, "tracestate")                                                                    \
    X(AUTHORIZATION, "authorization")                                                              \
    X(COOKIE, "cookie")                                                                            \
    X(DATE, "date")                                                                                \
    X(REFERER, "referer")                                                                          \
    X(USER_AGENT, "user-agent")                                                                    \
    X(MAX_FORWARDS, "max-forwards")                                                                \
    X(HTTP2_SETTINGS, "http2-settings")

enum h1_field_id {
    H1_OTHER,
#define X(name, text) H1_##name,
    H1_FIELDS(X)
#undef X
        H1_FIELD_COUNT
};

/* The field's id from its name, in any case. */
enum h1_field_id h1_field_lookup(struct span name);

struct h1_field {
    uint32_t name_at, value_at; /* offsets from the first byte of the message */
    uint32_t value_n;           /* without surrounding white space */
    uint16_t name_n;
    uint8_t id;  /* enum h1_field_id */
    bool is_hop; /* not to be forwarded: hop by hop by RFC 9110 section 7.6.1, or named by
                    Connection. Never set for Host, Content-Length, Authorization, Cookie,
                    Max-Forwards, Via, X-Forwarded-*, Forwarded, traceparent, tracestate. */
};

struct h1_limits {
    uint32_t head_bytes, target_bytes, fields; /* fields <= H1_MAX_FIELDS */
};

enum h1_method {
    H1_METHOD_OTHER,
    H1_GET,
    H1_HEAD,
    H1_POST,
    H1_PUT,
    H1_DELETE,
    H1_CONNECT,
    H1_OPTIONS,
    H1_TRACE,
    H1_PATCH,
};

/* RFC 9110 section 9.2.2; unknown methods are not. */
bool h1_method_is_idempotent(enum h1_method method);

enum h1_body_kind { H1_BODY_NONE, H1_BODY_LENGTH, H1_BODY_CHUNKED, H1_BODY_UNTIL_CLOSE };

/* The lines of one head: where they are and how far we are. */
struct h1_lines {
    uint32_t at;      /* start of the line being read */
    uint32_t scanned; /* bytes looked at for its end */
    uint32_t n_fields;
    bool has_start_line;
    uint16_t seen;           /* the parser's own notes about the fields so far */
    struct h1_field *fields; /* the first n_fields are set; the maker's memory */
};

/* What both kinds of message say about their framing and connection. */
struct h1_framing {
    enum h1_body_kind body;
    uint64_t content_length; /* H1_BODY_LENGTH, and for answers to HEAD what was announced */
    bool has_content_length;
    bool keep_alive;  /* the sender keeps the connection after this message */
    bool has_upgrade; /* Upgrade is there and Connection names it */
};

/* A part of the head: offset from the first byte of the message, and length. */
struct h1_range {
    uint32_t at, n;
};

struct h1_request {
    uint32_t head_n; /* bytes of the head with its last CRLF; set when done */
    uint8_t minor;   /* 0 or 1 */
    enum h1_method method;
    struct h1_range method_text, target, path, query, authority;
    /* path: of origin and absolute form, "/" if empty there, "*" for the asterisk form; an empty
     * path of the absolute form has n == 0. query: after '?', n == 0 if none. authority: of the
     * absolute form or CONNECT if there is one, else the Host field's value; may be empty. */
    bool is_absolute_form;
    bool expects_continue; /* Expect: 100-continue from an HTTP/1.1 client */
    bool accepts_trailers; /* TE: trailers */
    struct h1_framing framing;
    struct h1_lines lines;
    enum reason reason; /* of H1_ERROR */
};

/* Makes *request ready for a first byte. fields, of H1_MAX_FIELDS, is the caller's and must live as
 * long as the request is looked at. */
void h1_request_init(struct h1_request *request, struct h1_field *fields);

/*
 * Takes the n bytes of the message that are there so far (all from its first byte; an empty line
 * or two before the request line are the caller's to skip with h1_skip_empty_lines).
 *
 * H1_ERROR with BAD_REQUEST for, among others: bare CR or LF, white space before a colon, obs-fold,
 * an empty or non-token name, control characters other than tab in values, a malformed request
 * line or target, a method that is no token, fragments, no Host or several in HTTP/1.1, a malformed
 * Host, Transfer-Encoding together with Content-Length, or in HTTP/1.0, or with anything but one
 * final "chunked", several Content-Length fields or values that differ or are no plain decimal
 * below 2^63; CODING_UNKNOWN for a transfer coding other than chunked before a final chunked;
 * VERSION_UNKNOWN for HTTP/2.0 and the like; HEAD_TOO_LARGE, TARGET_TOO_LONG by limits;
 * EXPECTATION_FAILED for an Expect other than 100-continue; METHOD_REFUSED for CONNECT.
 * Equal repeated Content-Length values are an error too, as are empty elements in a
 * Transfer-Encoding list and more than 64 Connection options that name fields.
 *
 * Limits: a head that is not complete within head_bytes, or with more fields, or with a field name
 * over 65535 bytes, is HEAD_TOO_LARGE; a request line that is not complete within target_bytes (and
 * a little for method and version) or within head_bytes is TARGET_TOO_LONG.
 *
 * The result does not depend on how the bytes were split over calls. After H1_DONE or H1_ERROR
 * further calls return the same again.
 */
enum h1_status h1_request_parse(struct h1_request *request, const struct h1_limits *limits,
                                const uint8_t *bytes, size_t n);

/*
 * Takes the next element off a comma separated list (RFC 9110 section 5.6.1), trimmed and perhaps
 * empty. False when there is none left. An empty list has one empty element.
 */
bool h1_list_next(struct span *list, struct span *ret_element);

/* How many bytes of CRLF stand before the message (RFC 9112 section 2.2); at most n. */
size_t h1_skip_empty_lines(const uint8_t *bytes, size_t n);

struct h1_response {
    uint32_t head_n;
    uint8_t minor;
    uint16_t status;        /* 100 to 999 */
    struct h1_range phrase; /* may be empty */
    struct h1_framing framing;
    struct h1_lines lines;
    enum reason reason; /* UPSTREAM_BAD */
};

void h1_response_init(struct h1_response *response, struct h1_field *fields);

/*
 * The same for an answer to a request with this method. The framing follows RFC 9112 section 6.3:
 * none for HEAD, 1xx, 204 and 304 whatever the fields say, else chunked, length or until close.
 * As strict as for requests; a Transfer-Encoding in an HTTP/1.0 answer is an error. 101 has no
 * body.
 */
enum h1_status h1_response_parse(struct h1_response *response, const struct h1_limits *limits,
                                 enum h1_method method, const uint8_t *bytes, size_t n);

/* Where a body is. Copyable; no memory of its own. */
struct h1_body {
    enum h1_body_kind kind;
    uint8_t state;       /* of the chunk reader */
    uint8_t size_digits; /* of the chunk size line being read */
    uint16_t line_n;     /* bytes of it, extensions included */
    uint64_t left;       /* payload bytes still to come of this body (LENGTH) or chunk */
    enum reason reason;
};

/* kind NONE is done at once. On error the reason will be `bad` (BAD_REQUEST, UPSTREAM_BAD). */
void h1_body_init(struct h1_body *body, const struct h1_framing *framing, enum reason bad);

/* One step through body bytes. */
struct h1_run {
    size_t skip; /* framing bytes to drop first */
    size_t n;    /* H1_DATA: payload bytes that follow them, n > 0 */
};

/*
 * Reads on from bytes. Always sets *ret_run: the caller drops run.skip bytes, then for H1_DATA
 * takes any k <= run.n payload bytes and says so with h1_body_take(k) before the next call.
 * H1_MORE: skip was all of the input. H1_TRAILERS: the trailer section begins after skip; read it
 * with h1_trailers_parse(). H1_DONE (never for chunked): the body ended after skip (0) bytes.
 * UNTIL_CLOSE is always DATA or MORE; the connection's end is its end.
 * Chunk sizes: 1 to 16 hex digits below 2^63; size line with extensions at most 4096 bytes, in
 * which control characters and bare CR or LF are errors.
 */
enum h1_status h1_body_next(struct h1_body *body, const uint8_t *bytes, size_t n,
                            struct h1_run *ret_run);

void h1_body_take(struct h1_body *body, size_t n);

/* A trailer section: field lines and an empty line. lines->at counts from its first byte. */
struct h1_trailers {
    uint32_t total_n;      /* bytes with the last CRLF; set when done */
    struct h1_lines lines; /* is_hop is set for fields not allowed in trailers (framing, routing:
                              RFC 9110 section 6.5.1) */
    enum reason reason;
};

void h1_trailers_init(struct h1_trailers *trailers, struct h1_field *fields);
enum h1_status h1_trailers_parse(struct h1_trailers *trailers, const struct h1_limits *limits,
                                 enum reason bad, const uint8_t *bytes, size_t n);

/* Spans of a field, given the message's first byte. */
static inline struct span h1_field_name(const struct h1_field *field, const uint8_t *message)
{
    return (struct span){message + field->name_at, field->name_n};
}

static inline struct span h1_field_value(const struct h1_field *field, const uint8_t *message)
{
    return (struct span){message + field->value_at, field->value_n};
}

#endif
