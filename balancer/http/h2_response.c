#include "balancer/http/h2_response.h"

#include "balancer/http/h1_chars.h"

/* "HTTP/1.1 200 " */
#define STATUS_AT 9
#define STATUS_BYTES 3
#define STATUS_LINE_LEAST (STATUS_AT + STATUS_BYTES + 1)

/* The line at *at without its CRLF, *at moved behind it; false if it has no end. */
static bool next_line(struct span bytes, size_t *at, struct span *ret_line)
{
    const uint8_t *begin = bytes.p + *at;
    const uint8_t *end = bytes.n > *at ? memchr(begin, '\n', bytes.n - *at) : NULL;
    if (end == NULL || end == begin || end[-1] != '\r')
        return false;
    *ret_line = (struct span){begin, (size_t)(end - 1 - begin)};
    *at += (size_t)(end + 1 - begin);
    return true;
}

static bool split(struct span line, struct h2_field *ret_field)
{
    const uint8_t *colon = memchr(line.p, ':', line.n);
    if (colon == NULL || colon == line.p)
        return false;
    const uint8_t *value = colon + 1, *end = line.p + line.n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *ret_field =
        (struct h2_field){{line.p, (size_t)(colon - line.p)}, {value, (size_t)(end - value)}};
    return true;
}

static uint64_t read_number(struct span digits)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digits.n && h1_is_digit(digits.p[i]); i++)
        number = number * 10 + (uint64_t)(digits.p[i] - '0');
    return number;
}

/* Takes note of framing; whether the field stays. */
static bool take_field(struct h2_response *response, const struct h2_field *field)
{
    struct h1_framing *framing = &response->framing;
    switch (h1_field_lookup(field->name)) {
    case H1_CONTENT_LENGTH:
        framing->content_length = read_number(field->value);
        framing->has_content_length = true;
        if (framing->body != H1_BODY_CHUNKED)
            framing->body = H1_BODY_LENGTH;
        return true;
    case H1_TRANSFER_ENCODING:
        framing->body = H1_BODY_CHUNKED;
        return false;
    case H1_CONNECTION:
    case H1_KEEP_ALIVE:
    case H1_PROXY_CONNECTION:
    case H1_UPGRADE:
        return false;
    default:
        return true;
    }
}

/* RFC 9112 section 6.3. */
static void settle_framing(struct h2_response *response, enum h2_asked asked)
{
    uint16_t status = response->status;
    struct h1_framing *framing = &response->framing;
    if (response->is_tunnel)
        framing->body = H1_BODY_UNTIL_CLOSE;
    else if (asked == H2_ASKED_HEAD || status < 200 || status == 204 || status == 304 ||
             (framing->body == H1_BODY_LENGTH && framing->content_length == 0))
        framing->body = H1_BODY_NONE;
}

static bool read_status(struct span bytes, struct h2_response *response)
{
    struct span line;
    size_t at = 0;
    if (!next_line(bytes, &at, &line) || line.n < STATUS_LINE_LEAST)
        return false;
    struct span digits = {line.p + STATUS_AT, STATUS_BYTES};
    response->head_n = (uint32_t)at;
    response->status = (uint16_t)read_number(digits);
    response->is_tunnel = response->status == 101;
    response->framing = (struct h1_framing){.body = H1_BODY_UNTIL_CLOSE};
    response->fields[0] = (struct h2_field){SPAN(":status"), digits};
    if (response->is_tunnel) {
        response->status = 200;
        response->fields[0].value = SPAN("200");
    }
    response->n_fields = 1;
    return true;
}

/* What proves that the endpoint has read the key says nothing to a client that sent none. */
static bool is_accept(const struct h2_response *response, const struct h2_field *field)
{
    return response->is_tunnel && span_equal_nocase(field->name, SPAN("sec-websocket-accept"));
}

bool h2_response_read(struct span bytes, enum h2_asked asked, struct h2_response *response)
{
    struct span line;
    if (!read_status(bytes, response))
        return false;
    size_t at = response->head_n;
    while (next_line(bytes, &at, &line)) {
        if (line.n == 0) {
            response->head_n = (uint32_t)at;
            settle_framing(response, asked);
            return true;
        }
        struct h2_field *field = &response->fields[response->n_fields];
        if (response->n_fields == H2_MAX_RESPONSE_FIELDS || !split(line, field))
            return false;
        if (take_field(response, field) && !is_accept(response, field))
            response->n_fields++;
    }
    return false;
}

int h2_trailers_read(struct span bytes, struct h2_field *fields, uint32_t max, uint32_t *ret_n)
{
    struct span line;
    size_t at = 0;
    uint32_t n = 0;
    while (next_line(bytes, &at, &line)) {
        if (line.n == 0) {
            *ret_n = (uint32_t)at;
            return (int)n;
        }
        if (n == max || !split(line, &fields[n]))
            return -1;
        n++;
    }
    return -1;
}
