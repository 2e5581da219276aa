#include "balancer/proxy/relay.h"

#include "balancer/proxy/head.h"
#include "balancer/proxy/pipe.h"
#include "balancer/proxy/worker.h"

/* Runs up to this many bytes are cheaper to copy than to point at. */
#define COPY_BYTES 4096
#define CHUNK_FRAMING_BYTES 32
/* What is left of a body must be this long to be worth a pipe. */
#define PIPE_LEAST_BYTES 16384

void relay_init(struct relay *relay, struct conn *from, struct conn *to,
                const struct h1_framing *framing, enum reason bad)
{
    *relay = (struct relay){.from = from, .to = to};
    h1_body_init(&relay->body, framing, bad);
    relay->ended = framing->body == H1_BODY_NONE;
}

static void drop_input(struct relay *relay, size_t n)
{
    buffer_consume(&relay->from->in, &relay->from->worker->buffers, (uint32_t)n);
}

static bool stage(struct relay *relay, struct span bytes)
{
    return buffer_append(&relay->to->out, &relay->to->worker->buffers, bytes);
}

static bool stage_chunk_size(struct relay *relay, size_t n)
{
    uint8_t line[18];
    size_t at = sizeof line;
    line[--at] = '\n';
    line[--at] = '\r';
    do {
        line[--at] = (uint8_t) "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n > 0);
    return stage(relay, (struct span){line + at, sizeof line - at});
}

/* Announces a run of payload: copies it when it is short, else leaves it for the write. */
static bool stage_run(struct relay *relay, size_t n)
{
    bool is_chunked = relay->framing == RELAY_CHUNKED;
    if (is_chunked && !stage_chunk_size(relay, n))
        return false;
    h1_body_take(&relay->body, n);
    relay->bytes += n;
    if (n <= COPY_BYTES && stage(relay, (struct span){buffer_bytes(&relay->from->in), n})) {
        drop_input(relay, n);
        return !is_chunked || stage(relay, SPAN("\r\n"));
    }
    relay->left = (uint32_t)n;
    relay->closes_chunk = is_chunked;
    return true;
}

/* Reads a whole trailer section and stages it behind the last chunk. */
static enum relay_result stage_trailers(struct relay *relay)
{
    if (buffer_used(&relay->from->in) == 0)
        return RELAY_WAITS_FOR_INPUT;
    struct h1_trailers trailers;
    struct h1_field fields[H1_MAX_FIELDS];
    h1_trailers_init(&trailers, fields);
    const uint8_t *bytes = buffer_bytes(&relay->from->in);
    switch (h1_trailers_parse(&trailers, relay->limits, relay->body.reason, bytes,
                              buffer_used(&relay->from->in))) {
    case H1_MORE:
        return buffer_has_room(&relay->from->in) ? RELAY_WAITS_FOR_INPUT : RELAY_INPUT_BAD;
    case H1_DONE:
        break;
    default:
        return RELAY_INPUT_BAD;
    }
    if (relay->call != NULL)
        grpc_call_on_trailers(relay->call, &trailers.lines, bytes);
    if (relay->framing == RELAY_CHUNKED) {
        struct head head;
        head_begin(&head, relay->to);
        head_add(&head, SPAN("0\r\n"));
        head_add_fields(&head, &trailers.lines, bytes);
        head_add(&head, SPAN("\r\n"));
        if (!head_end(&head))
            return RELAY_WAITS_FOR_ROOM;
    }
    drop_input(relay, trailers.total_n);
    relay->ended = true;
    return RELAY_ENDED;
}

/* The sender is through without having said so in the message: legal only until close. */
static enum relay_result input_ended(struct relay *relay)
{
    if (relay->body.kind != H1_BODY_UNTIL_CLOSE || relay->from->error != 0)
        return RELAY_INPUT_BAD;
    if (relay->framing == RELAY_CHUNKED && !stage(relay, SPAN("0\r\n\r\n")))
        return RELAY_WAITS_FOR_ROOM;
    relay->ended = true;
    return RELAY_ENDED;
}

static enum relay_result wait_for_input(struct relay *relay)
{
    struct conn *from = relay->from;
    return from->read_ended || from->error != 0 ? input_ended(relay) : RELAY_WAITS_FOR_INPUT;
}

/* Decodes one run of the body. Anything but RELAY_ENDED with !ended ends the filling. */
static enum relay_result fill_once(struct relay *relay)
{
    struct conn *from = relay->from;
    struct h1_run run;
    enum h1_status status =
        h1_body_next(&relay->body, buffer_bytes(&from->in), buffer_used(&from->in), &run);
    drop_input(relay, run.skip);
    switch (status) {
    case H1_DATA:
        if (relay->limit_bytes != 0 && relay->bytes + run.n > relay->limit_bytes)
            return RELAY_INPUT_TOO_BIG;
        return stage_run(relay, run.n) ? RELAY_ENDED : RELAY_WAITS_FOR_ROOM;
    case H1_DONE:
        relay->ended = true;
        return RELAY_ENDED;
    case H1_TRAILERS: {
        enum relay_result result = stage_trailers(relay);
        return result == RELAY_WAITS_FOR_INPUT ? wait_for_input(relay) : result;
    }
    case H1_MORE:
        return wait_for_input(relay);
    default:
        return RELAY_INPUT_BAD;
    }
}

/* Stages as much as is there and fits. RELAY_ENDED: there is something to write, or the end. */
static enum relay_result fill(struct relay *relay)
{
    enum relay_result result = RELAY_ENDED;
    while (result == RELAY_ENDED && !relay->ended && relay->left == 0) {
        const struct buffer *out = &relay->to->out;
        if (out->data != NULL && buffer_room(out) < COPY_BYTES + CHUNK_FRAMING_BYTES)
            return RELAY_WAITS_FOR_ROOM;
        result = fill_once(relay);
    }
    return result;
}

static bool write_out(struct relay *relay)
{
    ssize_t went = conn_write(relay->to, buffer_bytes(&relay->from->in), relay->left);
    if (went < 0)
        return false;
    if (went > 0)
        drop_input(relay, (size_t)went);
    relay->left -= (uint32_t)went;
    if (relay->left == 0 && relay->closes_chunk) {
        relay->closes_chunk = false;
        return stage(relay, SPAN("\r\n"));
    }
    return true;
}

/* Accounts for what has come into the pipe. */
static void count_piped(struct relay *relay)
{
    struct pipe *pipe = relay->from->pipe;
    h1_body_take(&relay->body, pipe->fresh);
    relay->bytes += pipe->fresh;
    pipe->fresh = 0;
    relay->was_piped = true;
    if (relay->body.left == 0)
        relay->ended = true;
}

/* Moves what is in the pipe, if there is one; RELAY_ENDED: it is empty now. */
static enum relay_result move_piped(struct relay *relay)
{
    struct conn *to = relay->to;
    if (relay->from->pipe == NULL)
        return RELAY_ENDED;
    count_piped(relay);
    if (conn_has_output(to) && conn_write(to, NULL, 0) < 0)
        return RELAY_OUTPUT_FAILED;
    if (conn_has_output(to))
        return RELAY_WAITS_FOR_ROOM;
    if (!conn_splice(to, relay->from))
        return RELAY_OUTPUT_FAILED;
    return relay->from->pipe != NULL ? RELAY_WAITS_FOR_ROOM : RELAY_ENDED;
}

static void pipe_the_rest(struct relay *relay)
{
    struct conn *from = relay->from;
    bool is_plain = from->transport->can_splice && relay->to->transport->can_splice &&
                    relay->framing == RELAY_RAW && relay->body.kind == H1_BODY_LENGTH;
    if (is_plain && relay->body.left >= PIPE_LEAST_BYTES && from->in.data == NULL)
        conn_pipe(from, relay->body.left);
}

/* Nothing is left to write; result is what ended the filling. */
static enum relay_result all_moved(struct relay *relay, enum relay_result result)
{
    if (result == RELAY_WAITS_FOR_INPUT)
        pipe_the_rest(relay);
    return relay->ended ? RELAY_ENDED : result;
}

/* Moves what is in the in buffer. */
static enum relay_result move_copied(struct relay *relay)
{
    for (;;) {
        enum relay_result result = fill(relay);
        if (result == RELAY_INPUT_BAD || result == RELAY_INPUT_TOO_BIG)
            return result;
        if (!conn_has_output(relay->to) && relay->left == 0)
            return all_moved(relay, result);
        if (!write_out(relay))
            return RELAY_OUTPUT_FAILED;
        if (relay->to->wants_write)
            return RELAY_WAITS_FOR_ROOM;
    }
}

enum relay_result relay_run(struct relay *relay)
{
    enum relay_result result = move_piped(relay);
    return result == RELAY_ENDED ? move_copied(relay) : result;
}
