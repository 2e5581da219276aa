#include "balancer/proxy/client.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "balancer/proxy/client_tls.h"
#include "balancer/proxy/h2_client.h"
#include "balancer/proxy/h2_session.h"
#include "balancer/proxy/listener.h"
#include "balancer/proxy/peer.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"
#include "balancer/tls/challenges.h"

/* How long, and how much, a client may go on sending after the last answer before the connection
 * is closed under it: long enough for it to read that answer first (RFC 9112 section 9.6). */
#define LINGER_MS 2000
#define LINGER_BYTES 1048576

/* What streams read is counted where it comes in. */
static void count_read(struct client *client, ssize_t n)
{
    if (n > 0 && client->carrier == NULL)
        counter_add(&client->conn.worker->stats.client_bytes_in, (uint64_t)n);
}

static void linger_on(struct client *client)
{
    struct conn *conn = &client->conn;
    ssize_t n = conn_read(conn);
    count_read(client, n);
    client->lingered_bytes += buffer_used(&conn->in);
    buffer_consume(&conn->in, &conn->worker->buffers, buffer_used(&conn->in));
    if (n < 0 || client->lingered_bytes > LINGER_BYTES)
        client_close(client, REASON_OK);
}

static void on_io(struct conn *conn, int revents)
{
    struct client *client = (struct client *)conn;
    if (client->lingers) {
        linger_on(client);
        return;
    }
    if (revents & EV_READ)
        count_read(client, conn_read(conn));
    client_run(client);
}

void client_refuse(struct client *client, enum reason reason)
{
    struct ip ip;
    bool is_ip = ip_parse(client_address(client), &ip);
    worker_refuse(client->conn.worker, reason, is_ip ? &ip : NULL);
    client_close(client, reason);
}

/* No request came in time, or none was read. */
static void close_waiting(struct client *client, enum reason reason)
{
    if (reason == REASON_MEMORY_LIMIT && client->conn.waits_for_memory)
        worker_refuse(client->conn.worker, REASON_MEMORY_LIMIT, NULL);
    client_close(client, reason);
}

static void on_deadline(struct conn *conn, enum reason reason)
{
    struct client *client = (struct client *)conn;
    if (client->awaits_proxy) {
        client_refuse(client, REASON_PROXY_BAD);
        return;
    }
    if (reason == REASON_TLS_TIMEOUT) {
        client_refuse(client, reason);
        return;
    }
    if (client->request == NULL) {
        close_waiting(client, reason);
        return;
    }
    request_fail(client->request, reason);
    client_run(client);
}

static const struct conn_ops client_ops = {
    .on_io = on_io, .on_deadline = on_deadline, .use = BUFFER_FOR_REQUEST};

bool client_is_idle(const struct client *client)
{
    if (client->session != NULL)
        return client->session->n_streams == 0;
    return client->request == NULL && !client->lingers;
}

/* So many are looked at: the work is bounded, and under attack most of them are idle. */
#define IDLE_LOOKS 64

void client_make_room(struct worker *worker)
{
    struct client *client = worker->next_idle, *first = NULL;
    for (int i = 0; i < IDLE_LOOKS; i++) {
        client = client != NULL ? client : LIST_FIRST(&worker->clients);
        if (client == NULL)
            return;
        bool is_earlier = first == NULL || client->conn.deadline_us < first->conn.deadline_us;
        /* One with an event pending may just have sent its next request. */
        if (is_earlier && client_is_idle(client) && !ev_is_pending(&client->conn.io))
            first = client;
        client = LIST_NEXT(client, link);
    }
    worker->next_idle = client;
    if (first == NULL)
        return;
    counter_add(&worker->stats.evicted, 1);
    client_close(first, REASON_CLIENT_IDLE);
}

void client_accept(struct worker *worker, const struct listener *listener, int fd,
                   const struct sockaddr_storage *peer)
{
    struct proxy *proxy = worker->proxy;
    struct admission_ticket ticket;
    enum reason reason = admission_enter(&proxy->admission, listener->index, peer, &ticket);
    if (reason == REASON_TOO_MANY_CONNECTIONS) {
        client_make_room(worker);
        reason = admission_enter(&proxy->admission, listener->index, peer, &ticket);
    }
    if (reason != REASON_OK) {
        struct ip ip;
        ip_of_peer(peer, &ip);
        worker_refuse(worker, reason, &ip);
        (void)close(fd);
        return;
    }
    struct client *client = slab_get(&worker->client_slab);
    memset(client, 0, sizeof *client);
    client->ticket = ticket;
    conn_init(&client->conn, worker, fd, &client_ops);
    peer_init(client, listener, peer);
    client->may_speak_h2 = listener->speaks_h2;
    client->may_speak_h1 = listener->speaks_h1;
    LIST_INSERT_HEAD(&worker->clients, client, link);
    counter_add(&worker->stats.accepted, 1);
    if (client->awaits_proxy && !client->is_trusted) {
        client_refuse(client, REASON_PROXY_REFUSED);
        return;
    }
    if (client->awaits_proxy || !client->awaits_tls)
        conn_set_deadline(&client->conn, proxy->conf->client.header_timeout_ms, REASON_CLIENT_IDLE);
    else if (!client_tls_begin(client))
        return;
    /* The first bytes of a request often are there already. */
    on_io(&client->conn, EV_READ);
}

struct client *client_open_stream(struct client *carrier, const struct transport *transport,
                                  void *channel)
{
    struct worker *worker = carrier->conn.worker;
    struct client *client = slab_get(&worker->client_slab);
    *client = *carrier; /* where it comes from and goes to is the same */
    client->session = NULL;
    client->may_speak_h2 = false;
    client->carrier = carrier;
    client->n_requests = 0;
    conn_init_over(&client->conn, worker, carrier->conn.fd, &client_ops, transport, channel);
    return client;
}

/* What a connection has and a stream has not. */
static void leave(struct client *client)
{
    struct conn *conn = &client->conn;
    struct worker *worker = conn->worker;
    if (worker->next_idle == client)
        worker->next_idle = LIST_NEXT(client, link);
    LIST_REMOVE(client, link);
    counter_add(&worker->stats.client_bytes_out, conn->written);
    counter_add(&worker->stats.closed, 1);
    admission_leave(&worker->proxy->admission, &client->ticket);
}

static void end_session(struct client *client, enum reason reason)
{
    if (client->session != NULL)
        h2_client_free(client->session, reason);
    client->session = NULL;
}

/* A response cut short must not look like one that ended: the client sees a reset. */
static void cut_request(struct client *client, enum reason reason)
{
    struct request *request = client->request;
    if (request->status != 0)
        conn_spoil(&client->conn);
    request_abort(request, reason);
    (void)request_run(request);
    request_free(request);
    client->request = NULL;
}

void client_close(struct client *client, enum reason reason)
{
    struct conn *conn = &client->conn;
    struct worker *worker = conn->worker;
    if (!conn_is_open(conn))
        return;
    end_session(client, reason);
    if (client->request != NULL)
        cut_request(client, reason);
    if (client->carrier == NULL)
        leave(client);
    conn_close(conn);
    worker_bury(worker, &worker->client_slab, client);
}

/* As cut_request() does, of a request that has let go of the client. */
static void close_abruptly(struct client *client, bool has_response)
{
    if (has_response)
        conn_spoil(&client->conn);
    client_close(client, REASON_OK);
}

/* Closes after the last answer. Closing at once would reset the connection if the client still
 * sends, and the reset may overtake the answer. */
static void close_politely(struct client *client)
{
    struct conn *conn = &client->conn;
    if (conn->read_ended) {
        client_close(client, REASON_OK);
        return;
    }
    conn_end_write(conn);
    client->lingers = true;
    buffer_consume(&conn->in, &conn->worker->buffers, buffer_used(&conn->in));
    conn_set_deadline(conn, LINGER_MS, REASON_OK);
}

void client_part(struct client *client)
{
    end_session(client, client->session->reason);
    client->conn.ops = &client_ops;
    close_politely(client);
    conn_update(&client->conn);
}

/* Returns whether there may be another request to begin with now. */
static bool end_request(struct client *client)
{
    struct request *request = client->request;
    struct conn *conn = &client->conn;
    enum ending ending = request->ending;
    bool has_read_all = request->sent_all && !request->head.framing.keep_alive;
    bool has_response = request->status != 0;
    client->request = NULL;
    request_free(request);
    if (client->carrier != NULL && ending != ENDING_ABORT) {
        client_close(client, REASON_OK); /* a stream's only one */
        return false;
    }
    switch (ending) {
    case ENDING_KEEP:
        counter_add(&conn->worker->stats.client_bytes_out, conn->written);
        conn->written = 0;
        return true;
    case ENDING_ABORT:
        close_abruptly(client, has_response);
        return false;
    case ENDING_CLOSE:
        break;
    }
    if (has_read_all && buffer_used(&conn->in) == 0)
        client_close(client, REASON_OK); /* the client asked for it, and has nothing more to say */
    else
        close_politely(client);
    return false;
}

static void wait_for_request(struct client *client)
{
    struct conn *conn = &client->conn;
    const struct worker *worker = conn->worker;
    uint32_t idle_ms = worker->proxy->conf->client.keepalive_timeout_ms;
    if (conn->read_ended || conn->error != 0)
        client_close(client, REASON_CLIENT_GONE);
    else if (conn->waits_for_memory)
        conn_set_deadline(conn, worker->proxy->conf->client.header_timeout_ms, REASON_MEMORY_LIMIT);
    else if (worker->draining)
        conn_set_deadline(conn, idle_ms < DRAIN_IDLE_MS ? idle_ms : DRAIN_IDLE_MS, REASON_DRAINED);
    else if (client->n_requests > 0)
        conn_set_deadline(conn, idle_ms, REASON_CLIENT_IDLE);
}

bool client_may_ask_again(const struct client *client)
{
    uint32_t max = client->conn.worker->proxy->conf->client.max_requests;
    return max == 0 || client->n_requests < max;
}

/* Nothing but empty lines, the last of them perhaps cut in half. */
static bool has_no_request(const struct conn *conn)
{
    uint32_t n = buffer_used(&conn->in);
    return n == 0 || (n == 1 && buffer_bytes(&conn->in)[0] == '\r');
}

/* Returns whether this is HTTP/2, or may be. What is neither is told so by a session. */
static bool begin_h2(struct client *client)
{
    const struct conn *conn = &client->conn;
    enum h2_preface preface =
        h2_preface_find((struct span){buffer_bytes(&conn->in), buffer_used(&conn->in)});
    if (preface == H2_PREFACE_PART) {
        wait_for_request(client);
        return true;
    }
    client->may_speak_h2 = false;
    if (preface == H2_PREFACE_NO && client->may_speak_h1)
        return false;
    h2_client_begin(client);
    return true;
}

void client_refuse_request(struct client *client, enum reason reason)
{
    client->n_requests++;
    client->request = request_new(client);
    request_refuse(client->request, reason);
    client_run(client);
}

void client_drain(struct client *client)
{
    if (client->session != NULL)
        h2_client_drain(client->session);
}

void client_drain_last(struct client *client)
{
    if (client->session != NULL)
        h2_client_drain_last(client->session);
    else if (client_is_idle(client))
        client_close(client, REASON_DRAINED);
}

static bool begin_request(struct client *client)
{
    struct conn *conn = &client->conn;
    struct buffer_pool *buffers = &conn->worker->buffers;
    if (client->may_speak_h2 && begin_h2(client))
        return false;
    if (buffer_used(&conn->in) > 0)
        buffer_consume(
            &conn->in, buffers,
            (uint32_t)h1_skip_empty_lines(buffer_bytes(&conn->in), buffer_used(&conn->in)));
    if (has_no_request(conn)) {
        wait_for_request(client);
        return false;
    }
    client->n_requests++;
    client->request = request_new(client);
    return true;
}

/* The proxy came in as itself; now the client is known. */
static bool enter_proxied(struct client *client)
{
    struct ip ip;
    if (!client->is_proxied || !ip_parse(client_address(client), &ip))
        return true;
    enum reason reason =
        admission_rename(&client->conn.worker->proxy->admission, &ip, &client->ticket);
    if (reason != REASON_OK)
        client_refuse(client, reason);
    return reason == REASON_OK;
}

/* What has come behind the header is the handshake's already. */
static bool begin_tls(struct client *client)
{
    if (!client_tls_begin(client))
        return false;
    count_read(client, conn_read(&client->conn));
    return true;
}

/* Returns whether the PROXY protocol's header is through. */
static bool read_header(struct client *client)
{
    const struct conn *conn = &client->conn;
    enum proxy_status status = peer_read_header(client);
    if (status == PROXY_DONE)
        return enter_proxied(client) && (!client->awaits_tls || begin_tls(client));
    if (status == PROXY_MORE && !conn->read_ended && conn->error == 0)
        return false;
    /* One that closes without a word looks whether we are alive, as load balancers do. */
    if (buffer_used(&conn->in) > 0)
        client_refuse(client, REASON_PROXY_BAD);
    else
        client_close(client, REASON_CLIENT_GONE);
    return false;
}

/* Returns whether TLS is there, and requests may come over the connection itself. */
static bool shake_hands(struct client *client)
{
    if (!client_tls_go_on(client))
        return false;
    struct span protocol = tls_alpn(&client->conn);
    if (span_equal(protocol, SPAN(CHALLENGES_PROTOCOL))) {
        client_close(client, REASON_OK); /* the certificate was all it came for */
        return false;
    }
    if (!span_equal(protocol, SPAN("h2")))
        return true;
    h2_client_begin(client);
    return false;
}

/* Does one thing; returns whether there may be more to do at once. */
static bool advance(struct client *client)
{
    struct request *request = client->request;
    if (request == NULL && client->awaits_proxy)
        return read_header(client);
    if (request == NULL)
        return client->awaits_tls ? shake_hands(client) : begin_request(client);
    if (client->conn.error != 0)
        request_abort(request, REASON_CLIENT_GONE);
    return !request_run(request) && end_request(client);
}

void client_run(struct client *client)
{
    while (conn_is_open(&client->conn) && !client->lingers && advance(client))
        ;
    if (client->session != NULL)
        return; /* has begun, and looks after the connection itself */
    conn_update(&client->conn);
    if (client->request != NULL && client->request->upstream != NULL)
        conn_update(&client->request->upstream->conn);
}
