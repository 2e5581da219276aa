#include "balancer/control/merge.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/control/address.h"

static bool is_same_place(const struct tracked *tracked, const struct wanted *wanted)
{
    char text[ADDRESS_TEXT_SIZE];
    address_text(wanted->host, wanted->port, text);
    return strcmp(tracked->endpoint->address, text) == 0;
}

/* Where old (NULL: at the end) stands to wanted (NULL: at the end) in the order of identities. */
static int compare(const struct tracked *old, const struct wanted *wanted)
{
    if (old == NULL || wanted == NULL)
        return (old == NULL) - (wanted == NULL);
    return strcmp(old->endpoint->id, wanted->id);
}

static void retire(struct tracked *old, const struct merge_ops *ops, void *context)
{
    ops->retire(context, old);
    endpoint_unref(old->endpoint);
}

static void admit(struct tracked_list *next, const struct wanted *wanted,
                  const struct merge_ops *ops, void *context)
{
    if (ops->admit(context, wanted, &next->items[next->n]))
        next->n++;
}

/* The same identity, in both. */
static void meet(struct tracked_list *next, struct tracked *old, const struct wanted *wanted,
                 const struct merge_ops *ops, void *context)
{
    assert(old != NULL && wanted != NULL);
    if (!is_same_place(old, wanted)) {
        retire(old, ops, context);
        admit(next, wanted, ops, context);
        return;
    }
    struct tracked *kept = &next->items[next->n++];
    *kept = *old;
    ops->keep(context, kept, wanted);
}

int merge(struct tracked_list *list, const struct wanted_list *wanted, const struct merge_ops *ops,
          void *context)
{
    struct tracked_list next = {.items = calloc(wanted->n + 1, sizeof *next.items)};
    if (next.items == NULL)
        return -ENOMEM;
    size_t i = 0, k = 0;
    while (i < list->n || k < wanted->n) {
        struct tracked *old = i < list->n ? &list->items[i] : NULL;
        const struct wanted *asked = k < wanted->n ? &wanted->items[k] : NULL;
        int order = compare(old, asked);
        if (order < 0)
            retire(old, ops, context);
        else if (order > 0)
            admit(&next, asked, ops, context);
        else
            meet(&next, old, asked, ops, context);
        i += order <= 0;
        k += order >= 0;
    }
    free(list->items);
    *list = next;
    return 0;
}

static int by_position(const void *a, const void *b)
{
    const struct tracked *const *x = a, *const *y = b;
    if ((*x)->position != (*y)->position)
        return (*x)->position < (*y)->position ? -1 : 1;
    return strcmp((*x)->endpoint->id, (*y)->endpoint->id);
}

struct member *tracked_members(const struct tracked_list *list)
{
    const struct tracked **ordered = calloc(list->n + 1, sizeof(const struct tracked *));
    struct member *members = calloc(list->n + 1, sizeof *members);
    if (ordered == NULL || members == NULL) {
        free(ordered);
        free(members);
        return NULL;
    }
    for (size_t i = 0; i < list->n; i++)
        ordered[i] = &list->items[i];
    qsort(ordered, list->n, sizeof(const struct tracked *), by_position);
    for (size_t i = 0; i < list->n; i++)
        members[i] =
            (struct member){.endpoint = ordered[i]->endpoint, .weight = ordered[i]->now_weight};
    free(ordered);
    return members;
}

void tracked_list_fini(struct tracked_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        endpoint_unref(list->items[i].endpoint);
    free(list->items);
    *list = (struct tracked_list){.items = NULL};
}
