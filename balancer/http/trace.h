/*
 * What a request is called on its way through several programs: request ids, and the traceparent
 * field of W3C Trace Context (https://www.w3.org/TR/trace-context/, section 3.2).
 *
 * Pure but for the seed. Names are random, so that nobody needs to agree on them; they are no
 * secrets and must not be used as such.
 */
#ifndef QUOIT_BALANCER_HTTP_TRACE_H
#define QUOIT_BALANCER_HTTP_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/span.h"

#define REQUEST_ID_BYTES 32      /* of those made here: 128 bits */
#define REQUEST_ID_MAX_BYTES 128 /* of those that others made */
#define TRACE_ID_AT 3            /* in a traceparent */
#define TRACE_ID_BYTES 32
#define TRACEPARENT_BYTES 55

/* Where random names come from: 128 bits of state, one source a thread. */
struct id_source {
    uint64_t state[2];
};

/* Seeds from the kernel. Returns 0 or -errno. */
int id_source_seed(struct id_source *source);

/* 128 fresh random bits in lower-case hexadecimal digits. */
void id_source_next(struct id_source *source, uint8_t ret_id[REQUEST_ID_BYTES]);

/* Whether somebody else's request id may be passed on: 1 to 128 of the characters of a token (RFC
 * 9110 section 5.6.2) and / : = @. Nothing in it can end a field, a log line or a quotation. */
bool request_id_is_valid(struct span id);

/*
 * Whether the value of a traceparent field is valid. Version 00 exactly as it is defined, with
 * ids that are not all zero; of later versions what section 3.2.4 says a version 00 parser must
 * check: the same fields, then nothing or "-" and more. Version ff is invalid.
 */
bool traceparent_is_valid(struct span value);

/* Begins a trace: version 00, random ids, the sampled flag set. */
void traceparent_make(struct id_source *source, uint8_t ret_value[TRACEPARENT_BYTES]);

#endif
