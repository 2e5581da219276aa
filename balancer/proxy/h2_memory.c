#include "balancer/proxy/h2_memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE_BYTES ((size_t)4096)
/* A session's buffer for one frame is larger than this, all else of it much smaller. */
#define LARGE_BYTES ((size_t)16384)

static void *get(size_t n, void *context)
{
    (void)context;
    if (n < LARGE_BYTES || n > SIZE_MAX - PAGE_BYTES)
        return malloc(n);
    size_t size = (n + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    void *block = aligned_alloc(PAGE_BYTES, size);
    /* Of memory that was in use before, every page is there. If this fails they stay. */
    if (block != NULL)
        (void)madvise(block, size, MADV_DONTNEED);
    return block;
}

static void *get_zeroed(size_t n, size_t size, void *context)
{
    (void)context;
    return calloc(n, size);
}

static void *resize(void *block, size_t n, void *context)
{
    return block == NULL ? get(n, context) : realloc(block, n);
}

static void put(void *block, void *context)
{
    (void)context;
    free(block);
}

nghttp2_mem *h2_memory(void)
{
    static nghttp2_mem memory = {
        .malloc = get, .free = put, .calloc = get_zeroed, .realloc = resize};
    return &memory;
}
