#include "balancer/control/message.h"

#include <stdlib.h>
#include <string.h>

struct message *message_new(enum message_type type)
{
    struct message *message = calloc(1, sizeof *message);
    if (message == NULL)
        abort();
    message->type = type;
    return message;
}

static char *copy(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

struct message *message_of_event(const struct discovery_event *event)
{
    struct message *message = message_new(MESSAGE_DISCOVERY);
    message->as.discovery = *event;
    message->as.discovery.error = copy(event->error);
    message->as.discovery.address = copy(event->address);
    return message;
}

void message_free(struct message *message)
{
    if (message == NULL)
        return;
    if (message->type == MESSAGE_DISCOVERY) {
        if (message->as.discovery.set != NULL)
            instance_set_free(message->as.discovery.set);
        free((char *)message->as.discovery.error);
        free((char *)message->as.discovery.address);
    }
    free(message);
}
