#include "balancer/proxy/request.h"

#include <assert.h>
#include <stddef.h>

#include "balancer/log/access_log.h"
#include "balancer/proxy/attempt.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/explained.h"
#include "balancer/proxy/hedge.h"
#include "balancer/proxy/keying.h"
#include "balancer/proxy/pacing.h"
#include "balancer/proxy/retry.h"
#include "balancer/proxy/session.h"
#include "balancer/proxy/steps.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"

#define MAY(step) (1u << STEP_##step)

/* The steps and the moves allowed between them. */
static const struct {
    enum step (*run)(struct request *request);
    unsigned moves;
} steps[] = {
    [STEP_HEAD] = {step_head, MAY(KEY) | MAY(PICK) | MAY(REPLY) | MAY(DONE)},
    [STEP_KEY] = {step_key, MAY(PICK) | MAY(REPLY) | MAY(DONE)},
    [STEP_PICK] = {attempt_begin, MAY(PICK) | MAY(QUEUE) | MAY(CONNECT) | MAY(REPLY) | MAY(DONE)},
    [STEP_QUEUE] = {step_queue, MAY(PICK) | MAY(REPLY) | MAY(DONE)},
    [STEP_CONNECT] = {step_connect, MAY(SEND) | MAY(PICK) | MAY(REPLY) | MAY(DONE)},
    [STEP_SEND] = {step_send,
                   MAY(RELAY) | MAY(TUNNEL) | MAY(CONNECT) | MAY(PICK) | MAY(REPLY) | MAY(DONE)},
    [STEP_RELAY] = {step_relay, MAY(DONE)},
    [STEP_TUNNEL] = {step_tunnel, MAY(DONE)},
    [STEP_REPLY] = {step_reply, MAY(DONE)},
    [STEP_DONE] = {NULL, 0},
};

struct worker *request_worker(const struct request *r)
{
    return r->client->conn.worker;
}

static void move(struct request *r, enum step to)
{
    assert((steps[r->step].moves & (1u << to)) != 0);
    if (r->step == STEP_QUEUE)
        queue_leave(r);
    r->step = to;
    if (to == STEP_QUEUE)
        queue_enter(r);
}

struct request *request_new(struct client *client)
{
    struct worker *worker = client->conn.worker;
    struct request *r = slab_get(&worker->request_slab);
    memset(r, 0, offsetof(struct request, head));
    r->client = client;
    r->step = STEP_HEAD;
    r->ending = ENDING_CLOSE;
    r->fields = slab_get(&worker->fields_slab);
    h1_request_init(&r->head, r->fields->head);
    h1_response_init(&r->response, r->fields->response);
    return r;
}

/* ---- deadlines: which wait is under way, and how long it may take ---- */

static void arm_client(struct request *r)
{
    struct conn *conn = &r->client->conn;
    conn_set_deadline(conn, 0, REASON_OK);
    if (r->step == STEP_TUNNEL)
        conn_set_deadline(conn, r->pool->timeouts.tunnel_ms, REASON_TUNNEL_IDLE);
    else
        pacing_arm(r);
    if (r->step == STEP_QUEUE)
        conn_limit_deadline(conn, r->queued_us + (uint64_t)r->pool->timeouts.queue_ms * 1000,
                            REASON_QUEUE_TIMEOUT);
    if (r->deadline_us != 0)
        conn_limit_deadline(conn, r->deadline_us, REASON_TOTAL_TIMEOUT);
}

/* Whether only timeouts.idle bounds how long neither side moves. */
static bool may_both_be_silent(const struct request *r)
{
    bool is_stream = r->call.is_stream && r->step == STEP_SEND;
    return (r->step == STEP_RELAY || is_stream) && !r->client->conn.wants_write;
}

static void arm_upstream(struct request *r)
{
    struct conn *conn = &r->upstream->conn;
    const struct conf_pool_timeouts *conf = &r->pool->timeouts;
    conn_set_deadline(conn, 0, REASON_OK);
    if (r->step == STEP_TUNNEL)
        return;                   /* the client's deadline is that of both */
    if (conn->waits_for_memory) { /* the endpoint has done its part */
        conn_set_deadline(conn, conf->idle_ms, REASON_MEMORY_LIMIT);
        return;
    }
    if (r->step == STEP_CONNECT)
        conn_limit_deadline(conn, r->attempt_us + (uint64_t)conf->connect_ms * 1000,
                            REASON_CONNECT_TIMEOUT);
    else if (r->step == STEP_SEND && (r->sent_all || r->send_failed))
        conn_limit_deadline(conn, r->sent_us + (uint64_t)conf->response_ms * 1000,
                            REASON_UPSTREAM_TIMEOUT);
    else if (conn->wants_write || may_both_be_silent(r))
        conn_set_deadline(conn, conf->idle_ms, REASON_UPSTREAM_TIMEOUT);
    if (r->step == STEP_RELAY)
        return;
    if (r->patience_us != 0)
        conn_limit_deadline(conn, r->patience_us, REASON_UPSTREAM_DOWN);
    if (r->hedge_us != 0 && r->step == STEP_SEND)
        conn_limit_deadline(conn, r->hedge_us, REASON_TRY_TIMEOUT);
    if (r->try_until_us != 0)
        conn_limit_deadline(conn, r->try_until_us, REASON_TRY_TIMEOUT);
}

/* The head's deadline runs from its first byte on, whatever trickles in afterwards. */
static void arm_head(struct request *r)
{
    uint64_t timeout_ms = request_worker(r)->proxy->conf->client.header_timeout_ms;
    if (r->deadline_us == 0)
        r->deadline_us = worker_now_us(request_worker(r)) + timeout_ms * 1000;
    conn_set_deadline(&r->client->conn, 0, REASON_OK);
    conn_limit_deadline(&r->client->conn, r->deadline_us, REASON_CLIENT_TIMEOUT);
}

static void arm(struct request *r)
{
    if (r->step == STEP_HEAD) {
        arm_head(r);
        return;
    }
    arm_client(r);
    if (r->upstream != NULL)
        arm_upstream(r);
}

/* ---- the end: counters and the log ---- */

static unsigned status_class(const struct request *r)
{
    return r->status >= 100 && r->status < 600 ? r->status / 100u : 0;
}

static void count(struct request *r)
{
    struct worker *worker = request_worker(r);
    if (r->pool == NULL) {
        counter_add(&worker->stats.unrouted[r->reason], 1);
        return;
    }
    uint64_t now_us = worker_now_us(worker);
    struct pool_stats *stats = &r->view->pool->locals[worker->index].stats;
    counter_add(&stats->statuses[status_class(r)], 1);
    counter_add(&stats->reasons[r->reason], 1);
    histogram_add(&stats->latency, now_us - r->begun_us);
    session_count(r, stats);
    if (r->call.is_one)
        counter_add(&stats->grpc_codes[r->call.code], 1);
    if (r->upstream == NULL)
        return;
    struct endpoint *endpoint = r->upstream->endpoint;
    struct endpoint_stats *own = &endpoint->locals[worker->index].stats;
    counter_add(&own->statuses[status_class(r)], 1);
    histogram_add(&own->latency, now_us - r->attempt_us);
    if (r->home != NULL && r->home != endpoint)
        counter_add(&stats->redispatched, 1);
}

void request_forget_fields(struct request *r)
{
    struct h1_lines *lines = &r->head.lines;
    uint32_t n = 0;
    for (uint32_t i = 0; i < lines->n_fields && n < REQUEST_KEPT_FIELDS; i++) {
        if (lines->fields[i].id == H1_REFERER || lines->fields[i].id == H1_USER_AGENT)
            r->kept[n++] = lines->fields[i];
    }
    lines->fields = r->kept;
    lines->n_fields = n;
    r->response.lines.n_fields = 0;
    worker_bury(request_worker(r), &request_worker(r)->fields_slab, r->fields);
    r->fields = NULL;
}

static struct span field_value(const struct request *r, enum h1_field_id id)
{
    for (uint32_t i = 0; i < r->head.lines.n_fields; i++)
        if (r->head.lines.fields[i].id == id)
            return h1_field_value(&r->head.lines.fields[i], r->message);
    return (struct span){NULL, 0};
}

static const char *last_endpoint(const struct request *r)
{
    if (r->upstream != NULL)
        return r->upstream->endpoint->address;
    return r->n_tried > 0 ? r->tried[r->n_tried - 1]->address : NULL;
}

static uint64_t between(uint64_t from_us, uint64_t to_us)
{
    return from_us != 0 && to_us > from_us ? to_us - from_us : 0;
}

/* The key's bytes, wherever the head is now. */
static struct span key_now(const struct request *r)
{
    if (!r->has_key || r->head_copy == NULL)
        return r->key;
    bool is_in_head = r->key_at < r->head.head_n;
    return is_in_head ? (struct span){r->message + r->key_at, r->key.n} : r->key;
}

static enum access_version version_of(const struct request *r)
{
    if (r->client->carrier != NULL)
        return ACCESS_HTTP_2_0;
    return r->head.minor == 0 ? ACCESS_HTTP_1_0 : ACCESS_HTTP_1_1;
}

static void describe_head(const struct request *r, struct access_entry *entry)
{
    if (r->message == NULL)
        return;
    const struct h1_request *h = &r->head;
    entry->method = (struct span){r->message + h->method_text.at, h->method_text.n};
    entry->target = (struct span){r->message + h->target.at, h->target.n};
    entry->host = (struct span){r->message + h->authority.at, h->authority.n};
    entry->referer = field_value(r, H1_REFERER);
    entry->user_agent = field_value(r, H1_USER_AGENT);
    entry->version = version_of(r);
    entry->key = key_now(r);
    entry->request_id = trail_request_id(r);
    entry->trace_id = trail_trace_id(r);
}

static void describe_tls(const struct request *r, struct access_entry *entry)
{
    struct tls_facts facts;
    tls_facts(client_wire(r->client), &facts);
    entry->tls = facts.version;
    entry->cipher = facts.cipher;
    entry->sni = facts.name;
    entry->alpn = tls_alpn(client_wire(r->client));
}

static void write_log(const struct request *r)
{
    struct worker *worker = request_worker(r);
    if (worker->proxy->access_log == NULL)
        return;
    struct access_entry entry = {
        .time_us = (uint64_t)(r->begun_at * 1e6),
        .client = r->client->address,
        .client_port = r->client->port,
        .status = r->status,
        .reason = r->reason,
        .is_grpc = r->call.is_one,
        .grpc_code = r->call.code,
        .pool = r->pool != NULL ? r->pool->name : NULL,
        .endpoint = last_endpoint(r),
        .attempts = r->n_attempts,
        .bytes_in = r->up.bytes,
        .bytes_out = r->down.bytes,
        .total_us = between(r->begun_us, worker_now_us(worker)),
        .connect_us = between(r->attempt_us, r->connected_us),
        .response_us = between(r->connected_us, r->answered_us),
    };
    describe_head(r, &entry);
    describe_tls(r, &entry);
    if (!access_log_add(worker->proxy->access_log, worker->index, &entry))
        counter_add(&worker->stats.log_dropped, 1);
}

/* A client that sent nothing of a request but its end has not made one. */
static bool is_request(const struct request *r)
{
    return r->message != NULL || r->reason != REASON_CLIENT_GONE;
}

static void finish(struct request *r)
{
    if (is_request(r)) {
        grpc_call_settle(r);
        count(r);
        write_log(r);
    }
    attempt_finish(r);
    conn_drop_pipe(&r->client->conn);
    retry_give_back(r);
    queue_count_wait(r);
    buffer_unhold(&r->client->conn.in, &request_worker(r)->buffers);
}

bool request_run(struct request *r)
{
    while (r->step != STEP_DONE) {
        enum step next = steps[r->step].run(r);
        if (next == r->step && next != STEP_PICK) {
            arm(r);
            return true;
        }
        move(r, next);
    }
    finish(r);
    return false;
}

/* Whether the attempt waits for the first byte of an answer and may be given up because of reason.
 */
static bool may_leave_endpoint(struct request *r, enum reason reason)
{
    bool is_waiting = r->step == STEP_CONNECT ||
                      (r->step == STEP_SEND && buffer_used(&r->upstream->conn.in) == 0);
    return is_waiting && attempt_may_move(r, reason);
}

/* A deadline after which waiting on may still be the better chance; whether it is. */
static bool waits_on(struct request *r, enum reason reason)
{
    if (reason == REASON_UPSTREAM_DOWN)
        r->patience_us = 0;
    else if (reason == REASON_TRY_TIMEOUT)
        r->try_until_us = 0;
    else
        return false;
    return !may_leave_endpoint(r, reason);
}

static bool waits_for_memory(const struct request *r)
{
    return r->client->conn.waits_for_memory ||
           (r->upstream != NULL && r->upstream->conn.waits_for_memory);
}

static bool is_hedge_due(const struct request *r)
{
    return r->hedge_us != 0 && worker_now_us(request_worker(r)) >= r->hedge_us &&
           r->step == STEP_SEND && r->sent_all;
}

/* The step that is next, or the same to wait on. */
static enum step after_failure(struct request *r, enum reason reason)
{
    if (reason == REASON_TRY_TIMEOUT && is_hedge_due(r)) {
        r->hedge_us = 0;
        return hedge_begin(r);
    }
    bool is_kept = reason == REASON_CLIENT_SLOW && pacing_is_kept(r);
    bool is_served = reason == REASON_MEMORY_LIMIT && !waits_for_memory(r);
    return is_kept || is_served || waits_on(r, reason) ? r->step : attempt_failed(r, reason);
}

static void go_on(struct request *r, enum step next)
{
    if (next == r->step)
        arm(r);
    else
        move(r, next);
}

void request_fail(struct request *r, enum reason reason)
{
    if (r->step != STEP_DONE)
        go_on(r, after_failure(r, reason));
}

void request_on_aside(struct request *r)
{
    go_on(r, hedge_on_io(r));
}

void request_refuse(struct request *r, enum reason reason)
{
    r->begun_us = worker_now_us(request_worker(r));
    r->begun_at = ev_now(request_worker(r)->loop);
    request_fail(r, reason);
}

void request_abort(struct request *r, enum reason reason)
{
    if (r->step == STEP_DONE)
        return;
    r->reason = reason;
    r->ending = ENDING_ABORT;
    move(r, STEP_DONE);
}

void request_endpoint_down(struct request *r, uint32_t patience_ms)
{
    if (r->patience_us != 0 || !may_leave_endpoint(r, REASON_UPSTREAM_DOWN))
        return;
    if (patience_ms == 0) {
        struct client *client = r->client;
        request_fail(r, REASON_UPSTREAM_DOWN);
        client_run(client);
        return;
    }
    r->patience_us = worker_now_us(request_worker(r)) + (uint64_t)patience_ms * 1000;
    conn_limit_deadline(&r->upstream->conn, r->patience_us, REASON_UPSTREAM_DOWN);
}

void request_free(struct request *r)
{
    struct worker *worker = request_worker(r);
    for (uint32_t i = 0; i < r->n_tried; i++)
        endpoint_unref(r->tried[i]);
    if (r->head_copy != NULL)
        buffer_pool_put(&worker->buffers, r->head_copy);
    keying_end(r);
    explained_end(r);
    if (r->fields != NULL)
        worker_bury(worker, &worker->fields_slab, r->fields);
    worker_bury(worker, &worker->request_slab, r);
}
