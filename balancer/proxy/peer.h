/*
 * Who a client is: its address as the socket has it, or as a trusted proxy says in the PROXY
 * protocol's header.
 */
#ifndef QUOIT_BALANCER_PROXY_PEER_H
#define QUOIT_BALANCER_PROXY_PEER_H

#include <sys/socket.h>

#include "balancer/http/proxy_protocol.h"

struct client;
struct listener;

/* Of a new client, whose socket listener has accepted from address. */
void peer_init(struct client *client, const struct listener *listener,
               const struct sockaddr_storage *address);

/* Reads on in the header that the client is to begin with. PROXY_DONE: it is taken off the
 * connection's bytes, and what it says is the client's address from now on. */
enum proxy_status peer_read_header(struct client *client);

/* Both ends of its connection, as the PROXY protocol says them; costs a system call. */
void peer_ends(const struct client *client, struct proxy_header *ret_header);

#endif
