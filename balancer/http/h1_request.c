#include <assert.h>

#include "balancer/http/h1.h"
#include "balancer/http/h1_authority.h"
#include "balancer/http/h1_chars.h"
#include "balancer/http/h1_lines.h"

/* What a request line may need beside its target: a long method, two spaces, the version, CRLF. */
#define START_LINE_EXTRA 64

static const struct {
    enum h1_method method;
    struct span text;
} methods[] = {
#define METHOD(id, literal)                                                                        \
    {                                                                                              \
        id,                                                                                        \
        {                                                                                          \
            (const uint8_t *)(literal), sizeof(literal) - 1                                        \
        }                                                                                          \
    }
    METHOD(H1_GET, "GET"),     METHOD(H1_POST, "POST"),       METHOD(H1_HEAD, "HEAD"),
    METHOD(H1_PUT, "PUT"),     METHOD(H1_DELETE, "DELETE"),   METHOD(H1_OPTIONS, "OPTIONS"),
    METHOD(H1_PATCH, "PATCH"), METHOD(H1_CONNECT, "CONNECT"), METHOD(H1_TRACE, "TRACE"),
#undef METHOD
};

bool h1_method_is_idempotent(enum h1_method method)
{
    switch (method) {
    case H1_GET:
    case H1_HEAD:
    case H1_PUT:
    case H1_DELETE:
    case H1_OPTIONS:
    case H1_TRACE:
        return true;
    default:
        return false;
    }
}

static enum h1_method method_lookup(struct span text)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (span_equal(text, methods[i].text))
            return methods[i].method;
    return H1_METHOD_OTHER;
}

void h1_request_init(struct h1_request *request, struct h1_field *fields)
{
    request->head_n = 0;
    request->minor = 0;
    request->method = H1_METHOD_OTHER;
    request->method_text = (struct h1_range){0, 0};
    request->target = (struct h1_range){0, 0};
    request->path = (struct h1_range){0, 0};
    request->query = (struct h1_range){0, 0};
    request->authority = (struct h1_range){0, 0};
    request->is_absolute_form = false;
    request->expects_continue = false;
    request->accepts_trailers = false;
    request->framing = (struct h1_framing){.body = H1_BODY_NONE};
    h1_lines_init(&request->lines, fields);
    request->reason = REASON_OK;
}

static struct h1_range range_of(struct span text, const uint8_t *message)
{
    return (struct h1_range){(uint32_t)(text.p - message), (uint32_t)text.n};
}

/* Drops n bytes off the front. */
static struct span rest_of(struct span text, size_t n)
{
    assert(n <= text.n);
    return (struct span){text.p + n, text.n - n};
}

/* path [ "?" query ] and nothing behind it. */
static bool parse_path(struct h1_request *request, struct span text, const uint8_t *message)
{
    size_t path_n = h1_chars_run(text, H1_CHAR_PATH);
    request->path = range_of((struct span){text.p, path_n}, message);
    if (path_n == text.n)
        return true;
    if (text.p[path_n] != '?')
        return false;
    struct span query = rest_of(text, path_n + 1);
    request->query = range_of(query, message);
    return h1_chars_run(query, H1_CHAR_QUERY) == query.n;
}

static size_t scheme_length(struct span target)
{
    static const struct span schemes[] = {
        {(const uint8_t *)"http://", 7},
        {(const uint8_t *)"https://", 8},
    };
    for (size_t i = 0; i < 2; i++) {
        size_t n = schemes[i].n;
        if (target.n >= n && span_equal_nocase((struct span){target.p, n}, schemes[i]))
            return n;
    }
    return 0;
}

static bool parse_absolute(struct h1_request *request, struct span target, const uint8_t *message)
{
    size_t scheme_n = scheme_length(target);
    if (scheme_n == 0)
        return false;
    struct span rest = rest_of(target, scheme_n);
    size_t authority_n = 0;
    while (authority_n < rest.n && rest.p[authority_n] != '/' && rest.p[authority_n] != '?')
        authority_n++;
    struct span authority = {rest.p, authority_n};
    request->is_absolute_form = true;
    request->authority = range_of(authority, message);
    return h1_authority_is_valid(authority) &&
           parse_path(request, rest_of(rest, authority_n), message);
}

static bool parse_target(struct h1_request *request, struct span target, const uint8_t *message)
{
    if (target.n == 0)
        return false;
    if (target.p[0] == '/')
        return parse_path(request, target, message);
    if (target.n == 1 && target.p[0] == '*') {
        request->path = request->target;
        return request->method == H1_OPTIONS;
    }
    return parse_absolute(request, target, message);
}

/* method SP request-target SP HTTP-version (RFC 9112 section 3). */
static enum reason parse_start_line(struct h1_request *request, const struct h1_limits *limits,
                                    struct span line, const uint8_t *message)
{
    struct span method = {line.p, h1_chars_run(line, H1_CHAR_TOKEN)};
    if (method.n == 0 || method.n == line.n || line.p[method.n] != ' ')
        return REASON_BAD_REQUEST;
    struct span rest = rest_of(line, method.n + 1);
    const uint8_t *space = memchr(rest.p, ' ', rest.n);
    if (space == NULL)
        return REASON_BAD_REQUEST;
    struct span target = {rest.p, (size_t)(space - rest.p)};
    enum reason reason = h1_version_parse(rest_of(rest, target.n + 1), &request->minor);
    if (reason != REASON_OK)
        return reason;

    request->method_text = range_of(method, message);
    request->method = method_lookup(method);
    request->target = range_of(target, message);
    if (target.n > limits->target_bytes)
        return REASON_TARGET_TOO_LONG;
    if (request->method == H1_CONNECT)
        return REASON_METHOD_REFUSED;
    return parse_target(request, target, message) ? REASON_OK : REASON_BAD_REQUEST;
}

static bool note_host(struct h1_request *request, const struct h1_field *field,
                      const uint8_t *message)
{
    if ((request->lines.seen & SEEN_HOST) != 0)
        return false;
    request->lines.seen |= SEEN_HOST;
    struct span value = h1_field_value(field, message);
    if (!request->is_absolute_form)
        request->authority = range_of(value, message);
    return value.n == 0 || h1_authority_is_valid(value);
}

static enum reason note_expect(struct h1_request *request, struct span value)
{
    struct span expectation;
    while (h1_list_next(&value, &expectation))
        if (!span_equal_nocase(expectation, SPAN("100-continue")))
            return REASON_EXPECTATION_FAILED;
    /* RFC 9110 section 10.1.1: an HTTP/1.0 client does not wait. */
    request->expects_continue = request->minor > 0;
    return REASON_OK;
}

static void note_te(struct h1_request *request, struct span value)
{
    struct span coding;
    while (h1_list_next(&value, &coding))
        if (span_equal_nocase(coding, SPAN("trailers")))
            request->accepts_trailers = true;
}

/* Takes notice of the newest field. */
static enum reason note_field(struct h1_request *request, const uint8_t *message)
{
    const struct h1_field *field = &request->lines.fields[request->lines.n_fields - 1];
    switch (field->id) {
    case H1_OTHER:
        return REASON_OK;
    case H1_HOST:
        return note_host(request, field, message) ? REASON_OK : REASON_BAD_REQUEST;
    case H1_EXPECT:
        return note_expect(request, h1_field_value(field, message));
    case H1_TE:
        note_te(request, h1_field_value(field, message));
        return REASON_OK;
    default:
        return h1_framing_note(&request->framing, &request->lines, message) ? REASON_OK
                                                                            : REASON_BAD_REQUEST;
    }
}

static enum h1_status fail(struct h1_request *request, enum reason reason)
{
    request->reason = reason;
    return H1_ERROR;
}

static enum h1_status finish(struct h1_request *request, const uint8_t *message)
{
    if (request->minor > 0 && (request->lines.seen & SEEN_HOST) == 0)
        return fail(request, REASON_BAD_REQUEST);
    enum reason reason = h1_framing_settle(&request->framing, &request->lines, request->minor,
                                           H1_BODY_NONE, message);
    if (reason != REASON_OK)
        return fail(request, reason);
    request->head_n = request->lines.at;
    return H1_DONE;
}

static enum h1_status parse_start(struct h1_request *request, const struct h1_limits *limits,
                                  const uint8_t *bytes, size_t n)
{
    size_t longest = (size_t)limits->target_bytes + START_LINE_EXTRA;
    if (longest > limits->head_bytes)
        longest = limits->head_bytes;
    struct span line;
    enum line_result result =
        h1_lines_start(&request->lines, bytes, n < longest ? n : longest, &line);
    if (result == LINE_MORE)
        return n < longest ? H1_MORE : fail(request, REASON_TARGET_TOO_LONG);
    if (result != LINE_START)
        return fail(request, REASON_BAD_REQUEST);
    enum reason reason = parse_start_line(request, limits, line, bytes);
    return reason == REASON_OK ? H1_DONE : fail(request, reason);
}

static enum reason reason_of(enum line_result result)
{
    return result == LINE_TOO_MANY ? REASON_HEAD_TOO_LARGE : REASON_BAD_REQUEST;
}

static enum h1_status parse_fields(struct h1_request *request, const struct h1_limits *limits,
                                   const uint8_t *bytes, size_t n)
{
    size_t within = n < limits->head_bytes ? n : limits->head_bytes;
    while (true) {
        enum line_result result = h1_lines_field(&request->lines, limits->fields, bytes, within);
        if (result == LINE_END)
            return finish(request, bytes);
        if (result == LINE_MORE)
            return n < limits->head_bytes ? H1_MORE : fail(request, REASON_HEAD_TOO_LARGE);
        enum reason reason = result == LINE_FIELD ? note_field(request, bytes) : reason_of(result);
        if (reason != REASON_OK)
            return fail(request, reason);
    }
}

enum h1_status h1_request_parse(struct h1_request *request, const struct h1_limits *limits,
                                const uint8_t *bytes, size_t n)
{
    if (request->reason != REASON_OK)
        return H1_ERROR;
    if (request->head_n > 0)
        return H1_DONE;
    if (!request->lines.has_start_line) {
        enum h1_status status = parse_start(request, limits, bytes, n);
        if (status != H1_DONE)
            return status;
    }
    return parse_fields(request, limits, bytes, n);
}

size_t h1_skip_empty_lines(const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (n - at >= 2 && bytes[at] == '\r' && bytes[at + 1] == '\n')
        at += 2;
    return at;
}
