/*
 * A message to control from another thread.
 */
#ifndef QUOIT_BALANCER_CONTROL_MESSAGE_H
#define QUOIT_BALANCER_CONTROL_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "discovery/discovery.h"

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

/* Aborts when memory is out: it is little, and a lost message would be a change never followed. */
struct message *message_new(enum message_type type);

/* Copies event's strings and takes its set over. */
struct message *message_of_event(const struct discovery_event *event);

/* Frees all of it; accepts NULL. A set that was handed on must have been set to NULL. */
void message_free(struct message *message);

#endif
