/*
 * TLS over a socket, with OpenSSL.
 *
 * OpenSSL may have to write in order to read, and the other way round, while there is one watcher
 * for both, whose owner wants to hear of reading and writing. So the events that the socket is
 * watched for are computed from what the owner wants and from what stands in the way of each
 * (adjust()), and an event of the socket becomes the owner's event behind it (on_io()).
 *
 * Records are sealed before the socket is found full; the bytes in them are sealed for good, and
 * the caller, who was told nothing of them, offers them again. `sealed` remembers how many they are
 * until their records have left (tls_wire.h), `credit` how many the caller is still to be told of.
 */
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "balancer/proxy/conn.h"
#include "balancer/proxy/tls_wire.h"
#include "balancer/proxy/transport.h"
#include "balancer/proxy/worker.h"
#include "balancer/tls/inbound.h"

#define RECORD_BYTES 16384u
#define MAX_SUBJECT 1024

/* Who is behind a connection; few have one. */
struct peer_facts {
    char fingerprint[2 * SHA256_DIGEST_LENGTH + 1];
    char subject[];
};

struct channel {
    SSL *ssl;
    struct inbound_set *set;
    struct peer_facts *peer;
    struct tls_wire wire;
    struct ev_timer again; /* the owner is to be called without an event of the socket */
    enum tls_progress progress;
    enum reason failure;
    unsigned long failure_code; /* OpenSSL's */
    int error;                  /* errno of what ended it; 0: nothing has */
    int write_error;            /* of what ended writing: there may be more to read */
    uint32_t sealed, credit;    /* see the top */
    uint16_t record_bytes;      /* of payload in a record */
    uint8_t wanted;             /* events that the owner wants */
    uint8_t watched;            /* events that the socket is watched for */
    bool read_wants_write, write_wants_read;
    bool has_more;  /* OpenSSL holds bytes that were not read yet, perhaps not enough of them */
    bool has_ended; /* the peer's stream is over */
    bool is_ending; /* close_notify is to be sent */
    bool is_spoiled;
};

static struct channel *channel_of(const struct conn *conn)
{
    return conn->channel;
}

/* ---- events */

static int socket_events(const struct channel *channel)
{
    int events = 0;
    if (channel->wanted & EV_READ)
        events |= channel->read_wants_write ? EV_WRITE : EV_READ;
    if (channel->wanted & EV_WRITE)
        events |= channel->write_wants_read ? EV_READ : EV_WRITE;
    if (channel->is_ending)
        events |= EV_WRITE;
    return events;
}

/* Brings the watcher in line with what is wanted and what stands in the way. */
static void adjust(struct conn *conn)
{
    struct channel *channel = channel_of(conn);
    struct ev_loop *loop = conn->worker->loop;
    int events = socket_events(channel);
    if (events != channel->watched) {
        channel->watched = (uint8_t)events;
        ev_io_stop(loop, &conn->io);
        ev_io_modify(&conn->io, events);
        if (events != 0)
            ev_io_start(loop, &conn->io);
    }
    /* What OpenSSL holds no poll will tell of. By way of the poll all the same: others take their
     * turns before. */
    bool is_due = (channel->wanted & EV_READ) != 0 && channel->has_more;
    if (is_due && !ev_is_active(&channel->again)) {
        ev_timer_set(&channel->again, 0, 0);
        ev_timer_start(loop, &channel->again);
    }
}

static void end_stream(struct conn *conn);

static void call_owner(struct conn *conn, int revents)
{
    if (revents != 0)
        conn->ops->on_io(conn, revents);
    if (conn_is_open(conn))
        adjust(conn);
}

static void on_io(struct ev_loop *loop, struct ev_io *io, int revents)
{
    (void)loop;
    struct conn *conn = io->data;
    struct channel *channel = channel_of(conn);
    int owners = 0;
    if (channel->is_ending && (revents & EV_WRITE))
        end_stream(conn);
    if (revents & (channel->read_wants_write ? EV_WRITE : EV_READ))
        owners |= EV_READ;
    if (revents & (channel->write_wants_read ? EV_READ : EV_WRITE))
        owners |= EV_WRITE;
    call_owner(conn, owners & channel->wanted);
}

static void on_again(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)revents;
    struct conn *conn = timer->data;
    ev_timer_stop(loop, timer);
    call_owner(conn, EV_READ & channel_of(conn)->wanted);
}

static void tls_watch(struct conn *conn, int events)
{
    channel_of(conn)->wanted = (uint8_t)events;
    adjust(conn);
}

/* ---- ends and failures */

static enum reason reason_of(const struct channel *channel, unsigned long code)
{
    if (SSL_get_verify_result(channel->ssl) != X509_V_OK ||
        ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return SSL_is_server(channel->ssl) ? REASON_TLS_CERTIFICATE : REASON_CERTIFICATE_REFUSED;
    return SSL_is_server(channel->ssl) ? REASON_TLS_FAILED : REASON_HANDSHAKE_FAILED;
}

static int end_handshake_failed(struct conn *conn, int error, unsigned long code)
{
    struct channel *channel = channel_of(conn);
    channel->progress =
        channel->wire.has_heard || !SSL_is_server(channel->ssl) ? TLS_FAILED : TLS_UNHEARD;
    channel->failure = reason_of(channel, code);
    channel->failure_code = code;
    channel->error = EPROTO;
    if (ERR_GET_REASON(code) == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL)
        channel->error = EPROTONOSUPPORT;
    if (error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH)
        channel->error = error; /* there never was a connection */
    else if (channel->failure == REASON_CERTIFICATE_REFUSED)
        channel->error = EKEYREJECTED;
    conn->error = channel->error;
    return channel->error;
}

/* errno for an operation that ended with result (not a success). */
static int error_of(struct conn *conn, int result, bool *ret_crossed, int crossing)
{
    struct channel *channel = channel_of(conn);
    int system = errno;
    int error = SSL_get_error(channel->ssl, result);
    *ret_crossed = error == crossing;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return EAGAIN;
    if (error == SSL_ERROR_ZERO_RETURN && SSL_is_init_finished(channel->ssl)) {
        channel->has_ended = true;
        return 0;
    }
    unsigned long code = ERR_peek_error();
    ERR_clear_error();
    if (channel->progress == TLS_HANDSHAKES)
        return end_handshake_failed(conn, error == SSL_ERROR_SYSCALL ? system : 0, code);
    channel->error =
        error == SSL_ERROR_SYSCALL && system != 0 && system != EAGAIN ? system : ECONNRESET;
    return channel->error;
}

/* ---- the handshake */

static void note_peer(struct channel *channel)
{
    X509 *peer = SSL_get0_peer_certificate(channel->ssl);
    if (peer == NULL || !SSL_is_server(channel->ssl))
        return;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_n = 0;
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || X509_digest(peer, EVP_sha256(), digest, &digest_n) != 1 ||
        X509_NAME_print_ex(bio, X509_get_subject_name(peer), 0, XN_FLAG_RFC2253) < 0)
        abort(); /* memory is out */
    long n = BIO_get_mem_data(bio, &text);
    n = n < MAX_SUBJECT ? n : MAX_SUBJECT;
    channel->peer = malloc(sizeof *channel->peer + (size_t)n + 1);
    if (channel->peer == NULL)
        abort();
    memcpy(channel->peer->subject, text, (size_t)n);
    channel->peer->subject[n] = '\0';
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        channel->peer->fingerprint[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        channel->peer->fingerprint[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    channel->peer->fingerprint[sizeof channel->peer->fingerprint - 1] = '\0';
    BIO_free(bio);
}

static uint16_t record_bytes_of(const SSL *ssl)
{
    const SSL_SESSION *session = SSL_get0_session(ssl);
    uint8_t mode = session != NULL ? SSL_SESSION_get_max_fragment_length(session) : 0;
    return (uint16_t)(mode >= 1 && mode <= 4 ? 256u << mode : RECORD_BYTES);
}

/* Whether the handshake is done; else errno is set. */
static bool handshake(struct conn *conn)
{
    struct channel *channel = channel_of(conn);
    if (channel->progress == TLS_READY)
        return true;
    if (channel->error != 0) {
        errno = channel->error;
        return false;
    }
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(channel->ssl);
    if (result == 1) {
        channel->progress = TLS_READY;
        channel->wire.is_ready = true;
        channel->read_wants_write = channel->write_wants_read = false;
        channel->record_bytes = record_bytes_of(channel->ssl);
        note_peer(channel);
        return true;
    }
    bool wants_write;
    int error = error_of(conn, result, &wants_write, SSL_ERROR_WANT_WRITE);
    channel->read_wants_write = wants_write;
    channel->write_wants_read = !wants_write;
    adjust(conn);
    errno = error;
    return false;
}

/* ---- bytes */

/* As recv(2), of what is behind the bytes that were read already. */
static ssize_t read_more(struct conn *conn, uint8_t *bytes, size_t n)
{
    struct channel *channel = channel_of(conn);
    size_t got = 0;
    ERR_clear_error();
    errno = 0;
    int result = SSL_read_ex(channel->ssl, bytes, n, &got);
    channel->has_more = result == 1 && SSL_has_pending(channel->ssl);
    if (result == 1) {
        channel->read_wants_write = false;
        return (ssize_t)got;
    }
    bool wants_write;
    errno = error_of(conn, result, &wants_write, SSL_ERROR_WANT_WRITE);
    channel->read_wants_write = wants_write;
    return errno == 0 ? 0 : -1;
}

static ssize_t tls_read(struct conn *conn, void *bytes, size_t n)
{
    struct channel *channel = channel_of(conn);
    channel->has_more = false;
    if (!handshake(conn))
        return -1;
    if (channel->has_ended)
        return 0;
    size_t got = 0;
    ssize_t more;
    /* Without a system call that might be in vain. */
    do {
        more = channel->error != 0 ? -1 : read_more(conn, (uint8_t *)bytes + got, n - got);
        got += more > 0 ? (size_t)more : 0;
    } while (more > 0 && got < n && channel->has_more);
    if (got > 0 && (channel->has_ended || channel->error != 0))
        channel->has_more = true; /* the end, or the failure, is to be told of next */
    int error = errno;
    adjust(conn);
    errno = channel->error != 0 ? channel->error : error;
    return got > 0 ? (ssize_t)got : more;
}

/* Seals one record. */
static bool write_record(struct channel *channel, struct conn *conn, struct span bytes)
{
    size_t went;
    ERR_clear_error();
    errno = 0;
    int result = SSL_write_ex(channel->ssl, bytes.p, bytes.n, &went);
    if (result == 1) {
        channel->write_wants_read = false;
        assert(went == bytes.n);
        return true;
    }
    bool wants_read;
    int error = error_of(conn, result, &wants_read, SSL_ERROR_WANT_READ);
    channel->write_wants_read = wants_read;
    channel->write_error = channel->error;
    channel->error = 0;
    errno = error == 0 ? EPIPE : error;
    return false;
}

/* The bytes of iov from `at` on that make the next record: where they are, or gathered in room, so
 * that a head and the body behind it share one. */
static const uint8_t *gather(const struct iovec *iov, int n_iov, size_t at, size_t most,
                             uint8_t *room, size_t *ret_n)
{
    int i = 0;
    while (i < n_iov - 1 && at >= iov[i].iov_len)
        at -= iov[i++].iov_len;
    const uint8_t *first = (const uint8_t *)iov[i].iov_base + at;
    size_t n = iov[i].iov_len - at;
    if (n >= most || i == n_iov - 1) {
        *ret_n = n < most ? n : most;
        return first;
    }
    memcpy(room, first, n);
    for (i++; i < n_iov && n < most; i++) {
        size_t more = iov[i].iov_len < most - n ? iov[i].iov_len : most - n;
        memcpy(room + n, iov[i].iov_base, more);
        n += more;
    }
    *ret_n = n;
    return room;
}

/* Seals as many records as may leave together. False: one could not be sealed. */
static bool seal_batch(struct conn *conn, const struct iovec *iov, int n_iov, size_t at,
                       size_t total)
{
    struct channel *channel = channel_of(conn);
    struct tls_batch *batch = channel->wire.batch;
    const size_t most = channel->record_bytes;
    uint8_t room[RECORD_BYTES];
    while (at < total && sizeof batch->bytes - batch->n >= most + TLS_RECORD_OVERHEAD) {
        size_t n;
        const uint8_t *bytes = gather(iov, n_iov, at, most, room, &n);
        batch->is_last = at + n == total;
        if (!write_record(channel, conn, (struct span){bytes, n}))
            return false;
        channel->sealed += (uint32_t)n;
        at += n;
    }
    return true;
}

/* The bytes that were sealed, once their records have left, are to be told of. */
static void count_sealed(struct channel *channel)
{
    channel->credit += channel->sealed;
    channel->sealed = 0;
}

/* False: no more can be written now, and errno says why. */
static bool write_batch(struct conn *conn, const struct iovec *iov, int n_iov, size_t at,
                        size_t total)
{
    struct channel *channel = channel_of(conn);
    struct tls_batch batch;
    tls_wire_begin(&channel->wire, &batch);
    bool is_sealed = seal_batch(conn, iov, n_iov, at, total);
    int error = errno;
    bool has_left = tls_wire_end(&channel->wire);
    if (has_left)
        count_sealed(channel);
    if (!is_sealed)
        errno = error;
    return is_sealed && has_left;
}

static ssize_t write_all(struct conn *conn, const struct iovec *iov, int n_iov, size_t total)
{
    struct channel *channel = channel_of(conn);
    size_t went = 0;
    bool is_going = tls_wire_flush(&channel->wire);
    if (is_going)
        count_sealed(channel);
    for (;;) {
        size_t known = channel->credit < total - went ? channel->credit : total - went;
        channel->credit -= (uint32_t)known;
        went += known;
        if (!is_going || went == total)
            break;
        is_going = write_batch(conn, iov, n_iov, went, total);
    }
    channel->write_error = channel->wire.error != 0 ? channel->wire.error : channel->write_error;
    return went > 0 ? (ssize_t)went : -1;
}

static ssize_t tls_write(struct conn *conn, const struct iovec *iov, int n_iov)
{
    struct channel *channel = channel_of(conn);
    if (!handshake(conn))
        return -1;
    if (channel->error != 0 || channel->write_error != 0) {
        errno = channel->error != 0 ? channel->error : channel->write_error;
        return -1;
    }
    size_t total = 0;
    for (int i = 0; i < n_iov; i++)
        total += iov[i].iov_len;
    ssize_t went = write_all(conn, iov, n_iov, total);
    int error = errno;
    adjust(conn);
    errno = error;
    return went;
}

/* ---- the end */

static void end_stream(struct conn *conn)
{
    struct channel *channel = channel_of(conn);
    bool wants_read;
    channel->is_ending = false;
    if (channel->progress == TLS_READY && channel->error == 0 && channel->write_error == 0) {
        ERR_clear_error();
        int result = SSL_shutdown(channel->ssl);
        if (result < 0 && error_of(conn, result, &wants_read, SSL_ERROR_WANT_READ) == EAGAIN &&
            !wants_read) {
            channel->is_ending = true;
            return;
        }
    }
    (void)shutdown(conn->fd, SHUT_WR);
}

static void tls_end_write(struct conn *conn)
{
    end_stream(conn);
    adjust(conn);
}

static bool tls_is_quiet(struct conn *conn)
{
    struct channel *channel = channel_of(conn);
    uint8_t byte;
    size_t n;
    bool crossed;
    if (channel->progress != TLS_READY || channel->error != 0 || channel->has_ended)
        return false;
    ERR_clear_error();
    errno = 0;
    int result = SSL_peek_ex(channel->ssl, &byte, 1, &n);
    return result != 1 && error_of(conn, result, &crossed, SSL_ERROR_WANT_WRITE) == EAGAIN;
}

static void tls_spoil(struct conn *conn)
{
    channel_of(conn)->is_spoiled = true;
    transport_socket.spoil(conn);
}

static void tls_close(struct conn *conn)
{
    struct channel *channel = channel_of(conn);
    bool is_polite = channel->progress == TLS_READY && channel->error == 0 &&
                     channel->write_error == 0 && !channel->is_spoiled &&
                     channel->wire.unsent.n == 0;
    ev_timer_stop(conn->worker->loop, &channel->again);
    if (is_polite)
        (void)SSL_shutdown(channel->ssl);
    /* The session outlives a connection that ended without a farewell. */
    if (channel->progress == TLS_READY)
        SSL_set_shutdown(channel->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    ERR_clear_error();
    SSL_free(channel->ssl);
    inbound_set_unref(channel->set);
    tls_wire_fini(&channel->wire);
    free(channel->peer);
    free(channel);
    conn->channel = NULL;
    transport_socket.close(conn);
}

static uint64_t tls_count_queued(const struct conn *conn)
{
    /* What has left of records that are not told of yet was not written, for the caller; the
     * difference may be below zero, and whoever adds it up does so modulo 2^64. */
    return transport_socket.count_queued(conn) - channel_of(conn)->wire.n_left;
}

const struct transport transport_tls = {
    .read = tls_read,
    .write = tls_write,
    .end_write = tls_end_write,
    .watch = tls_watch,
    .count_queued = tls_count_queued,
    .is_quiet = tls_is_quiet,
    .spoil = tls_spoil,
    .close = tls_close,
    .can_splice = false,
};

/* ---- the beginning */

void transport_start_tls(struct conn *conn, SSL *session, struct inbound_set *set)
{
    assert(conn->transport == &transport_socket && !conn_has_output(conn));
    struct channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL)
        abort();
    channel->ssl = session;
    channel->set = set;
    channel->wanted = channel->watched = conn->watched;
    channel->record_bytes = RECORD_BYTES;
    ev_timer_init(&channel->again, on_again, 0, 0);
    channel->again.data = conn;
    channel->wire.conn = conn;
    tls_wire_take_early(&channel->wire);
    BIO *bio = tls_wire_bio(&channel->wire);
    SSL_set_bio(session, bio, bio);
    ev_set_cb(&conn->io, on_io);
    conn->channel = channel;
    conn->transport = &transport_tls;
}

void transport_hand_over(struct conn *from, struct conn *to)
{
    struct channel *channel = channel_of(from);
    struct ev_loop *loop = from->worker->loop;
    assert(from->transport == &transport_tls && !conn_has_output(from));
    ev_io_stop(loop, &from->io);
    ev_timer_stop(loop, &channel->again);
    ev_io_init(&to->io, on_io, from->fd, channel->watched);
    to->io.data = to;
    to->fd = from->fd;
    to->transport = from->transport;
    to->channel = channel;
    channel->again.data = to;
    channel->wanted = to->watched;
    channel->wire.conn = to;
    conn_leave(from);
    if (channel->watched != 0)
        ev_io_start(loop, &to->io);
    adjust(to);
}

enum tls_progress tls_progress(const struct conn *conn)
{
    return channel_of(conn)->progress;
}

enum reason tls_failure(const struct conn *conn, const char **ret_text)
{
    const struct channel *channel = channel_of(conn);
    const char *text = ERR_reason_error_string(channel->failure_code);
    *ret_text = text != NULL ? text : "connection closed";
    return channel->failure;
}

bool tls_heard_http(const struct conn *conn)
{
    int reason = ERR_GET_REASON(channel_of(conn)->failure_code);
    return reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST;
}

void tls_answer_plainly(const struct conn *conn, struct span bytes)
{
    assert(tls_progress(conn) == TLS_FAILED);
    (void)send(conn->fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void tls_facts(const struct conn *conn, struct tls_facts *ret_facts)
{
    *ret_facts = (struct tls_facts){0};
    if (conn->transport != &transport_tls)
        return;
    const struct channel *channel = channel_of(conn);
    *ret_facts = (struct tls_facts){
        .is_resumed = SSL_session_reused(channel->ssl),
        .version = SSL_get_version(channel->ssl),
        .cipher = SSL_get_cipher_name(channel->ssl),
        .name = SSL_get_servername(channel->ssl, TLSEXT_NAMETYPE_host_name),
        .subject = channel->peer != NULL ? channel->peer->subject : NULL,
        .fingerprint = channel->peer != NULL ? channel->peer->fingerprint : NULL,
    };
}

struct span tls_alpn(const struct conn *conn)
{
    struct span protocol = {NULL, 0};
    const unsigned char *name;
    unsigned n;
    if (conn->transport != &transport_tls)
        return protocol;
    SSL_get0_alpn_selected(channel_of(conn)->ssl, &name, &n);
    return (struct span){name, n};
}
