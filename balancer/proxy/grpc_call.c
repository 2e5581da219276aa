#include "balancer/proxy/grpc_call.h"

#include "balancer/proxy/client.h"
#include "balancer/proxy/head.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"

void grpc_call_prepare(struct request *r)
{
    struct grpc_call *call = &r->call;
    if (r->head.method != H1_POST || !grpc_is_call(&r->head, r->message))
        return;
    call->is_one = true;
    struct h1_field *field = grpc_timeout_find(&r->head.lines, r->message, &call->timeout_us);
    if (field == NULL)
        return;
    call->has_timeout = true;
    field->is_hop = true; /* what is left of it goes on */
}

void grpc_call_join_pool(struct request *r)
{
    r->call.is_stream = r->call.is_one && r->pool->http2 != CONF_HTTP2_OFF;
    if (!r->call.has_timeout)
        return;
    uint64_t end_us = r->begun_us + r->call.timeout_us;
    if (r->deadline_us == 0 || end_us < r->deadline_us)
        r->deadline_us = end_us;
}

/* The client's clock began before ours, and what it writes may be rounded. */
bool grpc_call_is_due(const struct request *r)
{
    const struct grpc_call *call = &r->call;
    uint64_t passed_us = worker_now_us(request_worker(r)) - r->begun_us;
    return call->has_timeout && passed_us > call->timeout_us / 2;
}

void grpc_call_add_timeout(struct head *head, const struct request *r)
{
    if (!r->call.has_timeout)
        return;
    uint64_t now_us = worker_now_us(request_worker(r));
    uint64_t left_us = r->deadline_us > now_us ? r->deadline_us - now_us : 1;
    uint8_t text[GRPC_TIMEOUT_BYTES];
    size_t n = grpc_timeout_write(left_us, text);
    head_add_field(head, SPAN("grpc-timeout"), (struct span){text, n});
}

void grpc_call_on_answer(struct request *r)
{
    struct grpc_call *call = &r->call;
    if (!call->is_one)
        return;
    call->has_code =
        grpc_code_find(&r->response.lines, buffer_bytes(&r->upstream->conn.in), &call->code);
}

void grpc_call_on_trailers(struct grpc_call *call, const struct h1_lines *lines,
                           const uint8_t *message)
{
    if (grpc_code_find(lines, message, &call->code))
        call->has_code = true;
}

bool grpc_call_is_answered(const struct request *r, enum reason reason)
{
    return r->call.is_one && reason_status(reason) >= 400;
}

/* The words are plain text without a percent sign: encoded, they are the same. */
static void add_status(struct head *head, const struct request *r)
{
    head_add(head, SPAN("grpc-status: "));
    head_add_u64(head, grpc_code_of_reason(r->reason));
    head_add(head, SPAN("\r\ngrpc-message: quoit: "));
    head_add(head, span_of(reason_word(r->reason)));
    head_add(head, SPAN("\r\n"));
}

void grpc_call_add_answer(struct head *head, const struct request *r)
{
    head_add(head, SPAN("Content-Type: application/grpc\r\nContent-Length: 0\r\n"));
    add_status(head, r);
}

/* A client that is there, between two chunks of an answer that can have trailers. */
static bool takes_trailers(const struct request *r)
{
    const struct relay *down = &r->down;
    return r->call.is_one && r->step == STEP_RELAY && r->client->conn.error == 0 &&
           reason_status(r->reason) != 0 && down->framing == RELAY_CHUNKED && !down->ended &&
           down->left == 0 && !down->closes_chunk;
}

bool grpc_call_break_off(struct request *r)
{
    struct conn *conn = &r->client->conn;
    struct head head;
    if (!takes_trailers(r))
        return false;
    head_begin(&head, conn);
    head_add(&head, SPAN("0\r\n"));
    add_status(&head, r);
    head_add(&head, SPAN("\r\n"));
    return head_end(&head) && conn_write(conn, NULL, 0) >= 0 && !conn_has_output(conn);
}

void grpc_call_settle(struct request *r)
{
    struct grpc_call *call = &r->call;
    if (!call->is_one || call->has_code)
        return;
    if (r->reason != REASON_OK)
        call->code = grpc_code_of_reason(r->reason);
    else
        call->code = r->status == 200 ? GRPC_UNKNOWN : grpc_code_of_status(r->status);
}
