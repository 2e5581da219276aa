#include "balancer/proxy/keying.h"

#include "balancer/http/key.h"
#include "balancer/proxy/attempt.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/worker.h"

/* The pool's hash_key and its hash_key_fallback. */
#define N_KEYS 2

struct keying {
    struct key_room room;
    struct h1_body framing; /* of the body, as far as it was looked at */
    uint32_t at;            /* so far: its bytes with framing */
    uint32_t left;          /* bytes of content that may still be looked at */
    struct key_body fields[N_KEYS];
};

size_t keying_size(void)
{
    return sizeof(struct keying);
}

static const struct conf_key *key_of(const struct request *r, int i)
{
    return i == 0 ? &r->pool->key : &r->pool->key_fallback;
}

/* Most requests never come here: the keys of theirs are bytes of the head. */
static struct keying *memory(struct request *r)
{
    if (r->keying != NULL)
        return r->keying;
    struct keying *keying = slab_get(&request_worker(r)->key_slab);
    h1_body_init(&keying->framing, &r->head.framing, REASON_BAD_REQUEST);
    keying->at = 0;
    keying->left = r->pool->key_body_bytes;
    for (int i = 0; i < N_KEYS; i++)
        key_body_begin(&keying->fields[i], key_of(r, i), &r->head, r->message);
    return r->keying = keying;
}

void keying_end(struct request *r)
{
    if (r->keying != NULL)
        slab_put(&request_worker(r)->key_slab, r->keying);
    r->keying = NULL;
}

static bool extract(struct request *r, const struct conf_key *key, const struct key_body *body)
{
    struct key_input input = {
        .request = &r->head,
        .message = r->message,
        .peer = client_address(r->client),
        .trust = &request_worker(r)->proxy->conf->client,
        .body = body,
    };
    struct key_room *room = r->keying != NULL ? &r->keying->room : NULL;
    return key_extract(key, &input, room, &r->key);
}

static void use_key(struct request *r)
{
    r->has_key = true;
    r->hash = ring_key_hash(&r->view->pool->ring_options, r->key.p, r->key.n);
    bool is_in_head = r->key.p >= r->message && r->key.p < r->message + r->head.head_n;
    r->key_at = is_in_head ? (uint32_t)(r->key.p - r->message) : UINT32_MAX;
}

/* Takes the first key that the request has. STEP_KEY: that cannot be said yet. */
static enum step choose(struct request *r)
{
    for (int i = 0; i < N_KEYS; i++) {
        const struct conf_key *key = key_of(r, i);
        const struct key_body *body = NULL;
        if (key->source == CONF_KEY_TEMPLATE)
            body = &memory(r)->fields[i];
        if (body != NULL && key_body_waits(body))
            return STEP_KEY;
        if (extract(r, key, body)) {
            use_key(r);
            break;
        }
    }
    return STEP_PICK;
}

/* How much of the body's bytes may wait in the buffer, wherever in it the request began. */
static uint32_t max_waiting(const struct request *r)
{
    const struct conf *conf = request_worker(r)->proxy->conf;
    return conf->buffer_bytes - conf->client.max_head_bytes;
}

/* A request that others came before in the same buffer may have too little room behind it. */
static void make_room(struct request *r)
{
    struct buffer *in = &r->client->conn.in;
    if (in->size - r->body_at >= max_waiting(r))
        return;
    r->body_at -= buffer_pull(in, (uint32_t)(r->message - in->data));
    r->message = in->data;
}

enum step keying_begin(struct request *r)
{
    if (!policy_for(r->pool->algorithm)->uses_key)
        return STEP_PICK;
    enum step next = choose(r);
    if (next == STEP_KEY)
        make_room(r);
    return next;
}

/* ---- the body's first bytes */

static void feed(struct keying *keying, const uint8_t *bytes, size_t n)
{
    for (int i = 0; i < N_KEYS; i++)
        key_body_feed(&keying->fields[i], (struct span){bytes, n});
    h1_body_take(&keying->framing, n);
    keying->at += (uint32_t)n;
    keying->left -= (uint32_t)n;
}

static void end(struct keying *keying)
{
    for (int i = 0; i < N_KEYS; i++)
        key_body_end(&keying->fields[i]);
}

static enum h1_status stop(struct keying *keying)
{
    for (int i = 0; i < N_KEYS; i++)
        key_body_give_up(&keying->fields[i]);
    return H1_DONE;
}

/* Looks at a run of content, as far as that may be; what is known to follow is too far then. */
static enum h1_status look_at(struct keying *keying, struct span run)
{
    uint32_t left = keying->left;
    feed(keying, run.p, run.n < left ? run.n : left);
    return keying->left == 0 && keying->framing.left > 0 ? stop(keying) : H1_DATA;
}

/* Looks at what has come next of the body. H1_DATA: there may be more to look at; H1_MORE: not yet;
 * H1_DONE: never. */
static enum h1_status look_once(struct request *r)
{
    struct keying *keying = r->keying;
    const struct buffer *in = &r->client->conn.in;
    uint32_t n = in->end - r->body_at - keying->at, most = max_waiting(r) - keying->at;
    const uint8_t *bytes = in->data + r->body_at + keying->at;
    struct h1_run run;
    enum h1_status status = h1_body_next(&keying->framing, bytes, n < most ? n : most, &run);
    keying->at += (uint32_t)run.skip;
    switch (status) {
    case H1_DATA:
        return look_at(keying, (struct span){bytes + run.skip, run.n});
    case H1_MORE:
        return n < most ? H1_MORE : stop(keying);
    case H1_ERROR:
        return H1_ERROR;
    default:
        end(keying);
        return H1_DONE;
    }
}

/* A client that expects to be told so sends its body only then (RFC 9110 section 10.1.1). Whether
 * the endpoint wants it cannot be known; it is not asked again. False: the client is gone. */
static bool ask_for_body(struct request *r)
{
    struct conn *conn = &r->client->conn;
    if (r->head.expects_continue && r->keying->at == 0) {
        if (!buffer_append(&conn->out, &conn->worker->buffers,
                           SPAN("HTTP/1.1 100 Continue\r\n\r\n")))
            return false;
        r->head.expects_continue = false;
        for (uint32_t i = 0; i < r->head.lines.n_fields; i++)
            if (r->head.lines.fields[i].id == H1_EXPECT)
                r->head.lines.fields[i].is_hop = true;
    }
    return !conn_has_output(conn) || conn_write(conn, NULL, 0) >= 0;
}

enum step step_key(struct request *r)
{
    enum step next = STEP_KEY;
    enum h1_status status = H1_DATA;
    while (status == H1_DATA && next == STEP_KEY) {
        status = look_once(r);
        next = choose(r);
    }
    if (next != STEP_KEY)
        return next;
    if (status == H1_ERROR)
        return attempt_failed(r, REASON_BAD_REQUEST);
    if (r->client->conn.read_ended || !ask_for_body(r))
        return attempt_failed(r, REASON_CLIENT_GONE);
    return STEP_KEY;
}
