#include "balancer/http/h2_response.h"

/* "HTTP/1.1 200 " */
#define STATUS_AT 9
#define STATUS_BYTES 3
#define STATUS_LINE_LEAST (STATUS_AT + STATUS_BYTES + 1)

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
    if (!h2_line_next(bytes, &at, &line) || line.n < STATUS_LINE_LEAST)
        return false;
    struct span digits = {line.p + STATUS_AT, STATUS_BYTES};
    response->head_n = (uint32_t)at;
    response->status = (uint16_t)h2_number_read(digits);
    response->is_tunnel = response->status == 101;
    response->framing = (struct h1_framing){.body = H1_BODY_UNTIL_CLOSE};
    response->fields[0] = (struct h2_field){.name = SPAN(":status"), .value = digits};
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
    while (h2_line_next(bytes, &at, &line)) {
        if (line.n == 0) {
            response->head_n = (uint32_t)at;
            settle_framing(response, asked);
            return true;
        }
        struct h2_field *field = &response->fields[response->n_fields];
        if (response->n_fields == H2_MAX_FIELDS || !h2_line_split(line, field))
            return false;
        if (h2_field_note(&response->framing, h1_field_lookup(field->name), field) &&
            !is_accept(response, field))
            response->n_fields++;
    }
    return false;
}
