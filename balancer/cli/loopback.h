/*
 * Listening sockets on 127.0.0.1, for the demo.
 */
#ifndef QUOIT_BALANCER_CLI_LOOPBACK_H
#define QUOIT_BALANCER_CLI_LOOPBACK_H

#include <stdint.h>

/* Listens on port, 0 for a free one. Returns 0 or -errno; the caller closes the descriptor. */
int loopback_listen(uint16_t port, int *ret_fd, uint16_t *ret_port);

/* Whether port could be listened on a moment ago, and which it is if port is 0. Returns 0 or
 * -errno. */
int loopback_probe(uint16_t port, uint16_t *ret_port);

#endif
