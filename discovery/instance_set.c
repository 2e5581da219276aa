#include "discovery/instance_set.h"

#include <stdlib.h>
#include <string.h>

#include "discovery/consul_answer.h"

static size_t text_bytes(const struct instance *instance)
{
    return strlen(instance->datacenter) + strlen(instance->node) + strlen(instance->service_id) +
           strlen(instance->host) + (instance->meta != NULL ? strlen(instance->meta) : 0) + 5;
}

/* Copies text, if there is any, to *at, which moves behind it. */
static char *keep(char **at, const char *text)
{
    if (text == NULL)
        return NULL;
    size_t n = strlen(text) + 1;
    char *copy = memcpy(*at, text, n);
    *at += n;
    return copy;
}

struct instance_set *instance_set_build(const struct instance *list, size_t n)
{
    struct instance_set *set;
    size_t n_bytes = sizeof *set + n * sizeof *list;
    for (size_t i = 0; i < n; i++)
        n_bytes += text_bytes(&list[i]);
    set = malloc(n_bytes);
    if (set == NULL)
        return NULL;
    *set = (struct instance_set){.list = (struct instance *)(set + 1), .n = n};
    char *text = (char *)(set->list + n);
    for (size_t i = 0; i < n; i++) {
        struct instance *copy = &set->list[i];
        *copy = list[i];
        copy->datacenter = keep(&text, list[i].datacenter);
        copy->node = keep(&text, list[i].node);
        copy->service_id = keep(&text, list[i].service_id);
        copy->host = keep(&text, list[i].host);
        copy->meta = keep(&text, list[i].meta);
    }
    return set;
}

struct instance_set *instance_set_copy(const struct instance_set *set)
{
    struct instance_set *copy = instance_set_build(set->list, set->n);
    if (copy == NULL)
        return NULL;
    copy->index = set->index;
    copy->n_rejected = set->n_rejected;
    return copy;
}

void instance_set_free(struct instance_set *set)
{
    free(set);
}

int instance_compare_identity(const struct instance *a, const struct instance *b)
{
    int order = strcmp(a->datacenter, b->datacenter);
    if (order == 0)
        order = strcmp(a->node, b->node);
    if (order == 0)
        order = strcmp(a->service_id, b->service_id);
    return order;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool instance_equal(const struct instance *a, const struct instance *b)
{
    /* Weights were clamped from the same text: equal answers give equal bits. */
    return instance_compare_identity(a, b) == 0 && strcmp(a->host, b->host) == 0 &&
           a->port == b->port && a->status == b->status && a->weight >= b->weight &&
           a->weight <= b->weight && same_text(a->meta, b->meta);
}

bool instance_set_equal(const struct instance_set *a, const struct instance_set *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!instance_equal(&a->list[i], &b->list[i]))
            return false;
    return true;
}

bool instance_set_removes(const struct instance_set *old, const struct instance_set *new)
{
    size_t at = 0;
    for (size_t i = 0; i < old->n; i++) {
        while (at < new->n && instance_compare_identity(&new->list[at], &old->list[i]) < 0)
            at++;
        if (at == new->n || instance_compare_identity(&new->list[at], &old->list[i]) != 0)
            return true;
    }
    return false;
}
