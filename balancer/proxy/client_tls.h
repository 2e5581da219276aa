/*
 * The beginning of a client's connection where its listener has TLS.
 */
#ifndef QUOIT_BALANCER_PROXY_CLIENT_TLS_H
#define QUOIT_BALANCER_PROXY_CLIENT_TLS_H

#include <stdbool.h>

struct client;

/* Begins the handshake, within its deadline. False: memory is out, the client is closed. */
bool client_tls_begin(struct client *client);

/* What came of it so far. True: it is done, and requests may come. A client whose handshake has
 * failed is closed. */
bool client_tls_go_on(struct client *client);

#endif
