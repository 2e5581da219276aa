/*
 * A client's connection: reads requests one after the other, keeps or closes the connection.
 */
#ifndef QUOIT_BALANCER_PROXY_CLIENT_H
#define QUOIT_BALANCER_PROXY_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "balancer/http/span.h"
#include "balancer/proxy/conn.h"

struct request;
struct worker;

struct client {
    struct conn conn;
    LIST_ENTRY(client) link;
    struct request *request; /* the one being served; NULL between requests */
    uint64_t n_requests;
    uint64_t lingered_bytes;
    bool lingers; /* the last answer is sent; what still comes is read and dropped */
    uint8_t address_n;
    uint16_t port;
    char address[INET6_ADDRSTRLEN]; /* numeric; IPv4 in its own form also on IPv6 sockets */
};

/* Takes over an accepted socket. */
void client_accept(struct worker *worker, int fd, const struct sockaddr_storage *peer);

/* Does all that can be done now for this client. Whoever changes something about its request
 * calls this afterwards; the client may be closed when it returns (its memory lives to the end of
 * the turn). */
void client_run(struct client *client);

/* Closes now; idempotent. A request that is being served ends with reason. */
void client_close(struct client *client, enum reason reason);

static inline bool client_is_idle(const struct client *client)
{
    return client->request == NULL && !client->lingers;
}

static inline struct span client_address(const struct client *client)
{
    return (struct span){(const uint8_t *)client->address, client->address_n};
}

#endif
