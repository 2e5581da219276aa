#include "balancer/http/form_field.h"

#include <assert.h>

#include "balancer/http/h1_chars.h"

void form_field_begin(struct form_field *field, const char *name)
{
    *field = (struct form_field){.name = name, .name_n = (uint32_t)strlen(name)};
}

/* A byte as decoded. */
static void put(struct form_field *field, uint8_t c, struct key_text *value)
{
    if (field->differs)
        return;
    if (field->is_in_value)
        key_text_add(value, (struct span){&c, 1});
    else if (field->matched < field->name_n && (uint8_t)field->name[field->matched] == c)
        field->matched++;
    else
        field->differs = true;
}

/* An escape that turned out to be none stands for itself. */
static void give_up_escape(struct form_field *field, struct key_text *value)
{
    uint8_t n = field->n_escape;
    field->n_escape = 0;
    if (n > 0)
        put(field, '%', value);
    if (n > 1)
        put(field, field->first_digit, value);
}

/* Returns whether c belonged to the escape. */
static bool take_escape(struct form_field *field, uint8_t c, struct key_text *value)
{
    int low = h1_hex_value(c);
    if (low < 0) {
        give_up_escape(field, value);
        return false;
    }
    if (field->n_escape == 1) {
        field->n_escape = 2;
        field->first_digit = c;
        return true;
    }
    int high = h1_hex_value(field->first_digit);
    assert(high >= 0);
    field->n_escape = 0;
    put(field, (uint8_t)(high << 4 | low), value);
    return true;
}

/* A field ends: is it the one? */
static enum field_status end_pair(struct form_field *field)
{
    bool is_ours = !field->differs && (field->is_in_value || field->matched == field->name_n);
    form_field_begin(field, field->name);
    return is_ours ? FIELD_FOUND : FIELD_MORE;
}

static enum field_status take(struct form_field *field, uint8_t c, struct key_text *value)
{
    if (field->n_escape > 0 && take_escape(field, c, value))
        return FIELD_MORE;
    if (c == '&')
        return end_pair(field);
    if (c == '=' && !field->is_in_value) {
        field->is_in_value = true;
        field->differs = field->differs || field->matched != field->name_n;
    } else if (c == '%') {
        field->n_escape = 1;
    } else {
        put(field, c == '+' ? ' ' : c, value);
    }
    return FIELD_MORE;
}

enum field_status form_field_feed(struct form_field *field, struct span bytes,
                                  struct key_text *value)
{
    for (size_t i = 0; i < bytes.n; i++)
        if (take(field, bytes.p[i], value) == FIELD_FOUND)
            return FIELD_FOUND;
    return FIELD_MORE;
}

enum field_status form_field_end(struct form_field *field, struct key_text *value)
{
    give_up_escape(field, value);
    return end_pair(field) == FIELD_FOUND ? FIELD_FOUND : FIELD_ABSENT;
}
