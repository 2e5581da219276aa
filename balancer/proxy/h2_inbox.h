/*
 * What has come for one HTTP/2 stream, as the bytes of an HTTP/1.1 request: its head, then its body
 * as it is or in chunks, then a trailer section. The framing is made as the bytes are read, so that
 * no more waits here than the head and what the stream's window let in.
 */
#ifndef QUOIT_BALANCER_PROXY_H2_INBOX_H
#define QUOIT_BALANCER_PROXY_H2_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/http/span.h"
#include "balancer/proxy/chain.h"

struct buffer_pool;

enum h2_framing { H2_RAW, H2_CHUNKED };

enum h2_inbox_step {
    H2_INBOX_BODY,     /* between chunks, or of a body without them */
    H2_INBOX_CHUNK,    /* within one */
    H2_INBOX_TRAILERS, /* behind the last one */
    H2_INBOX_END,
};

/* All zero: empty. */
struct h2_inbox {
    struct chain bytes; /* head, payload and trailers behind each other */
    size_t head_n, payload_n, trailers_n;
    size_t chunk_n; /* payload that is left of the chunk under way */
    enum h2_framing framing;
    enum h2_inbox_step step;
    bool has_ended;   /* no more will come */
    uint8_t line[20]; /* framing to be read next: the bytes from line_at to line_n */
    uint8_t line_at, line_n;
};

void h2_inbox_add_head(struct h2_inbox *inbox, struct buffer_pool *pool, struct span bytes);
void h2_inbox_add_payload(struct h2_inbox *inbox, struct buffer_pool *pool, struct span bytes);
/* Field lines, without the empty one; dropped where the framing has no place for them. */
void h2_inbox_add_trailers(struct h2_inbox *inbox, struct buffer_pool *pool, struct span bytes);

/* Nothing comes behind what is there. */
void h2_inbox_end(struct h2_inbox *inbox);

/* Whether h2_inbox_read() would bring something. */
bool h2_inbox_has_bytes(const struct h2_inbox *inbox);

/* Moves up to n bytes to `to`; returns how many, and how many of them were payload. */
size_t h2_inbox_read(struct h2_inbox *inbox, struct buffer_pool *pool, uint8_t *to, size_t n,
                     size_t *ret_payload);

#endif
