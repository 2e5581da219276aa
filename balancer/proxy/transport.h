/*
 * Transports: what the bytes of a connection travel over. A connection (conn.h) has the buffers,
 * the deadlines and the owner; its transport moves the bytes and says when there is more to do.
 *
 * One const struct transport a kind. All of it runs on the connection's worker.
 */
#ifndef QUOIT_BALANCER_PROXY_TRANSPORT_H
#define QUOIT_BALANCER_PROXY_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "balancer/http/reason.h"
#include "balancer/http/span.h"

struct conn;
struct inbound_set;
struct ssl_st; /* an OpenSSL session */

struct transport {
    /* As recv(2): the number of bytes, 0 at the end of the stream, -1 with errno; EAGAIN: nothing
     * now. Bytes that it keeps itself it announces through the watcher, as a socket would. */
    ssize_t (*read)(struct conn *conn, void *bytes, size_t n);
    /* As writev(2) on a socket that does not block; never raises SIGPIPE. */
    ssize_t (*write)(struct conn *conn, const struct iovec *iov, int n_iov);
    /* Sends the end of the stream behind what was written. */
    void (*end_write)(struct conn *conn);
    /* From now on on_io() is wanted for these events, EV_READ and EV_WRITE. */
    void (*watch)(struct conn *conn, int events);
    /* Bytes written that the peer's kernel has not acknowledged. */
    uint64_t (*count_queued)(const struct conn *conn);
    /* Whether neither bytes nor an end wait to be read. */
    bool (*is_quiet)(struct conn *conn);
    /* close() is to look like a failure to the peer, not like an end. */
    void (*spoil)(struct conn *conn);
    void (*close)(struct conn *conn);
    bool can_splice; /* conn.fd is a socket with nothing around the bytes */
};

/* A plain TCP socket. */
extern const struct transport transport_socket;

/*
 * TLS on such a socket. The handshake goes on whenever the connection is read or written; until it
 * is done both say EAGAIN. When it fails they fail with EPROTO, or with EKEYREJECTED for a
 * certificate that is not good enough, and conn->error says so too.
 *
 * A peer that ends the connection without saying so in TLS (close_notify) has not ended its stream:
 * that is an error, as a reset is.
 */
extern const struct transport transport_tls;

/* From now on conn, plain until then and with nothing staged, speaks TLS as session says, which it
 * takes over; set as inbound_open() gives it, or NULL. What is in its in buffer already belongs to
 * the handshake and moves there. */
void transport_start_tls(struct conn *conn, struct ssl_st *session, struct inbound_set *set);

/* to, which is not open or travels otherwise until now, has from's socket and TLS from now on; from
 * is closed without them. Nothing may be staged on it, and nothing read. */
void transport_hand_over(struct conn *from, struct conn *to);

enum tls_progress { TLS_HANDSHAKES, TLS_READY, TLS_FAILED, TLS_UNHEARD };

/* How far it is; TLS_UNHEARD: it ended before the peer had sent a byte. Of a connection with TLS.
 */
enum tls_progress tls_progress(const struct conn *conn);

/* Why it failed, and OpenSSL's word for it (never NULL). */
enum reason tls_failure(const struct conn *conn, const char **ret_text);

/* Whether what failed it is a request that came without TLS. */
bool tls_heard_http(const struct conn *conn);

/* Sends bytes without TLS, behind a handshake that has failed; as much as goes at once. */
void tls_answer_plainly(const struct conn *conn, struct span bytes);

/* What came of the handshake, valid while the connection is. */
struct tls_facts {
    bool is_resumed;
    const char *version, *cipher;
    const char *name;        /* that the client asked for; NULL: none */
    const char *subject;     /* of the peer's certificate, RFC 2253; NULL: it has none */
    const char *fingerprint; /* the same, SHA-256 in hexadecimal digits */
};

/* Of a connection whose handshake is done; all NULL for one without TLS. */
void tls_facts(const struct conn *conn, struct tls_facts *ret_facts);

/* The protocol that was agreed on (RFC 7301); n == 0: none, or no TLS. */
struct span tls_alpn(const struct conn *conn);

#endif
