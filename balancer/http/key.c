#include "balancer/http/key.h"

#include "balancer/http/h1_chars.h"

static struct span at_range(struct h1_range range, const uint8_t *message)
{
    return (struct span){message + range.at, range.n};
}

static struct span or_slash(struct span path)
{
    return path.n > 0 ? path : SPAN("/");
}

/* From the path to the end of the target, which has no fragment. */
static struct span uri_of(const struct h1_request *request, const uint8_t *message)
{
    uint32_t end = request->target.at + request->target.n;
    return (struct span){message + request->path.at, end - request->path.at};
}

/* Takes the next piece of a list off its front; false when there is none left. */
static bool next_piece(struct span *list, uint8_t separator, struct span *ret_piece)
{
    if (list->n == 0)
        return false;
    const uint8_t *at = memchr(list->p, separator, list->n);
    size_t n = at != NULL ? (size_t)(at - list->p) : list->n;
    *ret_piece = (struct span){list->p, n};
    size_t used = at != NULL ? n + 1 : n;
    *list = (struct span){list->p + used, list->n - used};
    return true;
}

/* Whether the piece is `name=value` or `name` alone, which has an empty value. */
static bool is_pair_of(struct span piece, struct span name, struct span *ret_value)
{
    if (piece.n < name.n || !span_equal((struct span){piece.p, name.n}, name))
        return false;
    if (piece.n > name.n && piece.p[name.n] != '=')
        return false;
    size_t used = piece.n > name.n ? name.n + 1 : name.n;
    *ret_value = (struct span){piece.p + used, piece.n - used};
    return true;
}

static struct span query_argument(struct span query, struct span name)
{
    struct span piece, value;
    while (next_piece(&query, '&', &piece))
        if (is_pair_of(piece, name, &value))
            return value;
    return SPAN("");
}

static struct span header_value(const struct h1_request *request, const uint8_t *message,
                                struct span name)
{
    for (uint32_t i = 0; i < request->lines.n_fields; i++) {
        const struct h1_field *field = &request->lines.fields[i];
        if (!span_equal_nocase(h1_field_name(field, message), name))
            continue;
        return field->id == H1_HOST ? at_range(request->authority, message)
                                    : h1_field_value(field, message);
    }
    return SPAN("");
}

static bool cookie_in(struct span cookies, struct span name, struct span *ret_value)
{
    struct span piece;
    while (next_piece(&cookies, ';', &piece))
        if (is_pair_of(h1_trim(piece), name, ret_value))
            return true;
    return false;
}

static struct span cookie_value(const struct h1_request *request, const uint8_t *message,
                                struct span name)
{
    struct span value;
    for (uint32_t i = 0; i < request->lines.n_fields; i++) {
        const struct h1_field *field = &request->lines.fields[i];
        if (field->id == H1_COOKIE && cookie_in(h1_field_value(field, message), name, &value))
            return value;
    }
    return SPAN("");
}

static struct span find_key(const struct conf_key *key, const struct h1_request *request,
                            const uint8_t *message, struct span client_address)
{
    switch (key->source) {
    case CONF_KEY_NONE:
        break;
    case CONF_KEY_PATH:
        return or_slash(at_range(request->path, message));
    case CONF_KEY_URI:
        return or_slash(uri_of(request, message));
    case CONF_KEY_QUERY:
        return query_argument(at_range(request->query, message), span_of(key->name));
    case CONF_KEY_HEADER:
        return header_value(request, message, span_of(key->name));
    case CONF_KEY_COOKIE:
        return cookie_value(request, message, span_of(key->name));
    case CONF_KEY_CLIENT:
        return client_address;
    }
    return SPAN("");
}

bool key_extract(const struct conf_key *key, const struct h1_request *request,
                 const uint8_t *message, struct span client_address, struct span *ret_key)
{
    struct span found = find_key(key, request, message, client_address);
    if (found.n == 0)
        return false;
    *ret_key = found;
    return true;
}
