#include "balancer/http/key_body.h"

#include <assert.h>

#include "balancer/http/h1_chars.h"

/* The first field of this name; empty if there is none. */
static struct span field_value(const struct h1_request *request, const uint8_t *message,
                               struct span name)
{
    for (uint32_t i = 0; i < request->lines.n_fields; i++) {
        const struct h1_field *field = &request->lines.fields[i];
        if (span_equal_nocase(h1_field_name(field, message), name))
            return h1_field_value(field, message);
    }
    return SPAN("");
}

/* type/subtype, without parameters (RFC 9110 section 8.3.1). */
static struct span content_type(const struct h1_request *request, const uint8_t *message)
{
    struct span type = field_value(request, message, SPAN("content-type"));
    const uint8_t *semicolon = type.n > 0 ? memchr(type.p, ';', type.n) : NULL;
    if (semicolon != NULL)
        type.n = (size_t)(semicolon - type.p);
    return h1_trim(type);
}

static bool is_json_type(struct span type)
{
    struct span suffix = SPAN("+json");
    if (type.n > suffix.n &&
        span_equal_nocase((struct span){type.p + type.n - suffix.n, suffix.n}, suffix))
        return true;
    return span_equal_nocase(type, SPAN("application/json"));
}

static bool is_form_type(struct span type)
{
    return span_equal_nocase(type, SPAN("application/x-www-form-urlencoded"));
}

static bool is_coded(const struct h1_request *request, const uint8_t *message)
{
    struct span coding = field_value(request, message, SPAN("content-encoding"));
    return coding.n > 0 && !span_equal_nocase(coding, SPAN("identity"));
}

static void begin_field(struct key_body_field *field, const struct conf_key_part *part,
                        enum field_status status)
{
    field->is_json = part->source == CONF_KEY_JSON;
    field->is_required = (part->filters & CONF_KEY_OPTIONAL) == 0;
    field->status = status;
    field->value = SPAN("");
    key_text_begin(&field->text, field->room, sizeof field->room);
    if (field->is_json)
        json_field_begin(&field->json, part->name);
    else
        form_field_begin(&field->form, part->name);
}

void key_body_begin(struct key_body *body, const struct conf_key *key,
                    const struct h1_request *request, const uint8_t *message)
{
    body->n = 0;
    if (key->n_body_fields == 0)
        return;
    struct span type = content_type(request, message);
    bool is_readable = request->framing.body != H1_BODY_NONE && !is_coded(request, message);
    for (uint32_t i = 0; i < key->n_parts; i++) {
        const struct conf_key_part *part = &key->parts[i];
        if (part->source != CONF_KEY_JSON && part->source != CONF_KEY_FORM)
            continue;
        bool fits = part->source == CONF_KEY_JSON ? is_json_type(type) : is_form_type(type);
        assert(body->n < CONF_KEY_MAX_BODY_FIELDS);
        begin_field(&body->fields[body->n++], part,
                    is_readable && fits ? FIELD_MORE : FIELD_ABSENT);
    }
}

bool key_body_waits(const struct key_body *body)
{
    bool waits = false;
    for (uint32_t i = 0; i < body->n; i++) {
        const struct key_body_field *field = &body->fields[i];
        if (field->status == FIELD_ABSENT && field->is_required)
            return false;
        waits = waits || field->status == FIELD_MORE;
    }
    return waits;
}

static void set_status(struct key_body_field *field, enum field_status status)
{
    field->status = status;
    if (status == FIELD_FOUND)
        field->value = key_text_end(&field->text);
}

void key_body_feed(struct key_body *body, struct span bytes)
{
    for (uint32_t i = 0; i < body->n; i++) {
        struct key_body_field *field = &body->fields[i];
        if (field->status == FIELD_MORE)
            set_status(field, field->is_json ? json_field_feed(&field->json, bytes, &field->text)
                                             : form_field_feed(&field->form, bytes, &field->text));
    }
}

void key_body_end(struct key_body *body)
{
    for (uint32_t i = 0; i < body->n; i++) {
        struct key_body_field *field = &body->fields[i];
        if (field->status == FIELD_MORE)
            set_status(field,
                       field->is_json ? FIELD_ABSENT : form_field_end(&field->form, &field->text));
    }
}

void key_body_give_up(struct key_body *body)
{
    for (uint32_t i = 0; i < body->n; i++)
        if (body->fields[i].status == FIELD_MORE)
            body->fields[i].status = FIELD_ABSENT;
}

struct span key_body_value(const struct key_body *body, uint32_t i)
{
    return body != NULL && i < body->n ? body->fields[i].value : SPAN("");
}
