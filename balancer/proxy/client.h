/*
 * A client's connection: reads requests one after the other, keeps or closes the connection. On a
 * listener that expects the PROXY protocol its header comes first, from a trusted proxy, and what
 * it says is taken for the connection's own addresses from then on.
 *
 * With HTTP/2 a connection's client is the carrier of a session (h2_session.h), and each of its
 * streams is a client of its own, with one request.
 */
#ifndef QUOIT_BALANCER_PROXY_CLIENT_H
#define QUOIT_BALANCER_PROXY_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "balancer/http/h1.h"
#include "balancer/http/proxy_protocol.h"
#include "balancer/http/span.h"
#include "balancer/proxy/admission.h"
#include "balancer/proxy/conn.h"

struct conf_listener;
struct h2_session;
struct listener;
struct request;
struct worker;

struct client {
    struct conn conn;
    LIST_ENTRY(client) link;
    struct request *request;              /* the one being served; NULL between requests */
    const struct conf_listener *listener; /* that it came to */
    struct h2_session *session;           /* it carries one; else NULL */
    struct client *carrier;               /* it is a stream of this one's session; else NULL */
    struct admission_ticket ticket;
    uint64_t n_requests;
    uint64_t lingered_bytes;
    bool lingers;      /* the last answer is sent; what still comes is read and dropped */
    bool awaits_proxy; /* the PROXY protocol's header has not come yet */
    bool awaits_tls;   /* TLS is not there yet, behind that header */
    bool is_secure;    /* it is */
    bool is_proxied;   /* it has, with addresses */
    bool is_trusted;   /* a proxy that may say who its client is */
    bool may_speak_h2, may_speak_h1;
    uint8_t address_n;
    uint16_t port;
    char address[INET6_ADDRSTRLEN]; /* numeric; IPv4 in its own form also on IPv6 sockets */
    uint8_t local_port_n;
    char local_port[5];     /* in digits, what local.port is */
    struct proxy_end local; /* where it connected to; the address only if is_proxied */
};

/* Takes over a socket that listener has accepted from peer; closes it if that is one too many. */
void client_accept(struct worker *worker, const struct listener *listener, int fd,
                   const struct sockaddr_storage *peer);

/* Closes a connection that is idle, if one is found soon, because there are as many as there may
 * be: of those that it looks at, the one that would be the first to end by its deadline. */
void client_make_room(struct worker *worker);

/* Does all that can be done now for this client. Whoever changes something about its request
 * calls this afterwards; the client may be closed when it returns (its memory lives to the end of
 * the turn). */
void client_run(struct client *client);

/* Closes now; idempotent. A request that is being served ends with reason. */
void client_close(struct client *client, enum reason reason);

/* Closes one that did not begin as its listener wants it, or that is one too many, and counts it.
 */
void client_refuse(struct client *client, enum reason reason);

bool client_is_idle(const struct client *client);

/* A stream of carrier's session, over this transport whose own channel is. Closed with
 * client_close(); its request's first bytes are to be read. */
struct client *client_open_stream(struct client *carrier, const struct transport *transport,
                                  void *channel);

/* The connection that the client's bytes come over in the end. */
static inline const struct conn *client_wire(const struct client *client)
{
    return client->carrier != NULL ? &client->carrier->conn : &client->conn;
}

/* Answers a request that was not read with what reason says. */
void client_refuse_request(struct client *client, enum reason reason);

/* The session is over and has said all: ends the connection so that the peer reads that. */
void client_part(struct client *client);

/* The worker drains: a session tells its peer to open no more streams. */
void client_drain(struct client *client);

/* A while later: closes if it is idle, a session once its streams are through. */
void client_drain_last(struct client *client);

/* Whether client.max_requests allows more than the request that is being served. */
bool client_may_ask_again(const struct client *client);

static inline struct span client_local_port(const struct client *client)
{
    return (struct span){(const uint8_t *)client->local_port, client->local_port_n};
}

static inline struct span client_address(const struct client *client)
{
    return (struct span){(const uint8_t *)client->address, client->address_n};
}

#endif
