/*
 * What the discovery and health threads tell control: a queue and a wake-up.
 */
#ifndef QUOIT_BALANCER_CONTROL_INBOX_H
#define QUOIT_BALANCER_CONTROL_INBOX_H

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "discovery/discovery.h"
#include "health/health.h"

enum message_type { MESSAGE_DISCOVERY, MESSAGE_VERDICT };

struct message {
    STAILQ_ENTRY(message) link;
    enum message_type type;
    union {
        struct discovery_event discovery; /* owns its set and strings */
        struct {
            uint64_t cookie;
            bool up;
            char detail[64];
        } verdict;
    } as;
};

STAILQ_HEAD(message_list, message);

struct inbox {
    pthread_mutex_t lock;
    struct message_list list; /* under lock */
    struct ev_loop *loop;
    struct ev_async *wake; /* control's */
};

void inbox_init(struct inbox *inbox, struct ev_loop *loop, struct ev_async *wake);

/* Frees what was not taken. */
void inbox_fini(struct inbox *inbox);

/* Observers for the two threads (context: the inbox); they copy what they keep. */
void inbox_on_discovery(void *inbox, const struct discovery_event *event);
void inbox_on_health(void *inbox, uint64_t cookie, const struct health_report *report);

/* The oldest message, now the caller's, or NULL. */
struct message *inbox_take(struct inbox *inbox);

/* Frees a message; the set of a discovery event must have been freed or be NULL. */
void message_free(struct message *message);

#endif
