/*
 * What requests, responses and trailers share: reading field lines, and what the fields say about
 * framing and connection. Private to the HTTP/1 parser; the contract is in h1.h.
 */
#ifndef QUOIT_BALANCER_HTTP_H1_LINES_H
#define QUOIT_BALANCER_HTTP_H1_LINES_H

#include "balancer/http/h1.h"

/* Notes in h1_lines.seen. */
enum {
    SEEN_HOST = 1 << 0,
    SEEN_TRANSFER_ENCODING = 1 << 1,
    SEEN_CHUNKED = 1 << 2,      /* the last coding so far */
    SEEN_OTHER_CODING = 1 << 3, /* before or without chunked */
    SEEN_UPGRADE = 1 << 4,
    SEEN_OPTION_UPGRADE = 1 << 5, /* Connection: upgrade */
    SEEN_OPTION_CLOSE = 1 << 6,
    SEEN_OPTION_KEEP_ALIVE = 1 << 7,
    SEEN_OPTION_OTHER = 1 << 8, /* an option that may name a field */
};

enum line_result {
    LINE_MORE,     /* not complete */
    LINE_START,    /* the start line, of h1_lines_start() */
    LINE_FIELD,    /* a field was added to lines->fields */
    LINE_END,      /* the empty line; lines->at is behind it */
    LINE_BAD,      /* malformed */
    LINE_TOO_MANY, /* more fields, or a longer name, than allowed */
};

void h1_lines_init(struct h1_lines *lines, struct h1_field *fields);

/* Reads the start line from the first n bytes; an empty one is LINE_BAD. */
enum line_result h1_lines_start(struct h1_lines *lines, const uint8_t *bytes, size_t n,
                                struct span *ret_line);

/* Reads the next field line, or the end of the section. */
enum line_result h1_lines_field(struct h1_lines *lines, uint32_t max_fields, const uint8_t *bytes,
                                size_t n);

/* Notes what the newest field says about framing and connection; false if it is malformed. */
bool h1_framing_note(struct h1_framing *framing, struct h1_lines *lines, const uint8_t *message);

/*
 * Settles the framing when all fields are read: `bare` is the kind of a body that no field
 * announces. REASON_OK, BAD_REQUEST or CODING_UNKNOWN. Marks the fields that Connection names.
 */
enum reason h1_framing_settle(struct h1_framing *framing, struct h1_lines *lines, uint8_t minor,
                              enum h1_body_kind bare, const uint8_t *message);

/*
 * "HTTP/1.x", exactly. REASON_OK and the minor version (0, or 1 for everything newer),
 * VERSION_UNKNOWN for another major version, else BAD_REQUEST.
 */
enum reason h1_version_parse(struct span text, uint8_t *ret_minor);

#endif
