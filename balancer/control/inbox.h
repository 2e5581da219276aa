/*
 * What the discovery and health threads tell control: a queue and a wake-up.
 */
#ifndef QUOIT_BALANCER_CONTROL_INBOX_H
#define QUOIT_BALANCER_CONTROL_INBOX_H

#include <ev.h>
#include <pthread.h>

#include "balancer/control/message.h"
#include "balancer/control/resolver.h"
#include "health/health.h"

struct inbox {
    pthread_mutex_t lock;
    struct message_list list; /* under lock */
    struct ev_loop *loop;
    struct ev_async *wake; /* control's */
    struct resolver *resolver;
};

/* Starts the resolver. Returns 0 or -errno. */
int inbox_init(struct inbox *inbox, size_t n_pools, struct ev_loop *loop, struct ev_async *wake);

/* Frees what was not taken. The observed threads must have stopped. */
void inbox_fini(struct inbox *inbox);

/* Observers for the two threads (context: the inbox); they copy what they keep. */
void inbox_on_discovery(void *inbox, const struct discovery_event *event);
void inbox_on_health(void *inbox, uint64_t cookie, const struct health_report *report);

/* The oldest message, now the caller's, or NULL. */
struct message *inbox_take(struct inbox *inbox);

#endif
