#include "balancer/http/h1.h"
#include "balancer/http/h1_lines.h"

void h1_trailers_init(struct h1_trailers *trailers, struct h1_field *fields)
{
    trailers->total_n = 0;
    h1_lines_init(&trailers->lines, fields);
    trailers->reason = REASON_OK;
}

/*
 * Whether the field must not come behind the body (RFC 9110 section 6.5.1): it frames, routes,
 * authenticates, or says how the content or the request is to be read. Of the fields the proxy
 * knows, only Date and the descriptive ones are harmless.
 */
static bool is_forbidden(const struct h1_field *field, struct span name)
{
    static const char *const others[] = {
        "cache-control", "content-encoding",  "content-range",       "content-type",
        "if-match",      "if-modified-since", "if-none-match",       "if-range",
        "range",         "set-cookie",        "if-unmodified-since", "location",
        "vary",          "www-authenticate",
    };
    if (field->id != H1_OTHER)
        return field->id != H1_DATE && field->id != H1_USER_AGENT && field->id != H1_REFERER;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (span_equal_nocase(name, span_of(others[i])))
            return true;
    return false;
}

static void mark_newest(struct h1_lines *lines, const uint8_t *bytes)
{
    struct h1_field *field = &lines->fields[lines->n_fields - 1];
    field->is_hop = is_forbidden(field, h1_field_name(field, bytes));
}

enum h1_status h1_trailers_parse(struct h1_trailers *trailers, const struct h1_limits *limits,
                                 enum reason bad, const uint8_t *bytes, size_t n)
{
    if (trailers->reason != REASON_OK)
        return H1_ERROR;
    if (trailers->total_n > 0)
        return H1_DONE;
    size_t within = n < limits->head_bytes ? n : limits->head_bytes;
    enum line_result result = LINE_MORE;
    do {
        result = h1_lines_field(&trailers->lines, limits->fields, bytes, within);
        if (result == LINE_FIELD)
            mark_newest(&trailers->lines, bytes);
    } while (result == LINE_FIELD);

    if (result == LINE_END) {
        trailers->total_n = trailers->lines.at;
        return H1_DONE;
    }
    if (result == LINE_MORE && n < limits->head_bytes)
        return H1_MORE;
    trailers->reason = bad;
    return H1_ERROR;
}
