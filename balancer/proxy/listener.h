/*
 * A worker's listening socket: accepts in batches, pauses when descriptors run out.
 *
 * Each worker has its own socket on each address (SO_REUSEPORT), so the kernel spreads connections
 * and no worker waits for another. The first one of an address binds it alone, so that a second
 * quoit cannot take half of the connections unasked.
 */
#ifndef QUOIT_BALANCER_PROXY_LISTENER_H
#define QUOIT_BALANCER_PROXY_LISTENER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

struct worker;

struct listener {
    struct worker *worker;
    uint32_t index; /* into conf->listeners */
    int fd;
    uint16_t port;
    bool speaks_h2; /* to those that begin so (prior knowledge) */
    bool speaks_h1;
    bool expects_proxy; /* connections begin with a header of the PROXY protocol */
    int reserve; /* a descriptor kept to accept and close one connection when there is no other */
    struct ev_io io;
    struct ev_timer pause;
};

/* Whether the address may be in use already: by sockets of the same user that were opened here. */
enum listener_sharing { LISTENER_ALONE, LISTENER_SHARED };

/* Opens a bound, listening, non-blocking socket. Any thread. Others may share its address from then
 * on, whatever `sharing` says. Returns 0 or -errno. */
int listener_open(const struct conf_listener *conf, enum listener_sharing sharing, int *ret_fd);

/* How long bytes may lie in the kernel for a client that takes none of them: what is written is out
 * of our sight, also after close(). Accepted sockets inherit it (TCP_USER_TIMEOUT, RFC 5482). */
void listener_limit_sending(int fd, uint32_t timeout_ms);

/* Begins to accept on the socket, which it takes over. conf is one of the proxy's own. */
void listener_start(struct listener *listener, struct worker *worker,
                    const struct conf_listener *conf, int fd);

/* Accepts what still waits, then closes. */
void listener_drain(struct listener *listener);

/* Closes; idempotent. */
void listener_close(struct listener *listener);

#endif
