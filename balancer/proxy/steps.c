#include "balancer/proxy/steps.h"

#include "balancer/http/path.h"
#include "balancer/http/route.h"
#include "balancer/http/websocket.h"
#include "balancer/proxy/attempt.h"
#include "balancer/proxy/challenge.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/explained.h"
#include "balancer/proxy/forward.h"
#include "balancer/proxy/hedge.h"
#include "balancer/proxy/keying.h"
#include "balancer/proxy/listener.h"
#include "balancer/proxy/session.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"

/* From so many bytes on a second read for a pipe costs less than copying the body. */
#define LONG_BODY_BYTES 32768

/* ---- HEAD ---- */

/* By the path's normal form, so that no spelling of it goes round a route. */
static const struct conf_route *look_up_route(struct worker *worker, struct span authority,
                                              struct span path)
{
    const struct route_table *routes = worker->proxy->routes;
    if (path.n == 0 || path.p[0] != '/' || path_is_plain(path))
        return route_find(routes, authority, path);
    uint8_t *room = buffer_pool_get(&worker->buffers); /* a whole head fits */
    size_t n = path_normalize(path, room);
    const struct conf_route *route = route_find(routes, authority, (struct span){room, n});
    buffer_pool_put(&worker->buffers, room);
    return route;
}

static enum reason find_route(struct request *r)
{
    struct worker *worker = request_worker(r);
    const struct h1_request *h = &r->head;
    struct span authority = {r->message + h->authority.at, h->authority.n};
    struct span path = {r->message + h->path.at, h->path.n};
    const struct conf_route *route = look_up_route(worker, authority, path);
    if (route == NULL)
        return REASON_NO_ROUTE;
    r->route = route;
    r->pool = &worker->proxy->conf->pools[route->pool];
    r->view = worker_pool(worker, route->pool);
    if (r->pool->timeouts.total_ms != 0)
        r->deadline_us = r->begun_us + (uint64_t)r->pool->timeouts.total_ms * 1000;
    grpc_call_join_pool(r);
    uint64_t max = worker->proxy->conf->client.max_body_bytes;
    bool is_too_large =
        max != 0 && h->framing.body == H1_BODY_LENGTH && h->framing.content_length > max;
    return is_too_large ? REASON_BODY_TOO_LARGE : REASON_OK;
}

/* From here on the head's bytes stay where they are until the request cannot be sent again. */
static enum step head_done(struct request *r)
{
    struct conn *conn = &r->client->conn;
    r->message = buffer_bytes(&conn->in);
    buffer_hold(&conn->in);
    buffer_consume(&conn->in, &conn->worker->buffers, r->head.head_n);
    r->replayable = true;
    r->body_at = conn->in.start;
    explained_prepare(r);
    grpc_call_prepare(r);
    enum reason reason = forward_prepare(r);
    if (reason == REASON_OK && challenge_is_known(r))
        reason = REASON_CHALLENGE;
    if (reason == REASON_OK && r->client->listener->redirect_https)
        reason = r->head.authority.n > 0 ? REASON_TO_HTTPS : REASON_BAD_REQUEST;
    if (reason == REASON_OK)
        reason = find_route(r);
    if (reason == REASON_OK && r->wants_upgrade && r->pool->http2 == CONF_HTTP2_ONLY)
        reason = REASON_PROTOCOL_UNKNOWN;
    if (reason != REASON_OK)
        return attempt_failed(r, reason);
    session_prepare(r);
    return keying_begin(r);
}

enum step step_head(struct request *r)
{
    struct conn *conn = &r->client->conn;
    r->begun_us = worker_now_us(conn->worker);
    r->begun_at = ev_now(conn->worker->loop);
    enum h1_status status = h1_request_parse(&r->head, &conn->worker->proxy->h1_limits,
                                             buffer_bytes(&conn->in), buffer_used(&conn->in));
    if (status == H1_MORE && !conn->read_ended)
        return STEP_HEAD;
    r->deadline_us = 0; /* was the head's */
    switch (status) {
    case H1_MORE:
        return attempt_failed(r, REASON_CLIENT_GONE);
    case H1_DONE:
        return head_done(r);
    default:
        return attempt_failed(r, r->head.reason);
    }
}

/* ---- QUEUE ---- */

/* Who has closed its side has most likely left: it makes room for those who have not. */
enum step step_queue(struct request *r)
{
    if (r->client->conn.read_ended)
        return attempt_failed(r, REASON_CLIENT_GONE);
    return r->is_called ? STEP_PICK : STEP_QUEUE;
}

/* ---- CONNECT, SEND ---- */

/* A body that waits for more while the held buffer is full will not fit: let go of it. */
static void make_room(struct request *r)
{
    const struct buffer *in = &r->client->conn.in;
    if (in->held && in->data != NULL && buffer_room(in) == 0)
        attempt_let_go_of_buffer(r);
}

static enum step client_ended_early(struct request *r)
{
    const struct conn *conn = &r->client->conn;
    bool is_gone = conn->read_ended || conn->error != 0;
    return attempt_failed(r, is_gone ? REASON_CLIENT_GONE : REASON_BAD_REQUEST);
}

/* Moves the request upstream; stays in its step unless the client's side failed. */
static enum step run_up(struct request *r)
{
    if (r->send_failed || r->sent_all)
        return r->step;
    switch (relay_run(&r->up)) {
    case RELAY_ENDED:
        r->sent_all = true;
        r->sent_us = worker_now_us(request_worker(r));
        break;
    case RELAY_WAITS_FOR_INPUT:
        make_room(r);
        break;
    case RELAY_INPUT_BAD:
        return client_ended_early(r);
    case RELAY_INPUT_TOO_BIG:
        return attempt_failed(r, REASON_BODY_TOO_LARGE);
    case RELAY_OUTPUT_FAILED:
        r->send_failed = true; /* the endpoint may have answered before it closed */
        r->sent_us = worker_now_us(request_worker(r));
        break;
    case RELAY_WAITS_FOR_ROOM:
        break;
    }
    return r->step;
}

/* Interim responses that the client did not take at once go on while the final one is awaited.
 * False when the client is gone. */
static bool flush_interim(struct request *r)
{
    struct conn *client = &r->client->conn;
    return !conn_has_output(client) || conn_write(client, NULL, 0) >= 0;
}

static bool upstream_ended(const struct request *r)
{
    return r->upstream->conn.read_ended || r->upstream->conn.error != 0;
}

enum step step_connect(struct request *r)
{
    if (!flush_interim(r))
        return attempt_failed(r, REASON_CLIENT_GONE);
    enum step next = run_up(r);
    if (next != STEP_CONNECT)
        return next;
    if (r->upstream->conn.written > 0) {
        r->connected_us = worker_now_us(request_worker(r));
        return STEP_SEND;
    }
    if (r->send_failed || upstream_ended(r))
        return attempt_failed(r, attempt_connect_reason(r->upstream->conn.error));
    return STEP_CONNECT;
}

static void drop_head(struct request *r)
{
    struct conn *conn = &r->upstream->conn;
    buffer_consume(&conn->in, &conn->worker->buffers, r->response.head_n);
}

static void begin_raw(struct relay *relay, struct conn *from, struct conn *to)
{
    const struct h1_framing raw = {.body = H1_BODY_UNTIL_CLOSE};
    uint64_t bytes = relay->bytes;
    relay_init(relay, from, to, &raw, REASON_UPSTREAM_BAD);
    relay->bytes = bytes;
}

/* Only who made the key of a WebSocket can tell: for a client of HTTP/2 we did. */
static bool is_accepted(const struct request *r)
{
    return r->client->carrier == NULL ||
           websocket_is_accepted(&r->head.lines, r->message, &r->response.lines,
                                 buffer_bytes(&r->upstream->conn.in));
}

static enum step switch_protocols(struct request *r)
{
    if (!r->wants_upgrade || !r->response.framing.has_upgrade || !is_accepted(r))
        return attempt_failed(r, REASON_UPSTREAM_BAD);
    if (!forward_interim(r))
        return attempt_failed(r, REASON_INTERNAL);
    r->status = 101;
    r->deadline_us = 0; /* a tunnel ends when it is idle, not when it is old */
    r->reason = REASON_OK;
    r->ending = ENDING_CLOSE;
    drop_head(r);
    attempt_let_go_of_buffer(r);
    request_forget_fields(r);
    listener_limit_sending(r->client->conn.fd, 0); /* tunnels may stand still */
    begin_raw(&r->up, &r->client->conn, &r->upstream->conn);
    begin_raw(&r->down, &r->upstream->conn, &r->client->conn);
    return STEP_TUNNEL;
}

/* 1xx go to clients that know them (RFC 9110 section 15.2), at once. */
static enum step pass_interim(struct request *r)
{
    if (r->head.minor == 1 && !forward_interim(r))
        return attempt_failed(r, REASON_UPSTREAM_BAD);
    drop_head(r);
    h1_response_init(&r->response, r->fields->response);
    return flush_interim(r) ? STEP_SEND : attempt_failed(r, REASON_CLIENT_GONE);
}

/* What this response's body is like the endpoint's next one may be. */
static void expect_alike(struct upstream *upstream, const struct h1_framing *framing)
{
    struct conn *conn = &upstream->conn;
    conn->read_most = 0;
    upstream->endpoint->locals[conn->worker->index].has_long_bodies =
        framing->body == H1_BODY_LENGTH && framing->content_length >= LONG_BODY_BYTES;
}

static enum step begin_response(struct request *r)
{
    bool is_refusal = r->response.status >= 502 && r->response.status <= 504;
    if (is_refusal && attempt_may_move(r, REASON_UPSTREAM_STATUS))
        return attempt_failed(r, REASON_UPSTREAM_STATUS);
    hedge_settle(r);
    r->answered_us = worker_now_us(request_worker(r));
    expect_alike(r->upstream, &r->response.framing);
    grpc_call_on_answer(r);
    if (!forward_response(r))
        return attempt_failed(r, REASON_UPSTREAM_BAD);
    r->status = r->response.status;
    r->reason = REASON_OK;
    r->down.limits = &request_worker(r)->proxy->h1_limits;
    r->down.call = r->call.is_one ? &r->call : NULL;
    drop_head(r);
    return STEP_RELAY;
}

/* To a client of HTTP/2 any 2xx says that its tunnel is open (RFC 8441 section 5, RFC 9110 section
 * 9.3.6), and what comes behind it is taken for WebSocket. */
static bool seems_to_switch(const struct request *r)
{
    return r->client->carrier != NULL && r->wants_upgrade && r->response.status / 100 == 2;
}

static enum step response_done(struct request *r)
{
    if (r->response.status == 101)
        return switch_protocols(r);
    if (seems_to_switch(r))
        return attempt_failed(r, REASON_UPSTREAM_BAD);
    return r->response.status < 200 ? pass_interim(r) : begin_response(r);
}

static enum step response_incomplete(struct request *r)
{
    if (upstream_ended(r))
        return attempt_failed(r, attempt_loss_reason(&r->upstream->conn));
    return buffer_has_room(&r->upstream->conn.in) ? STEP_SEND
                                                  : attempt_failed(r, REASON_UPSTREAM_BAD);
}

enum step step_send(struct request *r)
{
    if (!flush_interim(r))
        return attempt_failed(r, REASON_CLIENT_GONE);
    enum step next = run_up(r);
    while (next == STEP_SEND) {
        const struct buffer *in = &r->upstream->conn.in;
        if (buffer_used(in) == 0)
            return response_incomplete(r);
        if (conn_has_output(&r->client->conn))
            return STEP_SEND; /* the client is to take the last interim response first */
        switch (h1_response_parse(&r->response, &request_worker(r)->proxy->h1_limits,
                                  r->head.method, buffer_bytes(in), buffer_used(in))) {
        case H1_MORE:
            return response_incomplete(r);
        case H1_DONE:
            next = response_done(r);
            break;
        default:
            return attempt_failed(r, REASON_UPSTREAM_BAD);
        }
    }
    return next;
}

/* ---- RELAY ---- */

/* The response is through. The rest of the request still goes to an endpoint that reads it. */
static enum step response_ended(struct request *r)
{
    if (r->sent_all)
        return STEP_DONE;
    if (!r->send_failed && !upstream_ended(r) && r->ending == ENDING_KEEP)
        return STEP_RELAY;
    r->ending = ENDING_CLOSE;
    return STEP_DONE;
}

enum step step_relay(struct request *r)
{
    enum step next = run_up(r);
    if (next != STEP_RELAY)
        return next;
    switch (relay_run(&r->down)) {
    case RELAY_ENDED:
        return response_ended(r);
    case RELAY_INPUT_BAD:
    case RELAY_INPUT_TOO_BIG:
        /* What came before the mistake goes out: the client sees a broken answer, not none. */
        (void)conn_write(&r->client->conn, NULL, 0);
        return attempt_failed(r, upstream_ended(r) ? attempt_loss_reason(&r->upstream->conn)
                                                   : REASON_UPSTREAM_BAD);
    case RELAY_OUTPUT_FAILED:
        return attempt_failed(r, REASON_CLIENT_GONE);
    default:
        return STEP_RELAY;
    }
}

/* ---- TUNNEL ---- */

/* One direction; passes on the end of the stream (half-close). Returns false when it failed. */
static bool run_raw(struct relay *relay)
{
    switch (relay_run(relay)) {
    case RELAY_ENDED:
        conn_end_write(relay->to);
        return true;
    case RELAY_INPUT_BAD:
    case RELAY_INPUT_TOO_BIG:
    case RELAY_OUTPUT_FAILED:
        return false;
    default:
        return true;
    }
}

enum step step_tunnel(struct request *r)
{
    if (!run_raw(&r->up))
        return attempt_failed(r, r->client->conn.error != 0 ? REASON_CLIENT_GONE
                                                            : REASON_UPSTREAM_CLOSED);
    if (!run_raw(&r->down))
        return attempt_failed(r, upstream_ended(r) ? REASON_UPSTREAM_CLOSED : REASON_CLIENT_GONE);
    bool is_over = r->client->conn.write_ended && r->upstream->conn.write_ended;
    return is_over ? STEP_DONE : STEP_TUNNEL;
}

/* ---- REPLY ---- */

enum step step_reply(struct request *r)
{
    struct conn *conn = &r->client->conn;
    if (r->status == 0 && !forward_reply(r)) {
        r->ending = ENDING_ABORT;
        return STEP_DONE;
    }
    if (conn_write(conn, NULL, 0) < 0)
        return attempt_failed(r, REASON_CLIENT_GONE);
    return conn_has_output(conn) ? STEP_REPLY : STEP_DONE;
}
