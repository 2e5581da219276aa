#include "balancer/proxy/h2_memory.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES ((size_t)4096)
/* A session's buffer for one frame is larger than this, all else of it much smaller. */
#define LARGE_BYTES ((size_t)16384)
/* So many free pieces of a size are kept. */
#define KEPT 1024

/* Of pieces, with what stands in front of them. */
static const size_t sizes[H2_MEMORY_SIZES] = {64, 128, 256, 512};

/* In front of what nghttp2 sees. */
struct piece {
    size_t size;   /* behind this */
    uint32_t kind; /* whose free list it belongs to; H2_MEMORY_SIZES: none's */
    _Alignas(max_align_t) uint8_t bytes[];
};

static struct piece *piece_of(void *bytes)
{
    return (struct piece *)(void *)((uint8_t *)bytes - offsetof(struct piece, bytes));
}

static uint32_t kind_of(size_t n)
{
    uint32_t kind = 0;
    while (kind < H2_MEMORY_SIZES && n > sizes[kind])
        kind++;
    return kind;
}

/* Of memory that was in use before, every page is there. If they cannot be dropped they stay. */
static struct piece *get_large(size_t n)
{
    size_t size = (n + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    void *block = aligned_alloc(PAGE_BYTES, size);
    if (block != NULL)
        (void)madvise(block, size, MADV_DONTNEED);
    return block;
}

static void *get(size_t n, void *context)
{
    struct h2_memory *memory = context;
    struct piece *piece;
    if (n > SIZE_MAX / 2)
        return NULL;
    size_t whole = sizeof *piece + n;
    uint32_t kind = kind_of(whole);
    if (kind < H2_MEMORY_SIZES) {
        whole = sizes[kind];
        piece = slab_get(&memory->pieces[kind]);
    } else {
        piece = whole < LARGE_BYTES ? malloc(whole) : get_large(whole);
    }
    if (piece == NULL)
        return NULL;
    piece->size = whole - sizeof *piece;
    piece->kind = kind;
    return piece->bytes;
}

static void put(void *bytes, void *context)
{
    struct h2_memory *memory = context;
    if (bytes == NULL)
        return;
    struct piece *piece = piece_of(bytes);
    if (piece->kind < H2_MEMORY_SIZES)
        slab_put(&memory->pieces[piece->kind], piece);
    else
        free(piece);
}

static void *get_zeroed(size_t n, size_t size, void *context)
{
    if (size != 0 && n > SIZE_MAX / size)
        return NULL;
    void *bytes = get(n * size, context);
    return bytes != NULL ? memset(bytes, 0, n * size) : NULL;
}

static void *resize(void *bytes, size_t n, void *context)
{
    if (bytes == NULL)
        return get(n, context);
    size_t had = piece_of(bytes)->size;
    if (n <= had)
        return bytes;
    void *more = get(n, context);
    if (more == NULL)
        return NULL;
    memcpy(more, bytes, had);
    put(bytes, context);
    return more;
}

void h2_memory_init(struct h2_memory *memory)
{
    memory->calls = (nghttp2_mem){.mem_user_data = memory,
                                  .malloc = get,
                                  .free = put,
                                  .calloc = get_zeroed,
                                  .realloc = resize};
    for (size_t i = 0; i < H2_MEMORY_SIZES; i++)
        slab_init(&memory->pieces[i], sizes[i], KEPT);
}

void h2_memory_fini(struct h2_memory *memory)
{
    for (size_t i = 0; i < H2_MEMORY_SIZES; i++)
        slab_fini(&memory->pieces[i]);
}
