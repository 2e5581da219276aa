/*
 * A worker's share of memory_limit: reads wait while it is used up.
 *
 * Only reading into a connection that has no buffer yet asks for memory; what a message under way
 * needs to get on is always given. Requests may use three quarters of the share and responses all
 * of it, so that requests that wait for their responses cannot keep these out. A connection that
 * waits is not watched for reading: what comes stays in the kernel, and in the end with its sender.
 */
#ifndef QUOIT_BALANCER_PROXY_MEMORY_H
#define QUOIT_BALANCER_PROXY_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balancer/proxy/buffer.h"

struct conn;
struct worker;

TAILQ_HEAD(conn_queue, conn);

struct memory {
    struct conn_queue waiting[BUFFER_USES];
    uint64_t say_us; /* the event log hears of it again from then on */
};

void memory_init(struct memory *memory);

/* Whether a connection may read now for which it needs a buffer. If not, it waits, says so in
 * conn->waits_for_memory, and its reading is off. */
bool memory_ask(struct conn *conn);

/* A connection that waits does so no longer. */
void memory_forget(struct conn *conn);

/* Lets those go on for whom there is memory now; once a turn. */
void memory_serve(struct worker *worker);

#endif
