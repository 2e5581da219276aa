/*
 * One direction of a body: from one connection's in buffer to another connection, with bounded
 * memory. Bytes go out straight from the buffer they came into; only short runs and framing are
 * copied to the out buffer, so that a message head and a small body leave in one system call.
 *
 * The rest of a long body of known length goes through a pipe in the kernel (pipe.h), past the in
 * buffer, once that is empty.
 *
 * Back-pressure is nothing but this: what is not written stays in the in buffer, and a full in
 * buffer is not read into.
 */
#ifndef QUOIT_BALANCER_PROXY_RELAY_H
#define QUOIT_BALANCER_PROXY_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/h1.h"
#include "balancer/proxy/conn.h"
#include "balancer/proxy/grpc_call.h"

enum relay_result {
    RELAY_WAITS_FOR_INPUT,
    RELAY_WAITS_FOR_ROOM,
    RELAY_ENDED,         /* everything is written */
    RELAY_INPUT_BAD,     /* wrong framing, or ended early: relay.input_reason */
    RELAY_INPUT_TOO_BIG, /* more than limit_bytes */
    RELAY_OUTPUT_FAILED,
};

enum relay_framing { RELAY_RAW, RELAY_CHUNKED };

struct relay {
    struct conn *from, *to;
    struct h1_body body;
    enum relay_framing framing; /* how it is written to `to` */
    bool ended;                 /* the end of the body is staged */
    bool closes_chunk;          /* CRLF is due when `left` is written */
    bool was_piped;             /* payload went through the kernel */
    uint32_t left;              /* payload bytes at the front of from->in, announced, not written */
    uint64_t bytes;             /* of payload so far */
    uint64_t limit_bytes;       /* 0: none */
    const struct h1_limits *limits; /* of a trailer section */
    struct grpc_call *call;         /* wants to see trailers; NULL: nobody does */
};

/* Begins a body as framing says; bad is the reason for wrong framing. */
void relay_init(struct relay *relay, struct conn *from, struct conn *to,
                const struct h1_framing *framing, enum reason bad);

/* Moves what can be moved now, in order behind what `to` has staged already. */
enum relay_result relay_run(struct relay *relay);

#endif
