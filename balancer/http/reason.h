/*
 * Why a request ended: the one list that gives the enum, the status quoit answers with, what may
 * be tried again, the word in the logs and the label in the metrics.
 *
 * Retry rules. A reason under RETRY_ALWAYS arises only before a byte of the request can have been
 * processed; RETRY_IDEMPOTENT after bytes were sent, so only requests with an idempotent method
 * (RFC 9110 section 9.2.2) may go elsewhere, and only while nothing of a response has reached the
 * client.
 */
#ifndef QUOIT_BALANCER_HTTP_REASON_H
#define QUOIT_BALANCER_HTTP_REASON_H

#include <stdint.h>

enum retry_rule { RETRY_NEVER, RETRY_IDEMPOTENT, RETRY_ALWAYS };

/* Whose doing it was: a client that leaves or errs is no failure of the endpoint it was connected
 * to. */
enum fault { FAULT_OTHER, FAULT_ENDPOINT };

/* X(name, status (0: none is sent), retry, fault, word) */
#define REASONS(X)                                                                                 \
    X(OK, 0, RETRY_NEVER, FAULT_OTHER, "ok")                                                       \
    X(LAST_HOP, 200, RETRY_NEVER, FAULT_OTHER, "last_hop")                                         \
    X(CHALLENGE, 200, RETRY_NEVER, FAULT_OTHER, "acme_challenge")                                  \
    X(TO_HTTPS, 308, RETRY_NEVER, FAULT_OTHER, "to_https")                                         \
    X(BAD_REQUEST, 400, RETRY_NEVER, FAULT_OTHER, "bad_request")                                   \
    X(NO_ROUTE, 404, RETRY_NEVER, FAULT_OTHER, "no_route")                                         \
    X(METHOD_REFUSED, 405, RETRY_NEVER, FAULT_OTHER, "method_refused")                             \
    X(CLIENT_TIMEOUT, 408, RETRY_NEVER, FAULT_OTHER, "client_timeout")                             \
    X(BODY_TOO_LARGE, 413, RETRY_NEVER, FAULT_OTHER, "body_too_large")                             \
    X(TARGET_TOO_LONG, 414, RETRY_NEVER, FAULT_OTHER, "target_too_long")                           \
    X(EXPECTATION_FAILED, 417, RETRY_NEVER, FAULT_OTHER, "expectation_failed")                     \
    X(HEAD_TOO_LARGE, 431, RETRY_NEVER, FAULT_OTHER, "head_too_large")                             \
    X(CODING_UNKNOWN, 501, RETRY_NEVER, FAULT_OTHER, "coding_unknown")                             \
    X(VERSION_UNKNOWN, 505, RETRY_NEVER, FAULT_OTHER, "version_unknown")                           \
    X(CLIENT_GONE, 0, RETRY_NEVER, FAULT_OTHER, "client_gone")                                     \
    X(CLIENT_IDLE, 0, RETRY_NEVER, FAULT_OTHER, "client_idle")                                     \
    X(CLIENT_SLOW, 0, RETRY_NEVER, FAULT_OTHER, "client_slow")                                     \
    X(PROXY_REFUSED, 0, RETRY_NEVER, FAULT_OTHER, "proxy_refused")                                 \
    X(PROXY_BAD, 0, RETRY_NEVER, FAULT_OTHER, "proxy_bad")                                         \
    X(TLS_FAILED, 0, RETRY_NEVER, FAULT_OTHER, "tls_failed")                                       \
    X(TLS_TIMEOUT, 0, RETRY_NEVER, FAULT_OTHER, "tls_timeout")                                     \
    X(TLS_CERTIFICATE, 0, RETRY_NEVER, FAULT_OTHER, "tls_certificate")                             \
    X(TOO_MANY_CONNECTIONS, 0, RETRY_NEVER, FAULT_OTHER, "too_many_connections")                   \
    X(LISTENER_FULL, 0, RETRY_NEVER, FAULT_OTHER, "listener_full")                                 \
    X(ADDRESS_FULL, 0, RETRY_NEVER, FAULT_OTHER, "address_full")                                   \
    X(MEMORY_LIMIT, 503, RETRY_NEVER, FAULT_OTHER, "memory_limit")                                 \
    X(NO_ENDPOINT, 503, RETRY_NEVER, FAULT_OTHER, "no_endpoint")                                   \
    X(QUEUE_FULL, 503, RETRY_NEVER, FAULT_OTHER, "queue_full")                                     \
    X(QUEUE_TIMEOUT, 503, RETRY_NEVER, FAULT_OTHER, "queue_timeout")                               \
    X(NO_DESCRIPTORS, 503, RETRY_NEVER, FAULT_OTHER, "no_descriptors")                             \
    X(CONNECT_REFUSED, 502, RETRY_ALWAYS, FAULT_ENDPOINT, "connect_refused")                       \
    X(CONNECT_FAILED, 502, RETRY_ALWAYS, FAULT_ENDPOINT, "connect_failed")                         \
    X(CONNECT_TIMEOUT, 504, RETRY_ALWAYS, FAULT_ENDPOINT, "connect_timeout")                       \
    X(HANDSHAKE_FAILED, 502, RETRY_ALWAYS, FAULT_ENDPOINT, "handshake_failed")                     \
    X(CERTIFICATE_REFUSED, 502, RETRY_ALWAYS, FAULT_ENDPOINT, "certificate_refused")               \
    X(HTTP2_REFUSED, 502, RETRY_ALWAYS, FAULT_ENDPOINT, "http2_refused")                           \
    X(STREAM_REFUSED, 502, RETRY_ALWAYS, FAULT_ENDPOINT, "stream_refused")                         \
    X(UPSTREAM_CLOSED, 502, RETRY_IDEMPOTENT, FAULT_ENDPOINT, "upstream_closed")                   \
    X(UPSTREAM_DOWN, 502, RETRY_IDEMPOTENT, FAULT_ENDPOINT, "upstream_down")                       \
    X(UPSTREAM_BAD, 502, RETRY_NEVER, FAULT_ENDPOINT, "upstream_bad")                              \
    X(UPSTREAM_TIMEOUT, 504, RETRY_IDEMPOTENT, FAULT_ENDPOINT, "upstream_timeout")                 \
    X(TRY_TIMEOUT, 504, RETRY_IDEMPOTENT, FAULT_ENDPOINT, "try_timeout")                           \
    X(UPSTREAM_STATUS, 502, RETRY_IDEMPOTENT, FAULT_ENDPOINT, "upstream_status")                   \
    X(TOTAL_TIMEOUT, 504, RETRY_NEVER, FAULT_OTHER, "total_timeout")                               \
    X(TUNNEL_IDLE, 0, RETRY_NEVER, FAULT_OTHER, "tunnel_idle")                                     \
    X(PROTOCOL_UNKNOWN, 501, RETRY_NEVER, FAULT_OTHER, "protocol_unknown")                         \
    X(HTTP2_ERROR, 0, RETRY_NEVER, FAULT_OTHER, "http2_error")                                     \
    X(HTTP2_RESETS, 0, RETRY_NEVER, FAULT_OTHER, "http2_resets")                                   \
    X(HTTP2_FLOOD, 0, RETRY_NEVER, FAULT_OTHER, "http2_flood")                                     \
    X(HTTP2_HEADERS, 0, RETRY_NEVER, FAULT_OTHER, "http2_headers")                                 \
    X(DRAINED, 0, RETRY_NEVER, FAULT_OTHER, "drained")                                             \
    X(INTERNAL, 500, RETRY_NEVER, FAULT_OTHER, "internal")

enum reason {
#define X(name, status, retry, fault, word) REASON_##name,
    REASONS(X)
#undef X
        REASON_COUNT
};

uint16_t reason_status(enum reason reason);
enum retry_rule reason_retry(enum reason reason);
enum fault reason_fault(enum reason reason);

/* The word, as in logs and metric labels; a string constant. */
const char *reason_word(enum reason reason);

#endif
