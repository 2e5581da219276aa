#include "conf/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct conf_arena_block {
    _Alignas(max_align_t) struct conf_arena_block *next;
};

void *conf_arena_alloc(struct conf_arena *arena, size_t n)
{
    if (n > SIZE_MAX - sizeof(struct conf_arena_block))
        return NULL;
    struct conf_arena_block *block = malloc(sizeof(*block) + n);
    if (block == NULL)
        return NULL;
    block->next = arena->first;
    arena->first = block;
    return memset(block + 1, 0, n);
}

char *conf_arena_text(struct conf_arena *arena, const char *text, size_t n)
{
    char *copy = conf_arena_alloc(arena, n + 1);
    if (copy != NULL && n > 0)
        memcpy(copy, text, n);
    return copy;
}

void conf_arena_free(struct conf_arena *arena)
{
    while (arena->first != NULL) {
        struct conf_arena_block *next = arena->first->next;
        free(arena->first);
        arena->first = next;
    }
}
