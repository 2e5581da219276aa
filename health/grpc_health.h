/*
 * The messages of the gRPC health checking protocol, grpc.health.v1.Health/Check, as they stand on
 * the wire: the prefix that gRPC puts before each message, and protocol buffers.
 *
 *     message HealthCheckRequest { string service = 1; }
 *     message HealthCheckResponse { ServingStatus status = 1; }
 *
 * Pure. See github.com/grpc/grpc/blob/master/doc/health-checking.md, PROTOCOL-HTTP2.md beside it
 * ("Length-Prefixed-Message") and protobuf.dev/programming-guides/encoding.
 */
#ifndef QUOIT_HEALTH_GRPC_HEALTH_H
#define QUOIT_HEALTH_GRPC_HEALTH_H

#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

#define GRPC_HEALTH_PATH "/grpc.health.v1.Health/Check"
#define GRPC_PREFIX_BYTES 5
#define GRPC_HEALTH_REQUEST_BYTES (GRPC_PREFIX_BYTES + 3 + CONF_GRPC_SERVICE_MAX)

/* Writes a request about service, of at most CONF_GRPC_SERVICE_MAX bytes; NULL or empty: about the
 * whole server. Returns its size. */
size_t grpc_health_write(const char *service, uint8_t bytes[GRPC_HEALTH_REQUEST_BYTES]);

/* As the protocol numbers them, but for the last. */
enum grpc_health {
    GRPC_HEALTH_UNKNOWN,
    GRPC_HEALTH_SERVING,
    GRPC_HEALTH_NOT_SERVING,
    GRPC_HEALTH_SERVICE_UNKNOWN,
    GRPC_HEALTH_MALFORMED, /* no such answer, or more than one */
};

/* Reads an answer. A status that the protocol does not know is UNKNOWN; fields that it does not
 * know are passed by. Compression was not offered, so a compressed answer is malformed. */
enum grpc_health grpc_health_read(const uint8_t *bytes, size_t n);

#endif
