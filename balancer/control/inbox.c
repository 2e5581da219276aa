#include "balancer/control/inbox.h"

#include <stdio.h>

static bool is_update(const struct message *message)
{
    return message->type == MESSAGE_DISCOVERY && message->as.discovery.type == DISCOVERY_UPDATED;
}

/* A whole set makes an earlier one of the same pool that still waits pointless: rings are built
 * for the newest alone. */
static void drop_superseded(struct inbox *inbox, const struct message *newer)
{
    struct message *message, *next;
    for (message = STAILQ_FIRST(&inbox->list); message != NULL; message = next) {
        next = STAILQ_NEXT(message, link);
        if (!is_update(message) || message->as.discovery.pool != newer->as.discovery.pool)
            continue;
        STAILQ_REMOVE(&inbox->list, message, message, link);
        message_free(message);
    }
}

static void put(void *context, struct message *message)
{
    struct inbox *inbox = context;
    (void)pthread_mutex_lock(&inbox->lock);
    if (is_update(message))
        drop_superseded(inbox, message);
    STAILQ_INSERT_TAIL(&inbox->list, message, link);
    (void)pthread_mutex_unlock(&inbox->lock);
    ev_async_send(inbox->loop, inbox->wake);
}

int inbox_init(struct inbox *inbox, size_t n_pools, struct ev_loop *loop, struct ev_async *wake)
{
    *inbox = (struct inbox){.loop = loop, .wake = wake};
    (void)pthread_mutex_init(&inbox->lock, NULL);
    STAILQ_INIT(&inbox->list);
    return resolver_start(n_pools, put, inbox, &inbox->resolver);
}

void inbox_fini(struct inbox *inbox)
{
    resolver_stop(inbox->resolver);
    struct message *message;
    while ((message = inbox_take(inbox)) != NULL)
        message_free(message);
    (void)pthread_mutex_destroy(&inbox->lock);
}

void inbox_on_discovery(void *context, const struct discovery_event *event)
{
    struct inbox *inbox = context;
    bool has_names = resolver_wants(inbox->resolver, event);
    struct message *message = message_of_event(event);
    if (has_names)
        resolver_submit(inbox->resolver, message);
    else
        put(inbox, message);
}

void inbox_on_health(void *context, uint64_t cookie, const struct health_report *report)
{
    if (!report->changed && !report->is_first)
        return;
    struct message *message = message_new(MESSAGE_VERDICT);
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
