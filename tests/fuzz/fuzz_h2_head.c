/*
 * HTTP/2 heads as HTTP/1.1: whatever fields come, the head that is made reads strictly as one
 * request with exactly these fields and this framing, or is refused; nothing of a value becomes a
 * line of its own. The input: pairs of length bytes and bytes, names and values in turn.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/http/h1.h"
#include "balancer/http/h2_request.h"
#include "balancer/http/h2_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM 2048

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct span take(const uint8_t **at, const uint8_t *end)
{
    if (*at == end)
        return (struct span){*at, 0};
    size_t n = *(*at)++, left = (size_t)(end - *at);
    struct span bytes = {*at, n < left ? n : left};
    *at += bytes.n;
    return bytes;
}

/* How many field lines the head has to have. */
struct expected {
    uint32_t lines;
    bool has_cookie;
};

static void expect(struct expected *expected, const struct h2_head *head, struct span name)
{
    if (name.p[0] == ':')
        return;
    bool is_cookie = span_equal(name, SPAN("cookie"));
    bool is_dropped = (span_equal(name, SPAN("host")) && head->authority.n > 0) ||
                      (head->protocol.n > 0 && span_equal(name, SPAN("sec-websocket-key")));
    if (!is_dropped && !(is_cookie && expected->has_cookie))
        expected->lines++;
    expected->has_cookie |= is_cookie;
}

static void check(const struct h2_head *head, struct expected expected, enum h2_body body)
{
    static struct h1_request request;
    static struct h1_field fields[H1_MAX_FIELDS];
    static const struct h1_limits limits = {65536, 65536, H1_MAX_FIELDS};
    struct span spans[H2_REQUEST_SPANS];
    uint8_t text[2 * ROOM];
    size_t at = 0;
    enum h2_request_kind kind = h2_request_kind(head);
    if (head->verdict != H2_FINE || (kind != H2_PLAIN && kind != H2_WEBSOCKET))
        return;
    size_t n = h2_request_spans(head, kind, body, SPAN("0123456789012345678901=="), spans);
    require(n <= H2_REQUEST_SPANS);
    for (size_t i = 0; i < n; i++) {
        require(spans[i].n <= sizeof text - at);
        memcpy(text + at, spans[i].p, spans[i].n);
        at += spans[i].n;
    }
    h1_request_init(&request, fields);
    enum h1_status status = h1_request_parse(&request, &limits, text, at);
    require(status != H1_MORE); /* it ends where it ends */
    if (status != H1_DONE)
        return; /* a stricter look at values than this one has */
    require(request.head_n == at);
    bool is_chunked = kind == H2_PLAIN && body == H2_BODY_FOLLOWS && !head->has_content_length;
    require((request.framing.body == H1_BODY_CHUNKED) == is_chunked);
    require(request.framing.has_upgrade == (kind == H2_WEBSOCKET));
    uint32_t added = (head->authority.n > 0 ? 1u : 0u) + (is_chunked ? 1u : 0u) +
                     (kind == H2_WEBSOCKET ? 3u : 0u);
    require(request.lines.n_fields == expected.lines + added);
}

/* The other way: any bytes, no read beyond them. */
static void read_response(const uint8_t *data, size_t size)
{
    struct h2_response response;
    uint32_t total;
    if (h2_response_read((struct span){data, size}, H2_ASKED_OTHER, &response)) {
        require(response.head_n <= size && response.n_fields >= 1);
        for (uint32_t i = 1; i < response.n_fields; i++)
            require(response.fields[i].value.p + response.fields[i].value.n <= data + size);
    }
    if (h2_trailers_read((struct span){data, size}, response.fields, H2_MAX_FIELDS, &total) >= 0)
        require(total <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t room[ROOM];
    const uint8_t *at = data, *end = data + size;
    struct h2_head head;
    struct expected expected = {0, false};
    if (size == 0)
        return 0;
    enum h2_body body = (*at++ & 1) != 0 ? H2_BODY_FOLLOWS : H2_BODY_NONE;
    h2_head_init(&head, H2_REQUEST, room, sizeof room);
    while (at < end) {
        struct span name = take(&at, end), value = take(&at, end);
        if (h2_head_add(&head, name, value) == H2_FINE)
            expect(&expected, &head, name);
        require(head.n <= sizeof room);
    }
    check(&head, expected, body);
    read_response(data, size);
    return 0;
}
