#include "balancer/proxy/pacing.h"

#include "balancer/proxy/client.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"

/* How often within client.send_timeout the kernel is asked what the client has taken: one that
 * stops is given up at most this part too late. */
#define LOOKS 4

static struct pace body_pace(const struct conf_client *conf)
{
    return (struct pace){(uint64_t)conf->body_timeout_ms * 1000, conf->min_body_rate};
}

static struct pace take_pace(const struct conf_client *conf)
{
    return (struct pace){(uint64_t)conf->send_timeout_ms * 1000, conf->min_send_rate};
}

static const struct conf_client *conf_of(const struct request *r)
{
    return &request_worker(r)->proxy->conf->client;
}

/* The rest of the body is due, and whoever is to have it would take it. */
static bool waits_for_body(const struct request *r)
{
    if (r->client->conn.wants_write || r->step == STEP_REPLY || r->step == STEP_TUNNEL)
        return false;
    /* Where it may be silent, timeouts.idle bounds that. */
    bool is_taken = r->upstream != NULL && !r->upstream->conn.wants_write && !r->call.is_stream;
    return r->step == STEP_KEY || (is_taken && !r->sent_all && !r->up.ended);
}

/* Of the body; while the key is looked for, of what has come of it with its framing. */
static uint64_t body_bytes(const struct request *r)
{
    return r->step == STEP_KEY ? buffer_used(&r->client->conn.in) : r->up.bytes;
}

/* A client that waits for 100 Continue of the endpoint need not send anything yet. */
static bool is_withheld(const struct request *r)
{
    return r->step != STEP_KEY && r->head.expects_continue && r->up.bytes == 0;
}

static void arm_body(struct request *r, uint64_t now_us)
{
    struct conn *conn = &r->client->conn;
    const struct conf_client *conf = conf_of(r);
    if (!waits_for_body(r)) {
        patience_rest(&r->body_patience, now_us);
    } else if (conn->waits_for_memory) {
        patience_rest(&r->body_patience, now_us);
        conn_limit_deadline(conn, now_us + (uint64_t)conf->body_timeout_ms * 1000,
                            REASON_MEMORY_LIMIT);
    } else if (is_withheld(r)) {
        conn_limit_deadline(conn, now_us + (uint64_t)conf->body_timeout_ms * 1000,
                            REASON_CLIENT_TIMEOUT);
    } else {
        const struct pace pace = body_pace(conf);
        patience_wait(&r->body_patience, now_us);
        patience_look(&r->body_patience, &pace, now_us, body_bytes(r));
        conn_limit_deadline(conn, patience_end_us(&r->body_patience, &pace), REASON_CLIENT_TIMEOUT);
    }
}

static void arm_taking(struct request *r, uint64_t now_us)
{
    struct conn *conn = &r->client->conn;
    struct patience *patience = &r->take_patience;
    if (!conn->wants_write) {
        patience_rest(patience, now_us);
        return;
    }
    const struct pace pace = take_pace(conf_of(r));
    if (patience->seen_bytes == 0)
        patience->seen_bytes = conn_taken(conn);
    patience_wait(patience, now_us);
    uint64_t end_us = patience_end_us(patience, &pace), look_us = now_us + pace.full_us / LOOKS;
    conn_limit_deadline(conn, end_us < look_us ? end_us : look_us, REASON_CLIENT_SLOW);
}

void pacing_arm(struct request *r)
{
    uint64_t now_us = worker_now_us(request_worker(r));
    arm_taking(r, now_us);
    arm_body(r, now_us);
}

bool pacing_is_kept(struct request *r)
{
    const struct pace pace = take_pace(conf_of(r));
    patience_look(&r->take_patience, &pace, worker_now_us(request_worker(r)),
                  conn_taken(&r->client->conn));
    return !patience_is_over(&r->take_patience, &pace);
}
