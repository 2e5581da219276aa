#include "balancer/control/inbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void inbox_init(struct inbox *inbox, struct ev_loop *loop, struct ev_async *wake)
{
    *inbox = (struct inbox){.loop = loop, .wake = wake};
    (void)pthread_mutex_init(&inbox->lock, NULL);
    STAILQ_INIT(&inbox->list);
}

void message_free(struct message *message)
{
    if (message->type == MESSAGE_DISCOVERY) {
        free((char *)message->as.discovery.error);
        free((char *)message->as.discovery.address);
    }
    free(message);
}

void inbox_fini(struct inbox *inbox)
{
    struct message *message;
    while ((message = inbox_take(inbox)) != NULL) {
        if (message->type == MESSAGE_DISCOVERY)
            instance_set_free(message->as.discovery.set);
        message_free(message);
    }
    (void)pthread_mutex_destroy(&inbox->lock);
}

static void put(struct inbox *inbox, struct message *message)
{
    (void)pthread_mutex_lock(&inbox->lock);
    STAILQ_INSERT_TAIL(&inbox->list, message, link);
    (void)pthread_mutex_unlock(&inbox->lock);
    ev_async_send(inbox->loop, inbox->wake);
}

static struct message *new_message(enum message_type type)
{
    struct message *message = calloc(1, sizeof *message);
    if (message == NULL)
        abort(); /* small; a lost message would be a change never followed */
    message->type = type;
    return message;
}

static char *copy(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

void inbox_on_discovery(void *context, const struct discovery_event *event)
{
    struct message *message = new_message(MESSAGE_DISCOVERY);
    message->as.discovery = *event;
    message->as.discovery.error = copy(event->error);
    message->as.discovery.address = copy(event->address);
    put(context, message);
}

void inbox_on_health(void *context, uint64_t cookie, const struct health_report *report)
{
    if (!report->changed)
        return;
    struct message *message = new_message(MESSAGE_VERDICT);
    message->as.verdict.cookie = cookie;
    message->as.verdict.up = report->up;
    (void)snprintf(message->as.verdict.detail, sizeof message->as.verdict.detail, "%s",
                   report->detail != NULL ? report->detail : "");
    put(context, message);
}

struct message *inbox_take(struct inbox *inbox)
{
    (void)pthread_mutex_lock(&inbox->lock);
    struct message *message = STAILQ_FIRST(&inbox->list);
    if (message != NULL)
        STAILQ_REMOVE_HEAD(&inbox->list, link);
    (void)pthread_mutex_unlock(&inbox->lock);
    return message;
}
