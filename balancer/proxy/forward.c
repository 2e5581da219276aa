#include "balancer/proxy/forward.h"

#include <assert.h>
#include <stdio.h>

#include "balancer/http/status.h"
#include "balancer/proxy/challenge.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/explained.h"
#include "balancer/proxy/h2_link.h"
#include "balancer/proxy/head.h"
#include "balancer/proxy/peer.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/ruled.h"
#include "balancer/proxy/session.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"

/* Of the answers that quoit gives itself. */
#define REPLY_BODY_SIZE CHALLENGES_ANSWER_SIZE

static struct span part(const struct request *r, uint32_t at, uint32_t n)
{
    return (struct span){r->message + at, n};
}

static struct span upgrade_value(const struct h1_lines *lines, const uint8_t *message)
{
    for (uint32_t i = 0; i < lines->n_fields; i++)
        if (lines->fields[i].id == H1_UPGRADE)
            return h1_field_value(&lines->fields[i], message);
    return (struct span){NULL, 0};
}

/* h2c needs a codec of ours on both sides: an upgrade that offers it is not passed on, as RFC 9113
 * (which dropped it) allows. */
static bool offers_h2c(struct span protocols)
{
    struct span protocol;
    while (h1_list_next(&protocols, &protocol))
        if (protocol.n >= 3 && span_equal_nocase((struct span){protocol.p, 3}, SPAN("h2c")))
            return true;
    return false;
}

enum reason forward_prepare(struct request *r)
{
    const struct h1_framing *framing = &r->head.framing;
    r->wants_upgrade = framing->has_upgrade && r->head.minor == 1 &&
                       framing->body == H1_BODY_NONE &&
                       !offers_h2c(upgrade_value(&r->head.lines, r->message));
    return trail_prepare(r);
}

/* Origin form, as endpoints expect it; the other forms become it (RFC 9112 section 3.2). */
static void add_target(struct head *head, const struct request *r)
{
    const struct h1_request *h = &r->head;
    if (!h->is_absolute_form) {
        head_add(head, part(r, h->target.at, h->target.n));
        return;
    }
    if (h->path.n == 0)
        head_add(head, h->method == H1_OPTIONS && h->query.n == 0 ? SPAN("*") : SPAN("/"));
    head_add(head, part(r, h->path.at, h->path.n));
    if (h->query.n > 0) {
        head_add(head, SPAN("?"));
        head_add(head, part(r, h->query.at, h->query.n));
    }
}

static void add_host(struct head *head, const struct request *r)
{
    const struct h1_request *h = &r->head;
    struct span authority = part(r, h->authority.at, h->authority.n);
    if (h->is_absolute_form)
        head_add_field(head, SPAN("Host"), authority);
    else if (!trail_has(r, H1_HOST)) /* HTTP/1.0; an empty one stays */
        head_add_field(head, SPAN("Host"), span_of(r->upstream->endpoint->address));
}

static void add_upgrade(struct head *head, struct span protocol)
{
    head_add(head, SPAN("Connection: upgrade\r\n"));
    head_add_field(head, SPAN("Upgrade"), protocol);
}

/* A connection of the kind that begins with the client's addresses is never used again: it is new
 * here. */
static void add_proxy_header(struct head *head, const struct request *r)
{
    enum conf_send_proxy version = r->pool->send_proxy;
    if (version == CONF_SEND_PROXY_OFF)
        return;
    assert(r->upstream->n_requests == 0);
    struct proxy_header header;
    uint8_t bytes[PROXY_V1_MAX_BYTES];
    peer_ends(r->client, &header);
    size_t n = version == CONF_SEND_PROXY_V1 ? proxy_header_write_v1(&header, bytes)
                                             : proxy_header_write_v2(&header, bytes);
    head_add(head, (struct span){bytes, n});
}

bool forward_request(struct request *r)
{
    const struct h1_request *h = &r->head;
    bool is_ruled = ruled_has_request(r);
    struct head head;
    if (is_ruled)
        ruled_mark_request(r);
    head_begin(&head, &r->upstream->conn);
    add_proxy_header(&head, r);
    head_add(&head, part(r, h->method_text.at, h->method_text.n));
    head_add(&head, SPAN(" "));
    add_target(&head, r);
    head_add(&head, SPAN(" HTTP/1.1\r\n"));
    head_add_fields(&head, &h->lines, r->message);
    if (!is_ruled || !ruled_drops_request(r, SPAN("Cookie")))
        session_add_cookies(&head, r);
    add_host(&head, r);
    if (is_ruled)
        ruled_add_to_request(&head, r);
    trail_add(&head, r);
    grpc_call_add_timeout(&head, r);
    if (h->framing.body == H1_BODY_CHUNKED)
        head_add(&head, SPAN("Transfer-Encoding: chunked\r\n"));
    if (r->wants_upgrade)
        add_upgrade(&head, upgrade_value(&h->lines, r->message));
    else if (h->accepts_trailers)
        head_add(&head, SPAN("TE: trailers\r\nConnection: TE\r\n"));
    head_add(&head, SPAN("\r\n"));
    return head_end(&head);
}

static void add_status_line(struct head *head, const struct h1_response *response,
                            const uint8_t *message)
{
    head_add(head, SPAN("HTTP/1.1 "));
    head_add_u64(head, response->status);
    head_add(head, SPAN(" "));
    head_add(head, (struct span){message + response->phrase.at, response->phrase.n});
    head_add(head, SPAN("\r\n"));
}

/* RFC 9110 section 8.6: no Content-Length in 1xx and 204. */
static void drop_content_length(struct h1_response *response)
{
    if (response->status >= 200 && response->status != 204)
        return;
    for (uint32_t i = 0; i < response->lines.n_fields; i++)
        if (response->lines.fields[i].id == H1_CONTENT_LENGTH)
            response->lines.fields[i].is_hop = true;
}

/* Whether all of the request will have been read: has been, or is still wanted by the endpoint and
 * still sent by the client, which after a final answer to Expect: 100-continue it need not be (RFC
 * 9110 section 10.1.1). */
static bool body_will_end(const struct request *r)
{
    bool is_withheld = r->head.expects_continue && r->up.bytes == 0;
    return r->up.ended || (r->response.framing.keep_alive && !r->send_failed && !is_withheld);
}

static bool client_may_stay(const struct request *r)
{
    const struct client *client = r->client;
    /* One that has ended its half may have sent further requests before. */
    bool may_ask_more = !client->conn.read_ended || buffer_used(&client->conn.in) > 0;
    return r->head.framing.keep_alive && body_will_end(r) && may_ask_more &&
           !client->conn.worker->draining && client_may_ask_again(client);
}

static void add_connection(struct head *head, const struct request *r)
{
    if (r->ending == ENDING_CLOSE)
        head_add(head, SPAN("Connection: close\r\n"));
    else if (r->head.minor == 0)
        head_add(head, SPAN("Connection: keep-alive\r\n"));
}

/* What Upgrade would have to name is all that a 426 says (RFC 9110 section 15.5.22). */
static void add_wanted_protocol(struct head *head, const struct h1_response *response,
                                const uint8_t *message)
{
    if (response->status != 426)
        return;
    struct span protocol = upgrade_value(&response->lines, message);
    if (protocol.n > 0)
        add_upgrade(head, protocol);
}

bool forward_response(struct request *r)
{
    struct h1_response *response = &r->response;
    const uint8_t *message = buffer_bytes(&r->upstream->conn.in);
    assert(message != NULL); /* the head that was parsed lies there */
    enum h1_body_kind body = response->framing.body;
    bool is_open_ended = body == H1_BODY_CHUNKED || body == H1_BODY_UNTIL_CLOSE;
    bool is_chunked = is_open_ended && r->head.minor == 1;
    r->ending = client_may_stay(r) && (is_chunked || !is_open_ended) ? ENDING_KEEP : ENDING_CLOSE;
    drop_content_length(response);
    trail_mark_response(r, &response->lines, message);
    explained_mark_response(r, &response->lines, message);
    bool is_ruled = ruled_has_response(r);
    if (is_ruled)
        ruled_mark_response(r, message);

    struct head head;
    head_begin(&head, &r->client->conn);
    add_status_line(&head, response, message);
    head_add_fields(&head, &response->lines, message);
    if (is_ruled)
        ruled_add_to_response(&head, r);
    trail_add_to_response(&head, r);
    trail_add_via(&head, h2_link_of(&r->upstream->conn) != NULL, response->minor);
    session_add_set_cookie(&head, r);
    explained_add(&head, r);
    if (is_chunked)
        head_add(&head, SPAN("Transfer-Encoding: chunked\r\n"));
    add_wanted_protocol(&head, response, message);
    add_connection(&head, r);
    head_add(&head, SPAN("\r\n"));
    if (!head_end(&head))
        return false;
    relay_init(&r->down, &r->upstream->conn, &r->client->conn, &response->framing,
               REASON_UPSTREAM_BAD);
    r->down.framing = is_chunked ? RELAY_CHUNKED : RELAY_RAW;
    return true;
}

bool forward_interim(struct request *r)
{
    struct h1_response *response = &r->response;
    const uint8_t *message = buffer_bytes(&r->upstream->conn.in);
    assert(message != NULL); /* the head that was parsed lies there */
    drop_content_length(response);
    struct head head;
    head_begin(&head, &r->client->conn);
    add_status_line(&head, response, message);
    head_add_fields(&head, &response->lines, message);
    if (response->status == 101)
        add_upgrade(&head, upgrade_value(&response->lines, message));
    head_add(&head, SPAN("\r\n"));
    return head_end(&head);
}

static void add_location(struct head *head, const struct request *r)
{
    struct span host = part(r, r->head.authority.at, r->head.authority.n);
    assert(host.p != NULL); /* a request that goes to https names its host */
    const uint8_t *colon = memrchr(host.p, ':', host.n);
    uint16_t port = r->client->listener->redirect_port;
    if (colon != NULL && memchr(colon, ']', host.n - (size_t)(colon - host.p)) == NULL)
        host.n = (size_t)(colon - host.p);
    head_add(head, SPAN("Location: https://"));
    head_add(head, host);
    if (port != 443) {
        head_add(head, SPAN(":"));
        head_add_u64(head, port);
    }
    if (r->head.target.n == 1 && r->message[r->head.target.at] == '*')
        head_add(head, SPAN("/"));
    else
        add_target(head, r);
    head_add(head, SPAN("\r\n"));
}

/* Whether the operator's rules leave in what an endpoint could have said too. */
static bool is_left(const struct request *r, struct span name)
{
    return !ruled_has_response(r) || !ruled_drops_response(r, name);
}

static void add_reply_fields(struct head *head, const struct request *r)
{
    uint16_t status = reason_status(r->reason);
    const struct {
        struct span name, value;
        bool is_wanted;
    } fields[] = {
        {SPAN("Server"), SPAN("quoit"), true},
        {SPAN("Allow"), SPAN("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"),
         status == 405 || r->reason == REASON_LAST_HOP},
        {SPAN("Retry-After"), SPAN("1"), status == 503},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].is_wanted && is_left(r, fields[i].name))
            head_add_field(head, fields[i].name, fields[i].value);
    if (r->reason == REASON_TO_HTTPS && is_left(r, SPAN("Location")))
        add_location(head, r);
    if (ruled_has_response(r))
        ruled_add_to_response(head, r);
}

/* The connection stays when the request was understood and nothing of it is left to read. */
static bool may_stay_after_reply(const struct request *r)
{
    bool is_understood = r->message != NULL && r->head.head_n > 0;
    return is_understood && r->reason != REASON_CLIENT_TIMEOUT &&
           r->head.framing.body == H1_BODY_NONE && client_may_stay(r);
}

/* What is said in the body: the answer to a challenge, else what is wrong. */
static struct span reply_body(const struct request *r, uint16_t status, char room[REPLY_BODY_SIZE])
{
    struct span phrase = span_of(status_phrase(status));
    size_t n = 0;
    if (r->reason == REASON_CHALLENGE)
        n = challenge_answer(r, room);
    else
        n = (size_t)snprintf(room, REPLY_BODY_SIZE, "%u %.*s: %s\n", (unsigned)status,
                             (int)phrase.n, (const char *)phrase.p, reason_word(r->reason));
    return (struct span){(const uint8_t *)room, n};
}

static void add_content_fields(struct head *head, const struct request *r, size_t body_n)
{
    if (grpc_call_is_answered(r, r->reason)) {
        grpc_call_add_answer(head, r);
        return;
    }
    if (is_left(r, SPAN("Content-Type")))
        head_add(head, SPAN("Content-Type: text/plain\r\n"));
    head_add(head, SPAN("Content-Length: "));
    head_add_u64(head, body_n);
    head_add(head, SPAN("\r\n"));
}

bool forward_reply(struct request *r)
{
    uint16_t status = reason_status(r->reason);
    bool is_call = grpc_call_is_answered(r, r->reason);
    r->status = is_call ? 200 : status;
    char room[REPLY_BODY_SIZE];
    struct span body = reply_body(r, status, room);
    /* Without a response of an endpoint only the client's side decides. */
    r->response.framing.keep_alive = true;
    r->ending = may_stay_after_reply(r) ? ENDING_KEEP : ENDING_CLOSE;

    struct head head;
    head_begin(&head, &r->client->conn);
    head_add(&head, SPAN("HTTP/1.1 "));
    head_add_u64(&head, r->status);
    head_add(&head, SPAN(" "));
    head_add(&head, span_of(status_phrase(r->status)));
    head_add(&head, SPAN("\r\n"));
    head_add(&head, worker_date(r->client->conn.worker));
    add_content_fields(&head, r, body.n);
    add_reply_fields(&head, r);
    trail_add_to_response(&head, r);
    explained_add(&head, r);
    add_connection(&head, r);
    head_add(&head, SPAN("\r\n"));
    if (r->head.method != H1_HEAD && !is_call)
        head_add(&head, body);
    return head_end(&head);
}
