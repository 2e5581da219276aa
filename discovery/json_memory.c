#include "discovery/json_memory.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

static void *malloc_or_abort(size_t n)
{
    void *memory = malloc(n > 0 ? n : 1);
    if (memory == NULL)
        abort();
    return memory;
}

static void install(void)
{
    json_set_alloc_funcs(malloc_or_abort, free);
}

void json_memory_abort_when_out(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}
