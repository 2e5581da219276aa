/*
 * What a certificate authority must find to believe that a name is ours: the answers to HTTP-01
 * (RFC 8555 section 8.3) by their tokens, and to TLS-ALPN-01 (RFC 8737) by their names.
 *
 * Control puts them in and takes them out; workers look them up. An RW lock guards them, which only
 * requests and handshakes that look like a challenge ever take.
 */
#ifndef QUOIT_BALANCER_TLS_CHALLENGES_H
#define QUOIT_BALANCER_TLS_CHALLENGES_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHALLENGES_PROTOCOL "acme-tls/1"
#define CHALLENGES_ANSWER_SIZE 256

struct challenges;

/* NULL when memory is out. */
struct challenges *challenges_new(void);

/* No thread may look anything up any more. Accepts NULL. */
void challenges_free(struct challenges *challenges);

/* Control: whoever asks for the token is answered so. Returns 0, -ENOMEM, or -EINVAL for an answer
 * that is too long. */
int challenges_add_token(struct challenges *challenges, const char *token, const char *answer);

/* Control: whoever comes for the name by TLS-ALPN-01 sees the SHA-256 digest of answer. Returns 0
 * or -ENOMEM. */
int challenges_add_name(struct challenges *challenges, const char *name, const char *answer);

/* Control: takes all of them out. */
void challenges_clear(struct challenges *challenges);

/* Any thread: the answer for the n bytes of token, and its length; 0: there is none. */
size_t challenges_find_token(struct challenges *challenges, const uint8_t *token, size_t n,
                             char ret_answer[CHALLENGES_ANSWER_SIZE]);

/* Any thread, in a client hello callback (SSL_CTX_set_client_hello_cb()): whether this is a
 * challenge for a name that is here. Then the handshake goes on with nothing of its listener's, and
 * CHALLENGES_PROTOCOL is what is agreed on. */
bool challenges_take_handshake(struct challenges *challenges, SSL *ssl);

#endif
