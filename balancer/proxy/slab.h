/*
 * Free lists for objects of one size, one worker each: no lock, no malloc in the steady state.
 */
#ifndef QUOIT_BALANCER_PROXY_SLAB_H
#define QUOIT_BALANCER_PROXY_SLAB_H

#include <stddef.h>

struct slab_item;

struct slab {
    size_t size;   /* of one object, bytes */
    unsigned keep; /* free objects kept; the others go back to malloc */
    unsigned n_free;
    struct slab_item *free;
};

/* size is raised to that of a pointer; keep is taken as 0 under AddressSanitizer, which then sees
 * every use after free. */
void slab_init(struct slab *slab, size_t size, unsigned keep);
void slab_fini(struct slab *slab);

/* Uninitialised memory; aborts when memory is out (objects are small, their number is bounded). */
void *slab_get(struct slab *slab);
void slab_put(struct slab *slab, void *object);

#endif
