#include "balancer/http/key.h"

#include <assert.h>

#include "balancer/http/cidr.h"
#include "balancer/http/cookie.h"

/* As many arguments are sorted; more stay in their order behind them. */
#define MAX_SORTED 256

static_assert(KEY_ROOM_BYTES >= INET6_ADDRSTRLEN && KEY_ROOM_BYTES >= KEY_TEXT_MIN_BYTES,
              "an address is written to the front of a room");

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

/* Takes the next argument of a query off its front; false when there is none left. */
static bool next_argument(struct span *list, struct span *ret_argument)
{
    if (list->n == 0)
        return false;
    const uint8_t *at = memchr(list->p, '&', list->n);
    size_t n = at != NULL ? (size_t)(at - list->p) : list->n;
    *ret_argument = (struct span){list->p, n};
    size_t used = at != NULL ? n + 1 : n;
    *list = (struct span){list->p + used, list->n - used};
    return true;
}

/* Whether the argument is `name=value` or `name` alone, which has an empty value. */
static bool is_pair_of(struct span argument, struct span name, struct span *ret_value)
{
    if (argument.n < name.n || !span_equal((struct span){argument.p, name.n}, name))
        return false;
    if (argument.n > name.n && argument.p[name.n] != '=')
        return false;
    size_t used = argument.n > name.n ? name.n + 1 : name.n;
    *ret_value = (struct span){argument.p + used, argument.n - used};
    return true;
}

static struct span query_argument(struct span query, struct span name)
{
    struct span argument, value;
    while (next_argument(&query, &argument))
        if (is_pair_of(argument, name, &value))
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
    struct cookie_pair pair;
    while (cookie_next(&cookies, &pair)) {
        if (!span_equal(pair.name, name))
            continue;
        *ret_value = pair.value;
        return true;
    }
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

/* ---- plain keys: spans of what is there ---- */

static struct span plain_value(enum conf_key_source source, const char *name,
                               const struct key_input *input)
{
    const struct h1_request *request = input->request;
    const uint8_t *message = input->message;
    switch (source) {
    case CONF_KEY_PATH:
        return or_slash(at_range(request->path, message));
    case CONF_KEY_URI:
        return or_slash(uri_of(request, message));
    case CONF_KEY_ARGUMENTS:
        return at_range(request->query, message);
    case CONF_KEY_QUERY:
        return query_argument(at_range(request->query, message), span_of(name));
    case CONF_KEY_HEADER:
        return header_value(request, message, span_of(name));
    case CONF_KEY_COOKIE:
        return cookie_value(request, message, span_of(name));
    case CONF_KEY_METHOD:
        return at_range(request->method_text, message);
    case CONF_KEY_CLIENT:
        return input->peer;
    case CONF_KEY_TEXT:
        return span_of(name);
    default:
        return SPAN("");
    }
}

/* ---- parts of templates ---- */

static struct span first_segments(struct span path, uint32_t n)
{
    for (size_t i = 0; i < path.n && n > 0; i++)
        if (path.p[i] == '/' && i > 0 && --n == 0)
            path.n = i;
    return path;
}

static struct span without_port(struct span authority)
{
    bool is_bracketed = authority.n > 0 && authority.p[0] == '[';
    const uint8_t *end =
        authority.n > 0 ? memrchr(authority.p, is_bracketed ? ']' : ':', authority.n) : NULL;
    if (end != NULL)
        authority.n = (size_t)(end - authority.p) + (is_bracketed ? 1 : 0);
    return authority;
}

/* Writes the first bits of the client's address to scratch. */
static struct span address_value(const struct conf_key_part *part, const struct key_input *input,
                                 char scratch[INET6_ADDRSTRLEN])
{
    struct ip ip;
    bool is_known = part->source == CONF_KEY_FORWARDED && input->trust != NULL
                        ? cidr_find_client(input->trust, &input->request->lines, input->message,
                                           input->peer, &ip)
                        : ip_parse(input->peer, &ip);
    if (!is_known)
        return input->peer;
    ip = ip_prefix(ip, ip.is_v6 ? part->v6_bits : part->v4_bits);
    return (struct span){(const uint8_t *)scratch, ip_print(&ip, scratch)};
}

static bool is_whole_peer(const struct conf_key_part *part)
{
    return part->source == CONF_KEY_CLIENT && part->v4_bits == 32 && part->v6_bits == 128;
}

/* What stands for the part before filters; n_fields counts the body's fields so far. */
static struct span part_value(const struct conf_key_part *part, const struct key_input *input,
                              uint32_t *n_fields, char scratch[INET6_ADDRSTRLEN])
{
    switch (part->source) {
    case CONF_KEY_PATH:
        return first_segments(plain_value(part->source, NULL, input), part->segments);
    case CONF_KEY_HOST:
        return without_port(at_range(input->request->authority, input->message));
    case CONF_KEY_CLIENT:
    case CONF_KEY_FORWARDED:
        return is_whole_peer(part) ? input->peer : address_value(part, input, scratch);
    case CONF_KEY_JSON:
    case CONF_KEY_FORM:
        return key_body_value(input->body, (*n_fields)++);
    default:
        return plain_value(part->source, part->name, input);
    }
}

static bool is_needed(const struct conf_key_part *part)
{
    bool is_named = part->name != NULL && part->source != CONF_KEY_TEXT;
    return is_named && (part->filters & CONF_KEY_OPTIONAL) == 0;
}

/* ---- sorted arguments ---- */

static struct span name_of(struct span argument)
{
    const uint8_t *equals = memchr(argument.p, '=', argument.n);
    return (struct span){argument.p, equals != NULL ? (size_t)(equals - argument.p) : argument.n};
}

static bool is_before(struct span a, struct span b)
{
    struct span x = name_of(a), y = name_of(b);
    int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
    return order < 0 || (order == 0 && x.n < y.n);
}

/* Behind all that are not after it, so that equal names keep their order. */
static void insert(struct span sorted[MAX_SORTED], size_t n, struct span argument)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (is_before(argument, sorted[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    memmove(&sorted[low + 1], &sorted[low], (n - low) * sizeof *sorted);
    sorted[low] = argument;
}

static void add(struct key_text *text, struct span bytes, unsigned filters)
{
    if ((filters & CONF_KEY_LOWER) != 0)
        key_text_add_lower(text, bytes);
    else
        key_text_add(text, bytes);
}

/* Adds the arguments of the list in order, `lead` before the first. */
static void add_sorted(struct key_text *text, struct span list, struct span lead, unsigned filters)
{
    struct span sorted[MAX_SORTED], argument;
    size_t n = 0;
    while (n < MAX_SORTED && next_argument(&list, &argument))
        if (argument.n > 0)
            insert(sorted, n++, argument);
    for (size_t i = 0; i < n; i++) {
        key_text_add(text, i == 0 ? lead : SPAN("&"));
        add(text, sorted[i], filters);
    }
    if (list.n > 0) {
        key_text_add(text, SPAN("&"));
        add(text, list, filters);
    }
}

/* ---- templates ---- */

static void add_part(struct key_text *text, const struct conf_key_part *part, struct span value,
                     const struct key_input *input)
{
    bool is_sorted = (part->filters & CONF_KEY_SORTED) != 0;
    if (is_sorted && part->source == CONF_KEY_URI) {
        add(text, plain_value(CONF_KEY_PATH, NULL, input), part->filters);
        add_sorted(text, at_range(input->request->query, input->message), SPAN("?"), part->filters);
    } else if (is_sorted) {
        add_sorted(text, value, SPAN(""), part->filters);
    } else {
        add(text, value, part->filters);
    }
}

static bool build(const struct conf_key *key, const struct key_input *input, struct key_room *room,
                  struct span *ret_key)
{
    struct key_text text;
    key_text_begin(&text, room->bytes, sizeof room->bytes);
    uint32_t n_fields = 0;
    bool has_any = false;
    for (uint32_t i = 0; i < key->n_parts; i++) {
        const struct conf_key_part *part = &key->parts[i];
        char scratch[INET6_ADDRSTRLEN];
        struct span value = part_value(part, input, &n_fields, scratch);
        if (value.n == 0 && is_needed(part))
            return false;
        has_any = has_any || (value.n > 0 && part->source != CONF_KEY_TEXT);
        add_part(&text, part, value, input);
    }
    struct span built = key_text_end(&text);
    if (!has_any || built.n == 0)
        return false;
    *ret_key = built;
    return true;
}

/* A single part whose bytes are taken as they are needs no copy. */
static bool is_span(const struct conf_key *key)
{
    return key->n_parts == 1 && (key->parts[0].filters & ~(unsigned)CONF_KEY_OPTIONAL) == 0;
}

bool key_extract(const struct conf_key *key, const struct key_input *input, struct key_room *room,
                 struct span *ret_key)
{
    struct span found;
    uint32_t n_fields = 0;
    if (key->source != CONF_KEY_TEMPLATE)
        found = plain_value(key->source, key->name, input);
    else if (is_span(key))
        found = part_value(&key->parts[0], input, &n_fields, (char *)room->bytes);
    else
        return build(key, input, room, ret_key);
    if (found.n == 0)
        return false;
    *ret_key = found;
    return true;
}
