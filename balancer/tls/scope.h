/*
 * What a session may be resumed under. A ticket says who a client was when it was made; where the
 * rules about clients have changed since, it must prove itself again. Pure but for the files.
 */
#ifndef QUOIT_BALANCER_TLS_SCOPE_H
#define QUOIT_BALANCER_TLS_SCOPE_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "conf/conf.h"

#define SCOPE_BYTES SSL_MAX_SID_CTX_LENGTH

/* The session context of a listener whose option is key ("listeners.0.tls"): the same in every
 * process with the same client_auth and the same contents of its files, and no other. Returns 0,
 * or -EIO when a file cannot be read. */
int scope_of(const struct conf_tls *conf, const char *key, uint8_t ret_scope[SCOPE_BYTES]);

/* For SSL_CTX_set_session_ticket_cb(): what the ticket of a client whose certificate has expired
 * meanwhile opens is not used. */
SSL_TICKET_RETURN scope_admit(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                              size_t name_n, SSL_TICKET_STATUS status, void *unused);

#endif
