#include "balancer/http/h1.h"
#include "balancer/http/h1_chars.h"
#include "balancer/http/h1_lines.h"

void h1_response_init(struct h1_response *response, struct h1_field *fields)
{
    response->head_n = 0;
    response->minor = 0;
    response->status = 0;
    response->phrase = (struct h1_range){0, 0};
    response->framing = (struct h1_framing){.body = H1_BODY_NONE};
    h1_lines_init(&response->lines, fields);
    response->reason = REASON_OK;
}

static enum h1_status fail(struct h1_response *response)
{
    response->reason = REASON_UPSTREAM_BAD;
    return H1_ERROR;
}

/* HTTP-version SP status-code [ SP [ reason-phrase ] ] (RFC 9112 section 4). */
static bool parse_start_line(struct h1_response *response, struct span line, const uint8_t *message)
{
    if (line.n < 12 || line.p[8] != ' ')
        return false;
    if (h1_version_parse((struct span){line.p, 8}, &response->minor) != REASON_OK)
        return false;
    uint16_t status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (!h1_is_digit(line.p[i]))
            return false;
        status = (uint16_t)(status * 10 + line.p[i] - '0');
    }
    response->status = status;
    if (line.n > 12) {
        response->phrase.at = (uint32_t)(line.p - message) + 13;
        response->phrase.n = (uint32_t)line.n - 13;
    }
    return status >= 100 && (line.n == 12 || line.p[12] == ' ');
}

/* RFC 9112 section 6.3: these end with their head, whatever their fields announce. */
static bool is_bodyless(uint16_t status, enum h1_method method)
{
    return method == H1_HEAD || status < 200 || status == 204 || status == 304;
}

static enum h1_status finish(struct h1_response *response, enum h1_method method,
                             const uint8_t *message)
{
    struct h1_framing *framing = &response->framing;
    if (h1_framing_settle(framing, &response->lines, response->minor, H1_BODY_UNTIL_CLOSE,
                          message) != REASON_OK)
        return fail(response);
    if (is_bodyless(response->status, method))
        framing->body = H1_BODY_NONE;
    if (framing->body == H1_BODY_UNTIL_CLOSE)
        framing->keep_alive = false;
    response->head_n = response->lines.at;
    return H1_DONE;
}

static enum h1_status parse_fields(struct h1_response *response, const struct h1_limits *limits,
                                   enum h1_method method, const uint8_t *bytes, size_t within)
{
    while (true) {
        enum line_result result = h1_lines_field(&response->lines, limits->fields, bytes, within);
        if (result == LINE_END)
            return finish(response, method, bytes);
        if (result == LINE_MORE)
            return within < limits->head_bytes ? H1_MORE : fail(response);
        if (result != LINE_FIELD || !h1_framing_note(&response->framing, &response->lines, bytes))
            return fail(response);
    }
}

enum h1_status h1_response_parse(struct h1_response *response, const struct h1_limits *limits,
                                 enum h1_method method, const uint8_t *bytes, size_t n)
{
    if (response->reason != REASON_OK)
        return H1_ERROR;
    if (response->head_n > 0)
        return H1_DONE;
    size_t within = n < limits->head_bytes ? n : limits->head_bytes;
    if (!response->lines.has_start_line) {
        struct span line;
        enum line_result result = h1_lines_start(&response->lines, bytes, within, &line);
        if (result == LINE_MORE)
            return within < limits->head_bytes ? H1_MORE : fail(response);
        if (result != LINE_START || !parse_start_line(response, line, bytes))
            return fail(response);
    }
    return parse_fields(response, limits, method, bytes, within);
}
