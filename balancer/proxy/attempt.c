#include "balancer/proxy/attempt.h"

#include <assert.h>
#include <errno.h>

#include "balancer/proxy/choice.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/forward.h"
#include "balancer/proxy/h2_link.h"
#include "balancer/proxy/hedge.h"
#include "balancer/proxy/retry.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"

/* Where long bodies are usual the first read takes little more than a head, so that nearly all of
 * the body goes through a pipe. */
#define HEAD_READ_BYTES 4096

/* So many connections may say farewell to a request that they were just given. */
#define MOST_FAREWELLS 4

static struct pool_local *pool_local_of(const struct request *r)
{
    return &r->view->pool->locals[request_worker(r)->index];
}

static struct endpoint_stats *stats_of(const struct request *r, struct endpoint *endpoint)
{
    return &endpoint->locals[request_worker(r)->index].stats;
}

void attempt_let_go_of_buffer(struct request *r)
{
    struct worker *worker = request_worker(r);
    if (r->head_copy == NULL) {
        r->head_copy = buffer_pool_get(&worker->buffers);
        memcpy(r->head_copy, r->message, r->head.head_n);
        r->message = r->head_copy;
    }
    r->replayable = false;
    buffer_unhold(&r->client->conn.in, &worker->buffers);
}

static void rewind_body(struct request *r)
{
    assert(r->replayable);
    r->client->conn.in.start = r->body_at;
}

static void count_in_flight(struct request *r, struct endpoint *endpoint, int32_t n)
{
    uint32_t worker = request_worker(r)->index;
    endpoint_add_in_flight(endpoint, worker, n);
    pool_add_in_flight(r->view->pool, worker, n);
}

void attempt_let_go(struct request *r, struct upstream *upstream)
{
    struct endpoint *endpoint = upstream->endpoint;
    count_in_flight(r, endpoint, -1);
    queue_give_room(r, endpoint);
    upstream_count_written(upstream);
}

static void let_go_of_upstream(struct request *r)
{
    attempt_let_go(r, r->upstream);
    r->upstream = NULL;
}

void attempt_count_failed(struct request *r, struct endpoint *endpoint, enum reason reason)
{
    struct endpoint_stats *stats = stats_of(r, endpoint);
    if (reason == REASON_UPSTREAM_STATUS)
        counter_add(&stats->statuses[r->response.status / 100u], 1);
    else if (reason_fault(reason) == FAULT_ENDPOINT)
        counter_add(&stats->failures, 1);
}

void attempt_note_tried(struct request *r, struct endpoint *endpoint)
{
    for (uint32_t i = 0; i < r->n_tried; i++) {
        if (r->tried[i] == endpoint)
            return; /* set aside, and failed after all */
    }
    if (r->n_tried < PICK_MAX_TRIED)
        r->tried[r->n_tried++] = endpoint_ref(endpoint);
}

static void remember_tried(struct request *r, struct endpoint *endpoint, enum reason reason)
{
    attempt_count_failed(r, endpoint, reason);
    attempt_note_tried(r, endpoint);
}

/* A pooled connection that the endpoint closed before it saw this request says nothing about the
 * endpoint: a fresh connection to the same one is next. */
static bool was_stale(const struct request *r, enum reason reason)
{
    /* One that says farewell does so with the requests in mind that it has not looked at. */
    if (reason == REASON_STREAM_REFUSED && r->upstream->conn.error == ESTALE)
        return r->n_attempts <= MOST_FAREWELLS;
    bool is_closed = reason == REASON_UPSTREAM_CLOSED || reason == REASON_CONNECT_FAILED;
    return is_closed && r->upstream->n_requests > 0 && !r->wants_fresh &&
           buffer_used(&r->upstream->conn.in) == 0;
}

/* Drops an answer that another attempt follows; whether all of it had come, so that the connection
 * is good for more. */
static bool drop_answer(struct request *r)
{
    struct conn *conn = &r->upstream->conn;
    const struct h1_framing *framing = &r->response.framing;
    uint64_t n = r->response.head_n;
    if (framing->body == H1_BODY_LENGTH)
        n += framing->content_length;
    bool is_whole = (framing->body == H1_BODY_NONE || framing->body == H1_BODY_LENGTH) &&
                    buffer_used(&conn->in) == n;
    if (!is_whole || !framing->keep_alive || !r->sent_all || conn->read_ended || conn->error != 0)
        return false;
    buffer_consume(&conn->in, &conn->worker->buffers, (uint32_t)n);
    return true;
}

/* A tunnel that was cut must not look to the endpoint like one that the client has ended. */
static void close_upstream(const struct request *r, struct upstream *upstream)
{
    if (r->status == 101 && !upstream->conn.write_ended)
        conn_spoil(&upstream->conn);
    upstream_close(upstream);
}

static void end_failed(struct request *r, enum reason reason)
{
    struct upstream *upstream = r->upstream;
    bool is_reusable = reason == REASON_UPSTREAM_STATUS && drop_answer(r);
    let_go_of_upstream(r);
    if (reason == REASON_UPSTREAM_TIMEOUT || reason == REASON_TRY_TIMEOUT)
        h2_link_suspect(&upstream->conn, r->attempt_us);
    if (is_reusable)
        upstream_release(upstream);
    else
        close_upstream(r, upstream);
}

/* Whether another attempt is to follow the one that ended with reason. */
static bool may_retry(struct request *r, enum reason reason)
{
    return retry_is_harmless(r, reason) && retry_is_wanted(r, reason) &&
           r->n_tried <= r->pool->retries && retry_take_place(r, reason);
}

/* Ends the attempt under way; whether the next one goes to a fresh connection to the same endpoint,
 * which is no retry: neither counted nor limited. */
static bool end_attempt(struct request *r, enum reason reason)
{
    if (r->upstream == NULL)
        return false;
    bool is_stale = was_stale(r, reason) && retry_is_harmless(r, reason);
    if (is_stale)
        r->wants_fresh = true;
    else
        remember_tried(r, r->upstream->endpoint, reason);
    end_failed(r, reason);
    return is_stale;
}

/* The one aside goes on where the one beside it fails, or does not even begin. */
static bool may_resume(const struct request *r, enum reason reason)
{
    bool is_its_own = r->upstream == NULL || reason_fault(reason) == FAULT_ENDPOINT;
    return r->aside != NULL && r->status == 0 && is_its_own;
}

enum step attempt_failed(struct request *r, enum reason reason)
{
    bool resumes = may_resume(r, reason);
    bool is_stale = end_attempt(r, reason);
    if (resumes)
        return hedge_resume(r);
    hedge_drop(r);
    r->reason = reason;
    if (r->status != 0 || reason_status(reason) == 0) {
        r->ending = grpc_call_break_off(r) ? ENDING_CLOSE : ENDING_ABORT;
        return STEP_DONE;
    }
    if (r->n_attempts > 0 && (is_stale || may_retry(r, reason))) {
        rewind_body(r);
        return STEP_PICK;
    }
    return STEP_REPLY;
}

/* The endpoint keeps the connection, and both messages on it have come to their end. */
static bool is_reusable(const struct request *r)
{
    const struct conn *conn = &r->upstream->conn;
    return r->reason == REASON_OK && r->response.framing.keep_alive && r->up.ended &&
           r->down.ended && r->down.body.kind != H1_BODY_UNTIL_CLOSE && !r->send_failed &&
           !conn->read_ended && conn->error == 0 && buffer_used(&conn->in) == 0 &&
           !conn->waits_for_memory && /* there is more to read */
           !conn_has_output(conn);
}

void attempt_finish(struct request *r)
{
    hedge_drop(r);
    struct upstream *upstream = r->upstream;
    if (upstream == NULL)
        return;
    /* A pipe takes no byte too many: what comes behind the response has not shown itself yet. */
    bool reusable = is_reusable(r) && (!r->down.was_piped || conn_is_quiet(&upstream->conn));
    let_go_of_upstream(r);
    if (reusable)
        upstream_release(upstream);
    else
        close_upstream(r, upstream);
}

/* Whether a connection may serve one client after the other: not if it began with the address of
 * one. */
static bool is_shared(const struct conf_pool *pool)
{
    return pool->send_proxy == CONF_SEND_PROXY_OFF;
}

bool attempt_may_move(struct request *r, enum reason reason)
{
    if (r->status != 0 || !retry_is_harmless(r, reason) || !retry_is_wanted(r, reason))
        return false;
    return r->aside != NULL || (choice_has_other(r) && retry_take_place(r, reason));
}

bool attempt_may_go_beside(struct request *r)
{
    return buffer_used(&r->upstream->conn.in) == 0 && r->replayable && choice_has_other(r) &&
           retry_take_place(r, REASON_TRY_TIMEOUT);
}

static struct upstream_limits limits_of(const struct conf_pool *pool)
{
    return (struct upstream_limits){
        .max_idle = is_shared(pool) ? pool->max_idle : 0,
        .keepalive_ms = pool->timeouts.keepalive_ms,
        .max_age_ms = pool->max_connection_age_ms,
        .max_requests = pool->max_connection_requests,
    };
}

static enum step send_to(struct request *r, struct upstream *upstream)
{
    struct worker *worker = request_worker(r);
    r->upstream = upstream;
    upstream->limits = limits_of(r->pool);
    upstream->conn.written = 0;
    bool has_long_bodies = upstream->endpoint->locals[worker->index].has_long_bodies;
    bool is_plain = upstream->conn.transport->can_splice && r->client->conn.transport->can_splice;
    upstream->conn.read_most = has_long_bodies && is_plain ? HEAD_READ_BYTES : 0;
    count_in_flight(r, upstream->endpoint, 1);
    counter_add(&stats_of(r, upstream->endpoint)->attempts, 1);
    r->attempt_us = worker_now_us(worker);
    uint64_t try_us = (uint64_t)r->pool->retry.timeout_ms * 1000;
    r->try_until_us = try_us != 0 ? r->attempt_us + try_us : 0;
    r->hedge_us = hedge_moment(r);
    r->connected_us = r->sent_us = r->answered_us = r->patience_us = 0;
    r->sent_all = r->send_failed = false;
    h1_response_init(&r->response, r->fields->response);
    if (!forward_request(r))
        return attempt_failed(r, REASON_HEAD_TOO_LARGE);
    relay_init(&r->up, &r->client->conn, &upstream->conn, &r->head.framing, REASON_BAD_REQUEST);
    r->up.framing = r->head.framing.body == H1_BODY_CHUNKED ? RELAY_CHUNKED : RELAY_RAW;
    r->up.limits = &worker->proxy->h1_limits;
    r->up.limit_bytes = worker->proxy->conf->client.max_body_bytes;
    return STEP_CONNECT;
}

enum reason attempt_connect_reason(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return REASON_CONNECT_REFUSED;
    case EPROTO:
        return REASON_HANDSHAKE_FAILED;
    case EKEYREJECTED:
        return REASON_CERTIFICATE_REFUSED;
    case EPROTONOSUPPORT:
        return REASON_HTTP2_REFUSED;
    case ESTALE:
    case ECANCELED:
        return REASON_STREAM_REFUSED;
    case ETIMEDOUT:
        return REASON_CONNECT_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return REASON_NO_DESCRIPTORS;
    default:
        return REASON_CONNECT_FAILED;
    }
}

enum reason attempt_loss_reason(const struct conn *conn)
{
    switch (conn->error) {
    case ESTALE:
    case ECANCELED:
        return REASON_STREAM_REFUSED;
    case EBADMSG:
        return REASON_UPSTREAM_BAD;
    default:
        return REASON_UPSTREAM_CLOSED;
    }
}

static enum step connect_failed(struct request *r, struct endpoint *endpoint, int error)
{
    queue_give_room(r, endpoint);
    enum reason reason = attempt_connect_reason(error);
    if (reason != REASON_NO_DESCRIPTORS)
        remember_tried(r, endpoint, reason);
    return attempt_failed(r, reason);
}

/* No room at endpoint, or at any. */
static enum step wait_for_room(struct request *r, struct endpoint *endpoint)
{
    if (queue_admits(r, choice_is_tied(r) ? endpoint : NULL))
        return STEP_QUEUE;
    r->reason = REASON_QUEUE_FULL;
    return STEP_REPLY;
}

/* Has room at endpoint. */
static enum step go_to(struct request *r, struct endpoint *endpoint)
{
    struct worker *worker = request_worker(r);
    if (r->n_attempts++ > 0)
        counter_add(&pool_local_of(r)->stats.retries, 1);
    /* A body may outgrow the buffer from which it would be sent again. */
    bool is_safe = h1_method_is_idempotent(r->head.method) && r->head.framing.body == H1_BODY_NONE;
    bool is_h2 = r->pool->http2 != CONF_HTTP2_OFF && !r->wants_upgrade;
    struct upstream *upstream = is_h2 ? upstream_share(worker, endpoint, r) : NULL;
    if (upstream == NULL && !r->wants_fresh && is_shared(r->pool))
        upstream =
            upstream_reuse(worker, endpoint, r, is_safe ? UPSTREAM_UNCHECKED : UPSTREAM_CHECKED);
    int rc = 0;
    if (upstream == NULL)
        rc = is_h2 ? upstream_connect_shared(worker, endpoint, r, &upstream)
                   : upstream_connect(worker, endpoint, r, &upstream);
    return rc == 0 ? send_to(r, upstream) : connect_failed(r, endpoint, -rc);
}

enum step attempt_begin(struct request *r)
{
    struct endpoint *endpoint = choice_make(r);
    if (endpoint == NULL) {
        if (r->n_tried == 0)
            r->reason = REASON_NO_ENDPOINT;
        return STEP_REPLY;
    }
    if (!queue_take_room(r, endpoint))
        return wait_for_room(r, endpoint);
    queue_count_wait(r);
    return go_to(r, endpoint);
}

enum step attempt_begin_beside(struct request *r)
{
    struct endpoint *endpoint = choice_make(r);
    if (endpoint == NULL || !queue_take_room(r, endpoint))
        return hedge_resume(r);
    counter_add(&pool_local_of(r)->stats.hedges, 1);
    return go_to(r, endpoint);
}
