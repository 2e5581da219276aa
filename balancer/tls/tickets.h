/*
 * Keys for session tickets (RFC 5077, RFC 8446 section 4.6.1), shared by all workers.
 *
 * Random keys rotate: the current one makes tickets, the one before still opens them. Keys of a
 * file stay until the file changes: its first makes tickets, all of them open them. A key is 80
 * bytes, as nginx has it: name 16, HMAC-SHA-256 32, AES-256 32.
 */
#ifndef QUOIT_BALANCER_TLS_TICKETS_H
#define QUOIT_BALANCER_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdint.h>

#define TICKETS_MAX_KEYS 16
#define TICKETS_KEY_BYTES 80

struct tickets;

/* With one random key. NULL when memory or randomness is out. */
struct tickets *tickets_new(void);
void tickets_free(struct tickets *tickets); /* accepts NULL; wipes the keys */

/* A new random key makes tickets from now on. Any thread. Returns 0 or -EIO. */
int tickets_rotate(struct tickets *tickets);

/* The keys of a file in place of those that are there. Any thread. Returns 0, -errno, or -EINVAL
 * when it does not hold 1 to 16 keys; nothing has changed then. */
int tickets_read(struct tickets *tickets, const char *file);

/* As for SSL_CTX_set_tlsext_ticket_key_evp_cb(), with the tickets that they are for: 1, 2 (open,
 * but to be made anew), 0 (unknown) or -1. Any thread. */
int tickets_use(struct tickets *tickets, uint8_t name[16], uint8_t *iv, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *mac, int is_new);

#endif
