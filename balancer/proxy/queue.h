/*
 * Requests that wait because the endpoints that they may go to have as many connections in use as
 * they may (max_connections).
 *
 * How many an endpoint has is one atomic count of all workers. Who waits stands in a queue of its
 * worker and pool, first come, first served, for one endpoint (where a key or a cookie ties it to
 * that one) or for any. Room that is given back goes to this worker's queue, at the end of the
 * turn, or to another worker's, which is woken: by lot, in proportion to who waits where. A request
 * also goes on when its endpoint goes down, or the pool changes.
 *
 * Without max_connections none of this costs anything.
 */
#ifndef QUOIT_BALANCER_PROXY_QUEUE_H
#define QUOIT_BALANCER_PROXY_QUEUE_H

#include <stdbool.h>
#include <sys/queue.h>

struct endpoint;
struct pool_view;
struct request;
struct worker;

TAILQ_HEAD(request_list, request);

/* Of one worker and pool. */
struct request_queue {
    struct request_list requests; /* the oldest first */
    bool is_due;                  /* to be looked through at the end of the turn */
};

void queue_init(struct request_queue *queue);

/* Room for one more connection of request to endpoint, before those that wait for it have theirs.
 * It is given back with queue_give_room(). Always true without max_connections. */
bool queue_take_room(struct request *request, struct endpoint *endpoint);
void queue_give_room(struct request *request, struct endpoint *endpoint);

/* Whether request may wait: there is a place, or it has waited before. endpoint is the one that it
 * waits for, NULL: any. */
bool queue_admits(struct request *request, struct endpoint *endpoint);

/* On the way into STEP_QUEUE and out of it (request.c). */
void queue_enter(struct request *request);
void queue_leave(struct request *request);

/* The wait is over, for good or for bad: counts its length, if there was one. */
void queue_count_wait(struct request *request);

/* At the end of the turn: requests that can go on do. */
void queue_run(struct worker *worker);

/* Something has changed outside: looks through all queues at the end of the turn. */
void queue_look(struct worker *worker);

#endif
