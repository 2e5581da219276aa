/*
 * One log line under construction: pairs as text (key=value) or as a JSON object, in a buffer of
 * the caller's. Pure; shared by the event log and the access log.
 *
 * A line never outgrows its buffer: the pair that does not fit and all behind it are left out, and
 * the line ends in truncated=true. Values longer than LINE_VALUE_MAX bytes are cut and end in
 * "...". What a peer sends can neither end a line nor forge a pair: quotes, backslashes, control
 * characters and bytes that are no UTF-8 are escaped, in text as \xHH within quotes, in JSON as
 * \u00HH (control characters) or as a literal \xHH (bytes that are no UTF-8).
 */
#ifndef QUOIT_BALANCER_LOG_LINE_H
#define QUOIT_BALANCER_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/http/span.h"

enum { LINE_VALUE_MAX = 2048, LINE_MIN_SIZE = 64 };

enum line_format { LINE_TEXT, LINE_JSON };

struct line {
    char *p;
    size_t n, size;
    enum line_format format;
    bool is_cut; /* something did not fit; nothing more is taken */
};

/* Begins a line in size >= LINE_MIN_SIZE bytes at p. */
void line_init(struct line *line, enum line_format format, char *p, size_t size);

/* Ends the line with a line feed; returns its length. */
size_t line_end(struct line *line);

/* Pairs. Keys are constants that need no escaping. An absent value (v.p == NULL) is - or null. */
void line_str(struct line *line, const char *key, struct span value);
void line_u64(struct line *line, const char *key, uint64_t value);
void line_i64(struct line *line, const char *key, int64_t value);
void line_f64(struct line *line, const char *key, double value); /* not finite: null in JSON */
void line_time(struct line *line, const char *key, uint64_t unix_us, unsigned decimals);

/* Pieces, for what stands before the pairs. Times are UTC: RFC 3339 with 3 or 6 decimals, and
 * 20/Nov/2026:20:08:00 +0000. */
void line_put(struct line *line, struct span bytes); /* as they are */
void line_put_u64(struct line *line, uint64_t value);
void line_put_escaped(struct line *line, struct span value); /* without quotes */
void line_put_time(struct line *line, uint64_t unix_us, unsigned decimals);
void line_put_combined_time(struct line *line, uint64_t unix_us);

#endif
