#include "balancer/proxy/slab.h"

#include <stdlib.h>

struct slab_item {
    struct slab_item *next;
};

/* gcc and clang each have their own way to say it. */
#if defined(__SANITIZE_ADDRESS__)
#define SLAB_KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_KEEPS 0
#endif
#endif
#ifndef SLAB_KEEPS
#define SLAB_KEEPS 1
#endif

void slab_init(struct slab *slab, size_t size, unsigned keep)
{
    if (size < sizeof(struct slab_item))
        size = sizeof(struct slab_item);
    *slab = (struct slab){.size = size, .keep = SLAB_KEEPS ? keep : 0};
}

void slab_fini(struct slab *slab)
{
    while (slab->free != NULL) {
        struct slab_item *item = slab->free;
        slab->free = item->next;
        free(item);
    }
    slab->n_free = 0;
}

void *slab_get(struct slab *slab)
{
    struct slab_item *item = slab->free;
    if (item != NULL) {
        slab->free = item->next;
        slab->n_free--;
        return item;
    }
    void *fresh = malloc(slab->size);
    if (fresh == NULL)
        abort();
    return fresh;
}

void slab_put(struct slab *slab, void *object)
{
    if (slab->n_free >= slab->keep) {
        free(object);
        return;
    }
    struct slab_item *item = object;
    item->next = slab->free;
    slab->free = item;
    slab->n_free++;
}
