/*
 * The beginning of a connection to an endpoint: its socket, and TLS where the pool has it.
 */
#ifndef QUOIT_BALANCER_PROXY_DIAL_H
#define QUOIT_BALANCER_PROXY_DIAL_H

#include "balancer/tls/outbound.h"

struct conf_pool;
struct conn;
struct endpoint;

/* A socket that is being connected to endpoint. Returns 0 or -errno. */
int dial_socket(const struct endpoint *endpoint, int *ret_fd);

/* If pool has TLS, conn, which is such a socket, speaks it from now on, with these application
 * protocols. Nothing is sent yet: the handshake begins when it is first read or written. Returns 0
 * or -ENOMEM. */
int dial_tls(struct conn *conn, const struct conf_pool *pool, struct endpoint *endpoint,
             enum outbound_protocols protocols);

#endif
