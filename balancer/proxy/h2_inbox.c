#include "balancer/proxy/h2_inbox.h"

#include <assert.h>

#include "balancer/proxy/buffer.h"

void h2_inbox_add_head(struct h2_inbox *inbox, struct buffer_pool *pool, struct span bytes)
{
    assert(inbox->payload_n == 0);
    chain_add(&inbox->bytes, pool, bytes);
    inbox->head_n += bytes.n;
}

void h2_inbox_add_payload(struct h2_inbox *inbox, struct buffer_pool *pool, struct span bytes)
{
    assert(!inbox->has_ended && inbox->trailers_n == 0);
    chain_add(&inbox->bytes, pool, bytes);
    inbox->payload_n += bytes.n;
}

void h2_inbox_add_trailers(struct h2_inbox *inbox, struct buffer_pool *pool, struct span bytes)
{
    assert(!inbox->has_ended);
    if (inbox->framing != H2_CHUNKED)
        return;
    chain_add(&inbox->bytes, pool, bytes);
    inbox->trailers_n += bytes.n;
}

void h2_inbox_end(struct h2_inbox *inbox)
{
    inbox->has_ended = true;
}

static void set_line(struct h2_inbox *inbox, struct span text)
{
    memcpy(inbox->line, text.p, text.n);
    inbox->line_at = 0;
    inbox->line_n = (uint8_t)text.n;
}

static void begin_chunk(struct h2_inbox *inbox)
{
    uint8_t text[sizeof inbox->line];
    size_t at = sizeof text, n = inbox->payload_n;
    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = (uint8_t) "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n > 0);
    inbox->chunk_n = inbox->payload_n;
    inbox->step = H2_INBOX_CHUNK;
    set_line(inbox, (struct span){text + at, sizeof text - at});
}

/* Makes the next framing line where one is due; nothing else is left to be read before it. */
static void move_on(struct h2_inbox *inbox)
{
    switch (inbox->step) {
    case H2_INBOX_BODY:
        if (inbox->payload_n > 0) {
            begin_chunk(inbox);
        } else if (inbox->has_ended) {
            set_line(inbox, SPAN("0\r\n"));
            inbox->step = H2_INBOX_TRAILERS;
        }
        break;
    case H2_INBOX_CHUNK:
        set_line(inbox, SPAN("\r\n"));
        inbox->step = H2_INBOX_BODY;
        break;
    case H2_INBOX_TRAILERS:
        set_line(inbox, SPAN("\r\n"));
        inbox->step = H2_INBOX_END;
        break;
    case H2_INBOX_END:
        break;
    }
}

/* The bytes of the chain that may be read now, and whose count they are. */
static size_t *next_run(struct h2_inbox *inbox)
{
    if (inbox->head_n > 0)
        return &inbox->head_n;
    if (inbox->framing == H2_RAW)
        return &inbox->payload_n;
    if (inbox->step == H2_INBOX_CHUNK)
        return &inbox->chunk_n;
    return inbox->step == H2_INBOX_TRAILERS ? &inbox->trailers_n : NULL;
}

bool h2_inbox_has_bytes(const struct h2_inbox *inbox)
{
    if (inbox->line_at < inbox->line_n || inbox->bytes.n > 0)
        return true;
    return inbox->framing == H2_CHUNKED &&
           (inbox->step == H2_INBOX_CHUNK || inbox->step == H2_INBOX_TRAILERS ||
            (inbox->step == H2_INBOX_BODY && inbox->has_ended));
}

static size_t read_line(struct h2_inbox *inbox, uint8_t *to, size_t n)
{
    size_t left = (size_t)(inbox->line_n - inbox->line_at);
    n = n < left ? n : left;
    memcpy(to, inbox->line + inbox->line_at, n);
    inbox->line_at = (uint8_t)(inbox->line_at + n);
    return n;
}

/* One piece; 0: nothing is there now. */
static size_t read_once(struct h2_inbox *inbox, struct buffer_pool *pool, uint8_t *to, size_t n,
                        size_t *payload)
{
    if (inbox->line_at < inbox->line_n)
        return read_line(inbox, to, n);
    size_t *run = next_run(inbox);
    if (run != NULL && *run > 0) {
        size_t taken = chain_take(&inbox->bytes, pool, to, n < *run ? n : *run);
        *run -= taken;
        if (run == &inbox->chunk_n)
            inbox->payload_n -= taken;
        if (run == &inbox->chunk_n || run == &inbox->payload_n)
            *payload += taken;
        return taken;
    }
    if (inbox->framing == H2_CHUNKED)
        move_on(inbox);
    return read_line(inbox, to, n);
}

size_t h2_inbox_read(struct h2_inbox *inbox, struct buffer_pool *pool, uint8_t *to, size_t n,
                     size_t *ret_payload)
{
    size_t done = 0, once;
    *ret_payload = 0;
    while (done < n && (once = read_once(inbox, pool, to + done, n - done, ret_payload)) > 0)
        done += once;
    return done;
}
