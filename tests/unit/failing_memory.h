/*
 * An allocator that fails once, for tests of what happens when memory runs out. A test compiles the
 * sources that allocate into itself, with the names below defined in place of the library's.
 */
#ifndef QUOIT_TESTS_FAILING_MEMORY_H
#define QUOIT_TESTS_FAILING_MEMORY_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static long until_failure = -1; /* allocations that succeed before the one that fails; -1: all */

static inline bool must_fail(void)
{
    return until_failure >= 0 && until_failure-- == 0;
}

static inline void *counted_malloc(size_t n)
{
    return must_fail() ? NULL : malloc(n);
}

static inline void *counted_calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : calloc(n, size);
}

static inline void *counted_realloc(void *old, size_t n)
{
    return must_fail() ? NULL : realloc(old, n);
}

static inline void *counted_aligned_alloc(size_t alignment, size_t size)
{
    return must_fail() ? NULL : aligned_alloc(alignment, size);
}

static inline char *counted_strdup(const char *text)
{
    return must_fail() ? NULL : strdup(text);
}

#endif
