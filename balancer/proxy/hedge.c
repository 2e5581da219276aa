#include "balancer/proxy/hedge.h"

#include <assert.h>

#include "balancer/proxy/attempt.h"
#include "balancer/proxy/choice.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/retry.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"

uint64_t hedge_moment(const struct request *r)
{
    const struct conf_retry *conf = &r->pool->retry;
    bool is_plain = h1_method_is_idempotent(r->head.method) &&
                    r->head.framing.body == H1_BODY_NONE && !r->wants_upgrade;
    if (conf->hedge_ms == 0 || !is_plain || r->aside != NULL || choice_is_tied(r))
        return 0;
    return r->attempt_us + (uint64_t)conf->hedge_ms * 1000;
}

static struct pool_stats *stats_of(const struct request *r)
{
    return &r->view->pool->locals[request_worker(r)->index].stats;
}

static void set_aside(struct request *r)
{
    struct upstream *upstream = r->upstream;
    uint64_t response_us = (uint64_t)r->pool->timeouts.response_ms * 1000;
    r->aside = upstream;
    r->aside_times = (struct attempt_times){r->attempt_us, r->connected_us, r->sent_us};
    r->upstream = NULL;
    attempt_note_tried(r, upstream->endpoint);
    conn_set_deadline(&upstream->conn, 0, REASON_OK);
    conn_limit_deadline(&upstream->conn, r->sent_us + response_us, REASON_UPSTREAM_TIMEOUT);
}

enum step hedge_begin(struct request *r)
{
    assert(r->step == STEP_SEND && r->sent_all && r->aside == NULL);
    if (!attempt_may_go_beside(r))
        return r->step;
    set_aside(r);
    return attempt_begin_beside(r);
}

enum step hedge_resume(struct request *r)
{
    struct upstream *upstream = r->aside;
    assert(upstream != NULL && r->upstream == NULL);
    r->aside = NULL;
    r->upstream = upstream;
    r->attempt_us = r->aside_times.attempt_us;
    r->connected_us = r->aside_times.connected_us;
    r->sent_us = r->aside_times.sent_us;
    r->hedge_us = r->try_until_us = r->patience_us = 0;
    r->sent_all = true;
    r->send_failed = false;
    h1_response_init(&r->response, r->fields->response);
    relay_init(&r->up, &r->client->conn, &upstream->conn, &r->head.framing, REASON_BAD_REQUEST);
    return STEP_SEND;
}

void hedge_drop(struct request *r)
{
    struct upstream *upstream = r->aside;
    if (upstream == NULL)
        return;
    r->aside = NULL;
    attempt_let_go(r, upstream);
    upstream_close(upstream);
}

void hedge_settle(struct request *r)
{
    if (r->aside != NULL)
        counter_add(&stats_of(r)->hedges_won, 1);
    hedge_drop(r);
}

/* It has failed: the other attempt goes on alone. */
static void lose(struct request *r, enum reason reason)
{
    attempt_count_failed(r, r->aside->endpoint, reason);
    hedge_drop(r);
}

enum step hedge_on_io(struct request *r)
{
    const struct conn *conn = &r->aside->conn;
    bool has_answer = buffer_used(&conn->in) > 0;
    struct upstream *other = r->upstream;
    if (!has_answer && (conn->read_ended || conn->error != 0))
        lose(r, attempt_loss_reason(conn));
    if (!has_answer)
        return r->step;
    if (buffer_used(&other->conn.in) > 0) { /* has begun before it */
        hedge_settle(r);
        return r->step;
    }
    attempt_let_go(r, other);
    r->upstream = NULL;
    upstream_close(other);
    return hedge_resume(r);
}

void hedge_on_deadline(struct request *r, enum reason reason)
{
    lose(r, reason);
}
