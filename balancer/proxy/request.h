/*
 * A request: joins a client to an endpoint, from the head's first byte to the last byte of the
 * answer.
 *
 * Its life is a table of steps with the moves allowed between them (request.c):
 *
 *      ┌► KEY ─┐ the hash key is in the body
 *      │       │ ┌► QUEUE ─┐ no endpoint has room; then PICK again
 *     HEAD ──► PICK ──► CONNECT ──► SEND ──► RELAY ──► DONE
 *      │        │ ▲        │          │ └───► TUNNEL ──► DONE
 *      │        │ └────────┴──────────┘ try elsewhere, if the reason allows
 *      └────────┴──────► REPLY ─────────────────────► DONE
 *
 * Belongs to its client; client_run() drives it. Nothing is freed while somebody up the stack may
 * look at it: memory goes back at the end of the turn.
 */
#ifndef QUOIT_BALANCER_PROXY_REQUEST_H
#define QUOIT_BALANCER_PROXY_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balancer/http/h1.h"
#include "balancer/policy/policy.h"
#include "balancer/policy/sticky.h"
#include "balancer/proxy/grpc_call.h"
#include "balancer/proxy/patience.h"
#include "balancer/proxy/relay.h"
#include "balancer/proxy/trail.h"

struct client;
struct explained;
struct keying;
struct upstream;

enum step {
    STEP_HEAD,    /* the head is coming in */
    STEP_KEY,     /* the part of the body comes in that the hash key is in */
    STEP_PICK,    /* an endpoint is to be chosen */
    STEP_QUEUE,   /* the endpoint it is for, or all of them, have no room */
    STEP_CONNECT, /* nothing of the request has left yet, on a new connection */
    STEP_SEND,    /* the request goes out; no final response head yet */
    STEP_RELAY,   /* the response goes to the client (and the rest of the request upstream) */
    STEP_TUNNEL,  /* after 101: bytes both ways */
    STEP_REPLY,   /* our own answer goes to the client */
    STEP_DONE,
};

/* What becomes of the client's connection. */
enum ending {
    ENDING_KEEP,
    ENDING_CLOSE, /* after the answer, politely */
    ENDING_ABORT, /* at once: the answer is incomplete, or the client is gone */
};

struct attempt_times {
    uint64_t attempt_us, connected_us, sent_us;
};

/* The fields of both heads; given back when a tunnel begins, which may last. */
struct request_fields {
    struct h1_field head[H1_MAX_FIELDS], response[H1_MAX_FIELDS];
};

/* Those that the access log still shows then. */
#define REQUEST_KEPT_FIELDS 2

struct request {
    struct client *client;
    struct upstream *upstream; /* of the attempt under way */
    struct upstream *aside;    /* of the one before, while both wait for an answer (hedge.h) */
    enum step step;
    enum reason reason; /* why it ended, or the last attempt failed */
    uint16_t status;    /* sent to the client; 0: none yet */
    uint16_t n_attempts;
    uint16_t n_tried;

    enum ending ending;
    enum sticky_result session; /* what came of its cookie, as of the last pick */

    bool wants_upgrade; /* the client asked for another protocol and may have it */
    bool wants_fresh;   /* the next attempt opens a connection */
    bool replayable;    /* every byte of it is still in the client's in buffer */
    bool is_retrying;   /* has a place in the pool's retry budget */
    bool is_called;     /* out of the queue: there may be room */
    bool has_key;
    bool sent_all;    /* the endpoint has the whole request */
    bool send_failed; /* the endpoint takes no more of it, but may have answered */

    uint32_t body_at;       /* where the body begins in the client's in buffer (replayable) */
    const uint8_t *message; /* first byte of the head */
    uint8_t *head_copy;     /* the head's own memory, once the in buffer had to be let go */

    const struct conf_route *route; /* NULL: none yet */
    const struct conf_pool *pool;   /* NULL: no route yet */
    struct pool_view *view;
    struct endpoint *home; /* the key's first choice; compared only, never followed */
    struct span key;
    uint32_t key_at;       /* its offset in the head; beyond head_n: it lies elsewhere */
    struct keying *keying; /* memory of a key that is not simply bytes of the head; else NULL */
    struct explained *explained; /* NULL: it does not ask */
    uint64_t hash;
    double key_share;                       /* of the pool's requests of late; 0: not hot */
    struct endpoint *tried[PICK_MAX_TRIED]; /* references */

    uint64_t begun_us, attempt_us, connected_us, sent_us, answered_us;
    double begun_at;       /* Unix time */
    uint64_t deadline_us;  /* the moment by which all must be over; 0: none */
    uint64_t patience_us;  /* the moment by which an endpoint that is down must answer; 0: none */
    uint64_t hedge_us;     /* the moment for another attempt beside this one; 0: none */
    uint64_t try_until_us; /* the moment at which the attempt makes way for another; 0: none */

    struct attempt_times aside_times;
    struct trail trail;
    struct grpc_call call;
    struct patience body_patience; /* with the client, for its body */
    struct patience take_patience; /* and for taking what is sent to it */

    TAILQ_ENTRY(request) queue_link;
    struct endpoint *waits_for; /* in the queue: the one endpoint that will do; a reference */
    uint64_t queued_us;         /* since when it waits for room; 0: it does not */
    uint64_t queued_in;         /* the pool's generation at that time */

    struct request_fields *fields; /* NULL: only kept is left */
    struct h1_field kept[REQUEST_KEPT_FIELDS];

    struct relay up, down;
    struct h1_request head;
    struct h1_response response;
};

struct worker *request_worker(const struct request *request);

/* A request whose first byte has just come. */
struct request *request_new(struct client *client);

/*
 * Does all that can be done now. Returns false once the request is over: it has let go of its
 * upstream, counted and logged itself; the client then decides about its connection and calls
 * request_free().
 */
bool request_run(struct request *request);

/* An attempt failed, or the request as a whole: goes elsewhere if the reason allows, else answers,
 * else (a response has begun) ends. */
void request_fail(struct request *request, enum reason reason);

/* Something has come on the connection that is set aside. The caller runs the client afterwards. */
void request_on_aside(struct request *request);

/* Its head was not read: it is answered as reason says. */
void request_refuse(struct request *request, enum reason reason);

/* Ends it whatever its state. */
void request_abort(struct request *request, enum reason reason);

/*
 * Its endpoint has gone down. An attempt that waits for the first byte of an answer, and that may
 * be made again without harm, goes elsewhere after patience_ms (0: at once).
 */
void request_endpoint_down(struct request *request, uint32_t patience_ms);

/* A tunnel has begun: gives the memory of the fields back, but for what the access log shows. */
void request_forget_fields(struct request *request);

void request_free(struct request *request);

#endif
