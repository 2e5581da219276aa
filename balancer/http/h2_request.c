#include "balancer/http/h2_request.h"

#include "balancer/http/h1_chars.h"

/* ---- characters ---- */

/* RFC 9113 section 8.2.1, and no other control character but a tab inside. */
static bool is_value(struct span value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((value.p[i] < 0x20 && value.p[i] != '\t') || value.p[i] == 0x7f)
            return false;
    if (value.n == 0)
        return true;
    uint8_t first = value.p[0], last = value.p[value.n - 1];
    return first != ' ' && first != '\t' && last != ' ' && last != '\t';
}

static bool is_lower_token(struct span name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] >= 'A' && name.p[i] <= 'Z')
            return false;
    return h1_is_token(name);
}

/* Visible characters only: it stands between the spaces of a request line. */
static bool is_visible(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= 0x20 || text.p[i] == 0x7f)
            return false;
    return text.n > 0;
}

/* ---- pseudo-fields ---- */

static const struct {
    struct span name;
    size_t range_at; /* of its range in the head */
    enum h2_section section;
} pseudo_fields[] = {
#define PSEUDO(text, field, section)                                                               \
    {                                                                                              \
        {(const uint8_t *)(text), sizeof(text) - 1}, offsetof(struct h2_head, field), section      \
    }
    PSEUDO(":method", method, H2_REQUEST),     PSEUDO(":scheme", scheme, H2_REQUEST),
    PSEUDO(":path", path, H2_REQUEST),         PSEUDO(":authority", authority, H2_REQUEST),
    PSEUDO(":protocol", protocol, H2_REQUEST), PSEUDO(":status", status, H2_RESPONSE),
#undef PSEUDO
};

static bool put(struct h2_head *head, struct span bytes)
{
    if (bytes.n > head->size - head->n)
        return false;
    if (bytes.n > 0)
        memcpy(head->room + head->n, bytes.p, bytes.n);
    head->n += (uint32_t)bytes.n;
    return true;
}

static enum h2_verdict add_pseudo(struct h2_head *head, struct span name, struct span value)
{
    if (head->n > head->fields_at || head->has_host)
        return H2_MALFORMED;
    for (size_t i = 0; i < sizeof pseudo_fields / sizeof *pseudo_fields; i++) {
        if (head->section != pseudo_fields[i].section || !span_equal(name, pseudo_fields[i].name))
            continue;
        uint8_t bit = (uint8_t)(1u << i);
        if ((head->pseudo_seen & bit) != 0 || !is_visible(value))
            return H2_MALFORMED;
        head->pseudo_seen |= bit;
        struct h1_range *range = (struct h1_range *)((char *)head + pseudo_fields[i].range_at);
        *range = (struct h1_range){head->n, (uint32_t)value.n};
        if (!put(head, value))
            return H2_TOO_LARGE;
        head->fields_at = head->n;
        return H2_FINE;
    }
    return H2_MALFORMED;
}

static struct span part(const struct h2_head *head, struct h1_range range)
{
    return (struct span){head->room + range.at, range.n};
}

/* ---- fields ---- */

static enum h2_verdict add_line(struct h2_head *head, struct span name, struct span value)
{
    if (name.n + value.n + 4 > head->size - head->n)
        return H2_TOO_LARGE;
    (void)put(head, name);
    (void)put(head, SPAN(": "));
    (void)put(head, value);
    (void)put(head, SPAN("\r\n"));
    return H2_FINE;
}

/* Cookie may come in crumbs, HTTP/1.1 wants one field (RFC 9113 section 8.2.3). */
static enum h2_verdict add_cookie(struct h2_head *head, struct span value)
{
    if (head->cookie_end == 0) {
        enum h2_verdict verdict = add_line(head, SPAN("cookie"), value);
        head->cookie_end = head->n - 2;
        return verdict;
    }
    uint32_t more = (uint32_t)value.n + 2;
    if (value.n + 2 > head->size - head->n)
        return H2_TOO_LARGE;
    uint8_t *end = head->room + head->cookie_end;
    memmove(end + more, end, head->n - head->cookie_end);
    end[0] = ';';
    end[1] = ' ';
    if (value.n > 0)
        memcpy(end + 2, value.p, value.n);
    head->cookie_end += more;
    head->n += more;
    return H2_FINE;
}

/* Said once, and the same as :authority where there is one. */
static enum h2_verdict add_host(struct h2_head *head, struct span value)
{
    if (head->has_host)
        return H2_MALFORMED;
    head->has_host = true;
    if (head->authority.n > 0)
        return span_equal_nocase(value, part(head, head->authority)) ? H2_FINE : H2_MALFORMED;
    return add_line(head, SPAN("host"), value);
}

static bool is_one_of(struct span name, const struct span *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_equal(name, names[i]))
            return true;
    return false;
}

/* What belongs to a connection of HTTP/1.1 (RFC 9113 section 8.2.2). */
static bool is_connection_field(struct span name)
{
    const struct span names[] = {SPAN("connection"), SPAN("keep-alive"), SPAN("proxy-connection"),
                                 SPAN("transfer-encoding"), SPAN("upgrade")};
    return is_one_of(name, names, sizeof names / sizeof *names);
}

static enum h2_verdict add_other_field(struct h2_head *head, struct span name, struct span value)
{
    head->has_content_length |= span_equal(name, SPAN("content-length"));
    return add_line(head, name, value);
}

static enum h2_verdict add_field(struct h2_head *head, struct span name, struct span value)
{
    if (!is_lower_token(name) || is_connection_field(name))
        return H2_MALFORMED;
    if (head->section != H2_REQUEST)
        return add_other_field(head, name, value);
    if (span_equal(name, SPAN("te")) && !span_equal_nocase(value, SPAN("trailers")))
        return H2_MALFORMED;
    if (span_equal(name, SPAN("host")))
        return add_host(head, value);
    if (span_equal(name, SPAN("cookie")))
        return add_cookie(head, value);
    if (head->protocol.n > 0 && span_equal(name, SPAN("sec-websocket-key")))
        return H2_FINE; /* RFC 8441 section 5: not used there; ours takes its place */
    return add_other_field(head, name, value);
}

void h2_head_init(struct h2_head *head, enum h2_section section, uint8_t *room, uint32_t size)
{
    *head = (struct h2_head){.room = room, .size = size, .section = section};
}

enum h2_verdict h2_head_add(struct h2_head *head, struct span name, struct span value)
{
    if (head->verdict != H2_FINE)
        return head->verdict;
    if (!is_value(value))
        head->verdict = H2_MALFORMED;
    else if (name.n > 0 && name.p[0] == ':')
        head->verdict = add_pseudo(head, name, value);
    else
        head->verdict = add_field(head, name, value);
    return head->verdict;
}

/* ---- the whole ---- */

static enum h2_request_kind kind_of_connect(const struct h2_head *head)
{
    if (head->protocol.n > 0) {
        if (head->scheme.n == 0 || head->path.n == 0 || head->authority.n == 0 ||
            head->has_content_length)
            return H2_INVALID;
        bool is_websocket = span_equal_nocase(part(head, head->protocol), SPAN("websocket"));
        return is_websocket ? H2_WEBSOCKET : H2_OTHER_PROTOCOL;
    }
    return head->scheme.n == 0 && head->path.n == 0 && head->authority.n > 0 ? H2_PLAIN
                                                                             : H2_INVALID;
}

enum h2_request_kind h2_request_kind(const struct h2_head *head)
{
    struct span method = part(head, head->method), path = part(head, head->path);
    if (head->verdict == H2_MALFORMED || !h1_is_token(method))
        return H2_INVALID;
    if (span_equal(method, SPAN("CONNECT")))
        return kind_of_connect(head);
    if (head->protocol.n > 0 || head->scheme.n == 0 || path.n == 0)
        return H2_INVALID;
    bool is_asterisk = span_equal(method, SPAN("OPTIONS")) && span_equal(path, SPAN("*"));
    return path.p[0] == '/' || is_asterisk ? H2_PLAIN : H2_INVALID;
}

size_t h2_request_spans(const struct h2_head *head, enum h2_request_kind kind, enum h2_body body,
                        struct span websocket_key, struct span ret_spans[H2_REQUEST_SPANS])
{
    bool is_websocket = kind == H2_WEBSOCKET;
    struct span authority = part(head, head->authority);
    size_t n = 0;
    ret_spans[n++] = is_websocket ? SPAN("GET") : part(head, head->method);
    ret_spans[n++] = SPAN(" ");
    ret_spans[n++] = head->path.n > 0 ? part(head, head->path) : authority;
    ret_spans[n++] = SPAN(" HTTP/1.1\r\n");
    if (authority.n > 0) {
        ret_spans[n++] = SPAN("Host: ");
        ret_spans[n++] = authority;
        ret_spans[n++] = SPAN("\r\n");
    }
    ret_spans[n++] = h2_head_fields(head);
    if (is_websocket) {
        ret_spans[n++] = SPAN("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ");
        ret_spans[n++] = websocket_key;
        ret_spans[n++] = SPAN("\r\n");
    } else if (body == H2_BODY_FOLLOWS && !head->has_content_length) {
        ret_spans[n++] = SPAN("Transfer-Encoding: chunked\r\n");
    }
    ret_spans[n++] = SPAN("\r\n");
    return n;
}
