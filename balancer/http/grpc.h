/*
 * gRPC over HTTP: what tells a call from other requests, its deadline, its status. Pure.
 *
 * After gRPC's PROTOCOL-HTTP2.md, http-grpc-status-mapping.md and statuscodes.md
 * (github.com/grpc/grpc/tree/master/doc).
 */
#ifndef QUOIT_BALANCER_HTTP_GRPC_H
#define QUOIT_BALANCER_HTTP_GRPC_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/h1.h"
#include "balancer/http/reason.h"
#include "balancer/http/span.h"

/* In the order of their numbers, from 0. */
#define GRPC_CODES(X)                                                                              \
    X(OK)                                                                                          \
    X(CANCELLED)                                                                                   \
    X(UNKNOWN)                                                                                     \
    X(INVALID_ARGUMENT)                                                                            \
    X(DEADLINE_EXCEEDED)                                                                           \
    X(NOT_FOUND)                                                                                   \
    X(ALREADY_EXISTS)                                                                              \
    X(PERMISSION_DENIED)                                                                           \
    X(RESOURCE_EXHAUSTED)                                                                          \
    X(FAILED_PRECONDITION)                                                                         \
    X(ABORTED)                                                                                     \
    X(OUT_OF_RANGE)                                                                                \
    X(UNIMPLEMENTED)                                                                               \
    X(INTERNAL)                                                                                    \
    X(UNAVAILABLE)                                                                                 \
    X(DATA_LOSS)                                                                                   \
    X(UNAUTHENTICATED)

enum grpc_code {
#define X(name) GRPC_##name,
    GRPC_CODES(X)
#undef X
        GRPC_CODE_COUNT
};

/* "UNAVAILABLE"; a string constant. */
const char *grpc_code_word(enum grpc_code code);

/* Whether a head is a call's: POST, and content-type application/grpc, perhaps with a suffix or
 * parameters. gRPC-Web is something else. */
bool grpc_is_call(const struct h1_request *request, const uint8_t *message);

/*
 * The grpc-timeout of a head, in *ret_us; NULL if there is none that is valid: one field, of at
 * most eight digits that are not all zero, and a unit. Returns the field.
 */
struct h1_field *grpc_timeout_find(const struct h1_lines *lines, const uint8_t *message,
                                   uint64_t *ret_us);

#define GRPC_TIMEOUT_BYTES 9

/* The value of a grpc-timeout of us, which is at least one, or as little less as one can say;
 * returns its size. */
size_t grpc_timeout_write(uint64_t us, uint8_t text[GRPC_TIMEOUT_BYTES]);

/* The last grpc-status of a head or of trailers; a value that is no code is UNKNOWN. False: there
 * is none. */
bool grpc_code_find(const struct h1_lines *lines, const uint8_t *message, enum grpc_code *ret_code);

/* What a client takes an answer for that has an HTTP status only. */
enum grpc_code grpc_code_of_status(uint16_t status);

/* What a call ended with that quoit answered or broke off. */
enum grpc_code grpc_code_of_reason(enum reason reason);

#endif
