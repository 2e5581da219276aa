#include "balancer/proxy/pipe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Pipes take at most one in so many of the process's descriptors, each two of them. */
#define DESCRIPTOR_SHARE 8u
#define MAX_PIPES 1024u
#define MAX_FREE 32u

static void pipe_close(struct pipe_pool *pool, struct pipe *pipe)
{
    (void)close(pipe->read_fd);
    (void)close(pipe->write_fd);
    free(pipe);
    pool->n_open--;
}

void pipe_pool_init(struct pipe_pool *pool, uint32_t n_workers)
{
    struct rlimit limit;
    *pool = (struct pipe_pool){0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    uint64_t max = limit.rlim_cur / DESCRIPTOR_SHARE / 2 / n_workers;
    pool->max = max < MAX_PIPES ? (uint32_t)max : MAX_PIPES;
}

void pipe_pool_fini(struct pipe_pool *pool)
{
    struct pipe *pipe;
    while ((pipe = pool->free) != NULL) {
        pool->free = pipe->next;
        pipe_close(pool, pipe);
    }
}

static struct pipe *pipe_open(void)
{
    struct pipe *pipe = calloc(1, sizeof *pipe);
    int fds[2];
    if (pipe == NULL || pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) {
        free(pipe);
        return NULL;
    }
    pipe->read_fd = fds[0];
    pipe->write_fd = fds[1];
    /* The kernel's default serves as well, in smaller pieces. */
    (void)fcntl(pipe->write_fd, F_SETPIPE_SZ, (int)PIPE_BYTES);
    return pipe;
}

struct pipe *pipe_get(struct pipe_pool *pool)
{
    struct pipe *pipe = pool->free;
    if (pipe != NULL) {
        pool->free = pipe->next;
        pool->n_free--;
        return pipe;
    }
    if (pool->n_open >= pool->max)
        return NULL;
    pipe = pipe_open();
    if (pipe == NULL)
        pool->max = pool->n_open; /* out of descriptors or memory: do not ask each time */
    else
        pool->n_open++;
    return pipe;
}

void pipe_put(struct pipe_pool *pool, struct pipe *pipe)
{
    if (pipe->n > 0 || pool->n_free >= MAX_FREE) {
        pipe_close(pool, pipe);
        return;
    }
    pipe->fresh = 0;
    pipe->next = pool->free;
    pool->free = pipe;
    pool->n_free++;
}

ssize_t pipe_fill(struct pipe *pipe, int fd, uint64_t max)
{
    size_t n = max < PIPE_BYTES ? (size_t)max : PIPE_BYTES;
    ssize_t moved = splice(fd, NULL, pipe->write_fd, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved > 0) {
        pipe->n += (uint32_t)moved;
        pipe->fresh += (uint32_t)moved;
    }
    return moved;
}

ssize_t pipe_drain(struct pipe *pipe, int fd)
{
    ssize_t moved =
        splice(pipe->read_fd, NULL, fd, NULL, pipe->n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved > 0)
        pipe->n -= (uint32_t)moved;
    return moved;
}
