#include "balancer/control/wanted.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/control/address.h"

static enum endpoint_source source_of(const struct conf_pool *conf, enum instance_status status)
{
    switch (status) {
    case INSTANCE_PASSING:
        return ENDPOINT_SOURCE_UP;
    case INSTANCE_WARNING:
        return conf->service.use_warning ? ENDPOINT_SOURCE_WARNING : ENDPOINT_SOURCE_CRITICAL;
    case INSTANCE_NODE_CRITICAL:
        return ENDPOINT_SOURCE_NODE_CRITICAL;
    case INSTANCE_MAINTENANCE:
        return ENDPOINT_SOURCE_MAINTENANCE;
    case INSTANCE_CRITICAL:
        break;
    }
    return ENDPOINT_SOURCE_CRITICAL;
}

static char *address_id(const char *host, uint16_t port)
{
    char *id = malloc(ADDRESS_TEXT_SIZE);
    if (id != NULL)
        address_text(host, port, id);
    return id;
}

static char *instance_id(const struct conf_pool *conf, const struct instance *instance)
{
    if (conf->identity != CONF_IDENTITY_SERVICE)
        return address_id(instance->host, instance->port);
    char *id;
    int n = asprintf(&id, "%s/%s/%s", instance->datacenter, instance->node, instance->service_id);
    return n < 0 ? NULL : id;
}

static char *static_id(const struct conf_endpoint *endpoint)
{
    return endpoint->id != NULL ? strdup(endpoint->id) : address_id(endpoint->host, endpoint->port);
}

/* Appends what the caller has filled in; false when there was no memory for its id. */
static bool append(struct wanted_list *list, struct wanted wanted)
{
    if (wanted.id == NULL)
        return false;
    list->items[list->n++] = wanted;
    return true;
}

static bool want_statics(const struct conf_pool *conf, struct wanted_list *list)
{
    bool is_whole = true;
    for (size_t i = 0; is_whole && i < conf->n_endpoints; i++) {
        const struct conf_endpoint *endpoint = &conf->endpoints[i];
        is_whole = append(list, (struct wanted){.id = static_id(endpoint),
                                                .host = endpoint->host,
                                                .port = endpoint->port,
                                                .weight = endpoint->weight,
                                                .position = i,
                                                .source = ENDPOINT_SOURCE_UP});
    }
    return is_whole;
}

static bool want_instances(const struct conf_pool *conf, const struct instance_set *set,
                           struct wanted_list *list)
{
    bool is_whole = true;
    for (size_t i = 0; is_whole && set != NULL && i < set->n; i++) {
        const struct instance *instance = &set->list[i];
        is_whole = append(list, (struct wanted){.id = instance_id(conf, instance),
                                                .host = instance->host,
                                                .port = instance->port,
                                                .weight = instance->weight,
                                                .position = WANTED_BEHIND_STATICS,
                                                .source = source_of(conf, instance->status)});
    }
    return is_whole;
}

/* By identity; of two that share it the static one comes first. */
static int by_id(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order != 0 ? order : (x->position > y->position) - (x->position < y->position);
}

static void drop_duplicates(struct wanted_list *list)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (n_kept > 0 && strcmp(list->items[n_kept - 1].id, list->items[i].id) == 0)
            free(list->items[i].id);
        else
            list->items[n_kept++] = list->items[i];
    }
    list->n = n_kept;
}

int wanted_list_build(const struct conf_pool *conf, const struct instance_set *set,
                      struct wanted_list *ret_list)
{
    size_t max = conf->n_endpoints + (set != NULL ? set->n : 0);
    struct wanted_list list = {.items = calloc(max + 1, sizeof *list.items)};
    if (list.items == NULL)
        return -ENOMEM;
    if (!want_statics(conf, &list) || !want_instances(conf, set, &list)) {
        wanted_list_free(&list);
        return -ENOMEM;
    }
    qsort(list.items, list.n, sizeof *list.items, by_id);
    drop_duplicates(&list);
    *ret_list = list;
    return 0;
}

void wanted_list_free(struct wanted_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i].id);
    free(list->items);
    *list = (struct wanted_list){.items = NULL};
}
