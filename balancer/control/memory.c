#include "balancer/control/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Buffers for each worker below which `auto` does not go. */
#define LEAST_BUFFERS 64u

/* The number in a cgroup's memory.max; UINT64_MAX when it says "max" or there is none. */
static uint64_t read_limit(const char *root, const char *path, size_t path_n)
{
    char name[4096], line[32];
    int n = snprintf(name, sizeof name, "%s%.*s/memory.max", root, (int)path_n, path);
    if (n < 0 || (size_t)n >= sizeof name)
        return UINT64_MAX;
    FILE *file = fopen(name, "re");
    if (file == NULL)
        return UINT64_MAX;
    bool is_read = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    if (!is_read || line[0] < '0' || line[0] > '9')
        return UINT64_MAX;
    return strtoull(line, NULL, 10);
}

uint64_t memory_of_cgroup(const char *root, const char *path)
{
    uint64_t least = UINT64_MAX;
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/')
        n--;
    for (;;) {
        uint64_t limit = read_limit(root, path, n);
        least = limit < least ? limit : least;
        if (n == 0)
            return least;
        while (n > 0 && path[n - 1] != '/')
            n--;
        n -= n > 0 ? 1 : 0;
    }
}

/* This process's cgroup: the line of the one hierarchy of version 2, "0::/path". */
static uint64_t own_cgroup_limit(void)
{
    char line[4096];
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL)
        return limit;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "0::", 3) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        limit = memory_of_cgroup("/sys/fs/cgroup", line + 3);
    }
    (void)fclose(file);
    return limit;
}

static uint64_t usable_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_size = sysconf(_SC_PAGESIZE);
    uint64_t all = pages > 0 && page_size > 0 ? (uint64_t)pages * (uint64_t)page_size : UINT64_MAX;
    uint64_t own = own_cgroup_limit();
    return own < all ? own : all;
}

uint64_t memory_budget(const struct conf *conf)
{
    if (conf->memory_bytes != CONF_AUTO_SIZE)
        return conf->memory_bytes;
    uint64_t half = usable_memory() / 2;
    uint64_t least = (uint64_t)LEAST_BUFFERS * conf->buffer_bytes * conf->workers;
    return half > least ? half : least;
}
