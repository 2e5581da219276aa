#include "balancer/proxy/tls_wire.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "balancer/proxy/conn.h"
#include "balancer/proxy/worker.h"

static struct buffer_pool *pool_of(const struct tls_wire *wire)
{
    return &wire->conn->worker->buffers;
}

static bool is_passing(int error)
{
    return error == EAGAIN || error == EINTR;
}

/* ---- out */

/* Returns how much has gone; where not all has, errno says why. */
static size_t send_some(struct tls_wire *wire, struct span bytes)
{
    ssize_t sent = send(wire->conn->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
    if (sent < 0) {
        wire->error = is_passing(errno) ? wire->error : errno;
        return 0;
    }
    wire->n_left += (uint32_t)sent;
    errno = EAGAIN;
    return (size_t)sent;
}

bool tls_wire_flush(struct tls_wire *wire)
{
    while (wire->unsent.n > 0) {
        struct span front = chain_front(&wire->unsent);
        size_t sent = send_some(wire, front);
        chain_drop(&wire->unsent, pool_of(wire), sent);
        if (sent < front.n)
            return false;
    }
    wire->n_left = 0;
    return true;
}

/* Nothing passes what waits already. */
static void send_or_keep(struct tls_wire *wire, struct span bytes)
{
    size_t sent = wire->unsent.n == 0 ? send_some(wire, bytes) : 0;
    if (sent < bytes.n && wire->error == 0)
        chain_add(&wire->unsent, pool_of(wire), (struct span){bytes.p + sent, bytes.n - sent});
}

static void send_batch(struct tls_wire *wire, const struct tls_batch *batch)
{
    if (batch->n > 0)
        send_or_keep(wire, (struct span){batch->bytes, batch->n});
}

static void add_to_batch(struct tls_wire *wire, struct span bytes)
{
    struct tls_batch *batch = wire->batch;
    bool is_alone = batch->n == 0 && batch->is_last;
    if (!is_alone && bytes.n <= sizeof batch->bytes - batch->n) {
        memcpy(batch->bytes + batch->n, bytes.p, bytes.n);
        batch->n += bytes.n;
        return;
    }
    send_batch(wire, batch);
    batch->n = 0;
    send_or_keep(wire, bytes);
}

void tls_wire_begin(struct tls_wire *wire, struct tls_batch *batch)
{
    assert(wire->unsent.n == 0);
    batch->n = 0;
    wire->batch = batch;
}

bool tls_wire_end(struct tls_wire *wire)
{
    send_batch(wire, wire->batch);
    wire->batch = NULL;
    if (wire->error == 0 && wire->unsent.n == 0) {
        wire->n_left = 0;
        return true;
    }
    errno = wire->error != 0 ? wire->error : EAGAIN;
    return false;
}

static int bio_write(BIO *bio, const char *bytes, size_t n, size_t *ret_n)
{
    struct tls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (wire->batch != NULL) {
        add_to_batch(wire, (struct span){(const uint8_t *)bytes, n});
        *ret_n = n;
        return 1;
    }
    ssize_t sent = tls_wire_flush(wire) ? send(wire->conn->fd, bytes, n, MSG_NOSIGNAL) : -1;
    *ret_n = sent > 0 ? (size_t)sent : 0;
    if (sent < 0 && is_passing(errno))
        BIO_set_retry_write(bio);
    return sent > 0;
}

/* ---- in */

void tls_wire_take_early(struct tls_wire *wire)
{
    struct conn *conn = wire->conn;
    uint32_t n = buffer_used(&conn->in);
    if (n == 0)
        return;
    wire->early = malloc(n);
    if (wire->early == NULL)
        abort();
    memcpy(wire->early, buffer_bytes(&conn->in), n);
    wire->early_n = n;
    wire->has_heard = true;
    buffer_consume(&conn->in, pool_of(wire), n);
}

static size_t read_early(struct tls_wire *wire, char *bytes, size_t n)
{
    size_t left = wire->early_n - wire->early_at;
    size_t taken = left < n ? left : n;
    memcpy(bytes, wire->early + wire->early_at, taken);
    wire->early_at += (uint32_t)taken;
    if (wire->early_at == wire->early_n) {
        free(wire->early);
        wire->early = NULL;
    }
    return taken;
}

static int bio_read(BIO *bio, char *bytes, size_t n, size_t *ret_n)
{
    struct tls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (wire->early != NULL) {
        *ret_n = read_early(wire, bytes, n);
        return 1;
    }
    ssize_t got = recv(wire->conn->fd, bytes, n, 0);
    if (got <= 0) {
        *ret_n = 0;
        if (got < 0 && is_passing(errno))
            BIO_set_retry_read(bio);
        if (got == 0) {
            BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
            errno = 0;
        }
        return 0;
    }
    wire->has_heard = true;
    *ret_n = (size_t)got;
    return 1;
}

/* ---- the object */

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    const struct tls_wire *wire = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        /* Told of an end without a farewell OpenSSL would forget the session, with which a client
         * that left so may come back (RFC 5246 section 7.2.1). It fails all the same. */
        return !wire->is_ready && BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "quoit connection");
    if (bio_method == NULL || BIO_meth_set_read_ex(bio_method, bio_read) != 1 ||
        BIO_meth_set_write_ex(bio_method, bio_write) != 1 ||
        BIO_meth_set_ctrl(bio_method, bio_control) != 1)
        abort();
}

BIO *tls_wire_bio(struct tls_wire *wire)
{
    (void)pthread_once(&once, make_bio_method);
    BIO *bio = BIO_new(bio_method);
    if (bio == NULL)
        abort();
    BIO_set_data(bio, wire);
    BIO_set_init(bio, 1);
    return bio;
}

void tls_wire_fini(struct tls_wire *wire)
{
    chain_clear(&wire->unsent, pool_of(wire));
    free(wire->early);
    wire->early = NULL;
}
