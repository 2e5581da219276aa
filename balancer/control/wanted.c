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

/* By metadata is for later, when all addresses are known. */
static char *instance_id(const struct conf_pool *conf, const struct instance *instance)
{
    if (conf->identity.source != CONF_IDENTITY_SERVICE)
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
                                                .service_id = instance->service_id,
                                                .port = instance->port,
                                                .weight = instance->weight,
                                                .position = WANTED_BEHIND_STATICS,
                                                .source = source_of(conf, instance->status)});
    }
    return is_whole;
}

/* ---- identity by metadata ---- */

/* A text that an endpoint could go by. */
struct name {
    const char *text;
    struct wanted *wanted; /* who would like to; NULL: it is somebody's address or id already */
    bool is_unique;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static bool is_text_of(const struct name *name, const struct name *other)
{
    return strcmp(name->text, other->text) == 0;
}

/* All ids as they are, and the metadata of the instances, which are the last of list. */
static size_t gather_names(const struct instance_set *set, struct wanted_list *list,
                           struct name *names)
{
    size_t n = 0, n_statics = list->n - set->n;
    for (size_t i = 0; i < list->n; i++)
        names[n++] = (struct name){.text = list->items[i].id};
    for (size_t i = 0; i < set->n; i++) {
        struct wanted *wanted = &list->items[n_statics + i];
        const char *meta = set->list[i].meta;
        if (meta == NULL)
            wanted->fallback = WANTED_META_MISSING;
        else if (strcmp(meta, wanted->id) != 0)
            names[n++] = (struct name){.text = meta, .wanted = wanted};
    }
    return n;
}

/* Finds the names that are alone among their neighbours once sorted. */
static void find_unique(struct name *names, size_t n)
{
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++)
        names[i].is_unique = (i == 0 || !is_text_of(&names[i], &names[i - 1])) &&
                             (i + 1 == n || !is_text_of(&names[i], &names[i + 1]));
}

static int take_name(const struct name *name)
{
    char *id = strdup(name->text);
    if (id == NULL)
        return -ENOMEM;
    free(name->wanted->id);
    name->wanted->id = id;
    return 0;
}

/*
 * Instances whose metadata nobody else goes by take it for their id. All addresses count as taken,
 * those of instances that have a name too: so whoever falls back finds its address free.
 */
static int identify_by_meta(const struct instance_set *set, struct wanted_list *list)
{
    struct name *names = calloc(list->n + set->n + 1, sizeof *names);
    if (names == NULL)
        return -ENOMEM;
    size_t n = gather_names(set, list, names);
    find_unique(names, n);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (names[i].wanted != NULL && names[i].is_unique)
            rc = take_name(&names[i]);
        else if (names[i].wanted != NULL)
            names[i].wanted->fallback = WANTED_META_SHARED;
    }
    free(names);
    return rc;
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
    bool is_whole = want_statics(conf, &list) && want_instances(conf, set, &list);
    if (is_whole && set != NULL && conf->identity.source == CONF_IDENTITY_META)
        is_whole = identify_by_meta(set, &list) == 0;
    if (!is_whole) {
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
