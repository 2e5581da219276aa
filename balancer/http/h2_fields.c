#include "balancer/http/h2_fields.h"

#include <string.h>

#include "balancer/http/h1_chars.h"

bool h2_line_next(struct span bytes, size_t *at, struct span *ret_line)
{
    const uint8_t *begin = bytes.p + *at;
    const uint8_t *end = bytes.n > *at ? memchr(begin, '\n', bytes.n - *at) : NULL;
    if (end == NULL || end == begin || end[-1] != '\r')
        return false;
    *ret_line = (struct span){begin, (size_t)(end - 1 - begin)};
    *at += (size_t)(end + 1 - begin);
    return true;
}

bool h2_line_split(struct span line, struct h2_field *ret_field)
{
    const uint8_t *colon = memchr(line.p, ':', line.n);
    if (colon == NULL || colon == line.p)
        return false;
    const uint8_t *value = colon + 1, *end = line.p + line.n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *ret_field = (struct h2_field){.name = {line.p, (size_t)(colon - line.p)},
                                   .value = {value, (size_t)(end - value)}};
    return true;
}

uint64_t h2_number_read(struct span digits)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digits.n && h1_is_digit(digits.p[i]); i++)
        number = number * 10 + (uint64_t)(digits.p[i] - '0');
    return number;
}

bool h2_field_note(struct h1_framing *framing, enum h1_field_id id, const struct h2_field *field)
{
    switch (id) {
    case H1_CONTENT_LENGTH:
        framing->content_length = h2_number_read(field->value);
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

int h2_trailers_read(struct span bytes, struct h2_field *fields, uint32_t max, uint32_t *ret_n)
{
    struct span line;
    size_t at = 0;
    uint32_t n = 0;
    while (h2_line_next(bytes, &at, &line)) {
        if (line.n == 0) {
            *ret_n = (uint32_t)at;
            return (int)n;
        }
        if (n == max || !h2_line_split(line, &fields[n]))
            return -1;
        n++;
    }
    return -1;
}
