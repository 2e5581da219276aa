/*
 * What is particular about a request that is a call of gRPC (http/grpc.h): its own deadline, its
 * status in trailers, and answers of quoit that gRPC clients understand. All else is as for every
 * request, and what is none costs a look at its method.
 *
 * - The deadline is what grpc-timeout says, if that comes before timeouts.total. What goes on to
 * the endpoint is what is left of it, at each attempt. One that is malformed is passed on and else
 *   ignored, as gRPC servers and Envoy do.
 * - quoit's own answers have HTTP status 200 and say in their head what is wrong: "Trailers-Only".
 *   An answer that cannot come to its end gets trailers that say so, if its client can take them.
 * - Before endpoints of HTTP/2 a call is a stream in both directions: its client may be silent for
 *   long. timeouts.idle bounds silence of both sides, client.body_timeout and client.min_body_rate
 * do not count. A connection of HTTP/1.1 is too dear to be held by a client that is silent.
 */
#ifndef QUOIT_BALANCER_PROXY_GRPC_CALL_H
#define QUOIT_BALANCER_PROXY_GRPC_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/grpc.h"

struct head;
struct request;

/* Part of struct request, and zero at first. */
struct grpc_call {
    bool is_one;         /* the request is a call */
    bool is_stream;      /* and its client may be silent */
    bool has_timeout;    /* and says how long it may take */
    bool has_code;       /* the answer has a status */
    enum grpc_code code; /* that status; once settled, what stands for it if it has none */
    uint64_t timeout_us;
};

/* The request's head is complete. */
void grpc_call_prepare(struct request *request);

/* Its pool is known, and the deadline by it set: may bring that forward. */
void grpc_call_join_pool(struct request *request);

/* Whether it has lasted for more than half of the time that it gave itself: if its client gives it
 * up now, that is why. */
bool grpc_call_is_due(const struct request *request);

/* Adds what is left of the timeout to the head for the endpoint. */
void grpc_call_add_timeout(struct head *head, const struct request *request);

/* The final head of an answer has come. */
void grpc_call_on_answer(struct request *request);

/* The trailers of the answer have come. */
void grpc_call_on_trailers(struct grpc_call *call, const struct h1_lines *lines,
                           const uint8_t *message);

/* Whether quoit answers it in gRPC's own way for this reason. */
bool grpc_call_is_answered(const struct request *request, enum reason reason);

/* Adds the fields of quoit's own answer that are gRPC's to the head for the client. */
void grpc_call_add_answer(struct head *head, const struct request *request);

/* The answer that has begun breaks off for request->reason: tells the client in trailers, where
 * that is possible. Whether it has been told. */
bool grpc_call_break_off(struct request *request);

/* At the end: settles what the code is. */
void grpc_call_settle(struct request *request);

#endif
