/*
 * Pipes: the way of a long body through the kernel.
 *
 * splice(2) moves pages from one socket into a pipe and from there into another socket, so that the
 * bytes are never copied into user space and back. A pipe is taken from its worker's pool while
 * bytes are in it and given back empty; what does not fit stays in the kernel's socket buffers, as
 * with a buffer of ours.
 */
#ifndef QUOIT_BALANCER_PROXY_PIPE_H
#define QUOIT_BALANCER_PROXY_PIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a pipe holds; the kernel may allow less. */
#define PIPE_BYTES 262144u

struct pipe {
    int read_fd, write_fd;
    uint32_t n;        /* bytes in it */
    uint32_t fresh;    /* those of them that nobody has accounted for yet */
    struct pipe *next; /* in the pool */
};

/* One worker's pipes. */
struct pipe_pool {
    struct pipe *free;
    uint32_t n_free, n_open;
    uint32_t max; /* 0: bodies are copied */
};

/* As many pipes as a small part of the process's descriptors allows each of n_workers. */
void pipe_pool_init(struct pipe_pool *pool, uint32_t n_workers);
void pipe_pool_fini(struct pipe_pool *pool);

/* An empty pipe; NULL when there is none to be had: then copy. */
struct pipe *pipe_get(struct pipe_pool *pool);

/* Gives it back; one that is not empty is closed. */
void pipe_put(struct pipe_pool *pool, struct pipe *pipe);

/* Moves up to max bytes from the socket into the pipe. As recv(2): 0 is the end of the stream,
 * -1 with EAGAIN means that there is nothing to read or no room. */
ssize_t pipe_fill(struct pipe *pipe, int fd, uint64_t max);

/* Moves what is in it into the socket. As send(2). */
ssize_t pipe_drain(struct pipe *pipe, int fd);

#endif
