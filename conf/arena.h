/*
 * Memory that lives and dies together: the strings and arrays of a configuration, and the tree it
 * is read from. Every piece is its own block, so that a sanitizer sees each of its borders.
 */
#ifndef QUOIT_CONF_ARENA_H
#define QUOIT_CONF_ARENA_H

#include <stddef.h>

struct conf_arena_block;

/* All zero is an empty arena. */
struct conf_arena {
    struct conf_arena_block *first;
};

/* n zeroed bytes aligned for any type (never NULL for n == 0); NULL when memory is out. */
void *conf_arena_alloc(struct conf_arena *arena, size_t n);

/* A copy of the n bytes of text, with a NUL behind; NULL when memory is out. */
char *conf_arena_text(struct conf_arena *arena, const char *text, size_t n);

/* Frees every piece; the arena is empty again. */
void conf_arena_free(struct conf_arena *arena);

#endif
