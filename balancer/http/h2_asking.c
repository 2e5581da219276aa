#include "balancer/http/h2_asking.h"

#include <string.h>

/* Where the pseudo-fields stand. */
enum { METHOD, SCHEME, PATH, AUTHORITY, PSEUDO_FIELDS };

/* "GET /path HTTP/1.1" */
static bool read_request_line(struct span bytes, struct span scheme, struct h2_asking *asking)
{
    struct span line;
    size_t at = 0;
    if (!h2_line_next(bytes, &at, &line))
        return false;
    const uint8_t *space = memchr(line.p, ' ', line.n);
    const uint8_t *last = memrchr(line.p, ' ', line.n);
    if (space == NULL || last <= space + 1)
        return false;
    struct span method = {line.p, (size_t)(space - line.p)};
    struct span path = {space + 1, (size_t)(last - space - 1)};
    asking->head_n = (uint32_t)at;
    asking->asked = span_equal(method, SPAN("HEAD")) ? H2_ASKED_HEAD : H2_ASKED_OTHER;
    asking->framing = (struct h1_framing){.body = H1_BODY_NONE};
    asking->fields[METHOD] = (struct h2_field){.name = SPAN(":method"), .value = method};
    asking->fields[SCHEME] = (struct h2_field){.name = SPAN(":scheme"), .value = scheme};
    asking->fields[PATH] = (struct h2_field){.name = SPAN(":path"), .value = path};
    asking->fields[AUTHORITY] = (struct h2_field){.name = SPAN(":authority"), .value = {NULL, 0}};
    asking->n_fields = PSEUDO_FIELDS;
    return true;
}

/* Secrets above all: who can see how long heads are could try what is in the table. What hardly
 * ever comes again would only drive out what does. */
static bool is_private(enum h1_field_id id)
{
    switch (id) {
    case H1_AUTHORIZATION:
    case H1_COOKIE:
    case H1_FORWARDED:
    case H1_X_FORWARDED_FOR:
    case H1_TRACEPARENT:
    case H1_TRACESTATE:
    case H1_REFERER:
        return true;
    default:
        return false;
    }
}

static void take_field(struct h2_asking *asking, struct span id_name, struct h2_field *field)
{
    enum h1_field_id id = h1_field_lookup(field->name);
    if (id == H1_HOST) {
        asking->fields[AUTHORITY].value = field->value;
        return;
    }
    field->is_private =
        is_private(id) || (id == H1_OTHER && span_equal_nocase(field->name, id_name));
    if (h2_field_note(&asking->framing, id, field))
        asking->n_fields++;
}

static void finish(struct h2_asking *asking)
{
    struct h2_field *fields = asking->fields;
    if (asking->framing.body == H1_BODY_LENGTH && asking->framing.content_length == 0)
        asking->framing.body = H1_BODY_NONE;
    if (fields[AUTHORITY].value.n > 0)
        return;
    asking->n_fields--;
    memmove(&fields[AUTHORITY], &fields[PSEUDO_FIELDS],
            (asking->n_fields - AUTHORITY) * sizeof *fields);
}

bool h2_asking_read(struct span bytes, struct span scheme, struct span id_name,
                    struct h2_asking *asking)
{
    struct span line;
    if (!read_request_line(bytes, scheme, asking))
        return false;
    size_t at = asking->head_n;
    while (h2_line_next(bytes, &at, &line)) {
        if (line.n == 0) {
            asking->head_n = (uint32_t)at;
            finish(asking);
            return true;
        }
        struct h2_field *field = &asking->fields[asking->n_fields];
        if (asking->n_fields == H2_MAX_FIELDS || !h2_line_split(line, field))
            return false;
        take_field(asking, id_name, field);
    }
    return false;
}
