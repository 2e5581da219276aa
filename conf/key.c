/*
 * Hash keys as they are written:
 *
 *     key      = "none" / source / template
 *     template = text and placeholders, at least one of these; {{ and }} are the braces themselves
 *     placeholder = "{" source *( "|" filter ) "}"
 *     filter   = "lower" / "sorted" / "optional"
 *     source   = "path" / "path:" COUNT / "uri" / "query" / "query:" NAME / …, see the table
 */
#include <errno.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/option.h"
#include "conf/units.h"

/* Some of the text. */
struct piece {
    const char *p;
    size_t n;
};

/* A key under construction. */
struct builder {
    struct conf_arena *arena;
    struct conf_key_part parts[CONF_KEY_MAX_PARTS];
    uint32_t n_parts, n_placeholders, n_body_fields;
};

static const char others[] = "!#$%&'*+-.^_`|~";

/* A token of RFC 9110 section 5.6.2: what names of fields and cookies are made of. */
static bool is_token(struct piece text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && strchr(others, c) == NULL)
            return false;
    }
    return text.n > 0;
}

static bool is_printable(struct piece text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < 0x20 || c == 0x7f)
            return false;
    }
    return text.n > 0;
}

static int store_name(struct piece name, struct conf_key_part *part, struct conf_arena *arena)
{
    part->name = conf_arena_text(arena, name.p, name.n);
    return part->name == NULL ? -ENOMEM : 0;
}

/* ---- what stands behind a source's word */

typedef int argument_fn(struct piece argument, struct conf_key_part *part,
                        struct conf_arena *arena);

static int parse_token(struct piece name, struct conf_key_part *part, struct conf_arena *arena)
{
    return is_token(name) ? store_name(name, part, arena) : -EINVAL;
}

/* An argument's name as it stands in a query, percent-encoded or not. */
static int parse_argument(struct piece name, struct conf_key_part *part, struct conf_arena *arena)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] <= ' ' || name.p[i] > '~' || strchr("&=#", name.p[i]) != NULL)
            return -EINVAL;
    }
    return name.n > 0 ? store_name(name, part, arena) : -EINVAL;
}

static int parse_form_name(struct piece name, struct conf_key_part *part, struct conf_arena *arena)
{
    return is_printable(name) ? store_name(name, part, arena) : -EINVAL;
}

/* Names of members and numbers of elements, a dot between them, none of them empty. */
static int parse_json_path(struct piece path, struct conf_key_part *part, struct conf_arena *arena)
{
    bool is_at_start = true;
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '.' && is_at_start)
            return -EINVAL;
        is_at_start = path.p[i] == '.';
    }
    return is_printable(path) && !is_at_start ? store_name(path, part, arena) : -EINVAL;
}

static int parse_small(struct piece text, uint64_t max, uint64_t *ret_number)
{
    char digits[8];
    uint64_t number;
    if (text.n >= sizeof(digits))
        return -EINVAL;
    memcpy(digits, text.p, text.n);
    digits[text.n] = '\0';
    if (conf_parse_number(digits, &number) != 0 || number < 1 || number > max)
        return -EINVAL;
    *ret_number = number;
    return 0;
}

static int parse_segments(struct piece text, struct conf_key_part *part, struct conf_arena *arena)
{
    (void)arena;
    uint64_t segments;
    if (parse_small(text, 100, &segments) != 0)
        return -EINVAL;
    part->segments = (uint16_t)segments;
    return 0;
}

/* "24" or "24,56": of IPv4 and IPv6; a site's own network is what an IPv6 address has 64 bits
 * for. */
static int parse_bits(struct piece text, struct conf_key_part *part, struct conf_arena *arena)
{
    (void)arena;
    const char *comma = memchr(text.p, ',', text.n);
    struct piece v4 = {text.p, comma == NULL ? text.n : (size_t)(comma - text.p)};
    uint64_t v4_bits;
    uint64_t v6_bits = 64;
    if (parse_small(v4, 32, &v4_bits) != 0)
        return -EINVAL;
    struct piece v6 = {text.p + v4.n + 1, comma == NULL ? 0 : text.n - v4.n - 1};
    if (comma != NULL && parse_small(v6, 128, &v6_bits) != 0)
        return -EINVAL;
    part->v4_bits = (uint8_t)v4_bits;
    part->v6_bits = (uint8_t)v6_bits;
    return 0;
}

/* ---- sources */

enum {
    TEXT_FILTERS = CONF_KEY_LOWER,
    LIST_FILTERS = CONF_KEY_LOWER | CONF_KEY_SORTED,
    NAMED_FILTERS = CONF_KEY_LOWER | CONF_KEY_OPTIONAL,
};

static const struct source {
    const char *word;
    enum conf_key_source source;
    uint8_t filters;    /* that it may have */
    argument_fn *parse; /* of what stands behind the word; NULL: nothing may */
} sources[] = {
    {"path", CONF_KEY_PATH, TEXT_FILTERS, NULL},
    {"path:", CONF_KEY_PATH, TEXT_FILTERS, parse_segments},
    {"uri", CONF_KEY_URI, LIST_FILTERS, NULL},
    {"query", CONF_KEY_ARGUMENTS, LIST_FILTERS, NULL},
    {"query:", CONF_KEY_QUERY, NAMED_FILTERS, parse_argument},
    {"header:", CONF_KEY_HEADER, NAMED_FILTERS, parse_token},
    {"cookie:", CONF_KEY_COOKIE, NAMED_FILTERS, parse_token},
    {"host", CONF_KEY_HOST, TEXT_FILTERS, NULL},
    {"method", CONF_KEY_METHOD, TEXT_FILTERS, NULL},
    {"client", CONF_KEY_CLIENT, 0, NULL},
    {"client/", CONF_KEY_CLIENT, 0, parse_bits},
    {"forwarded", CONF_KEY_FORWARDED, 0, NULL},
    {"forwarded/", CONF_KEY_FORWARDED, 0, parse_bits},
    {"json:", CONF_KEY_JSON, NAMED_FILTERS, parse_json_path},
    {"form:", CONF_KEY_FORM, NAMED_FILTERS, parse_form_name},
};

static bool is(struct piece text, const char *word)
{
    return text.n == strlen(word) && memcmp(text.p, word, text.n) == 0;
}

static const struct source *find_source(struct piece text)
{
    for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
        size_t n = strlen(sources[i].word);
        struct piece start = {text.p, sources[i].parse != NULL && text.n > n ? n : text.n};
        if (is(start, sources[i].word))
            return &sources[i];
    }
    return NULL;
}

/* Adds what the text names; the filters are applied if it may have them. */
static int add_source(struct builder *builder, struct piece text, unsigned filters)
{
    const struct source *source = find_source(text);
    if (source == NULL || (filters & ~(unsigned)source->filters) != 0 ||
        builder->n_parts == CONF_KEY_MAX_PARTS)
        return -EINVAL;
    struct conf_key_part part = {
        .source = source->source, .filters = (uint8_t)filters, .v4_bits = 32, .v6_bits = 128};
    if (source->source == CONF_KEY_HOST)
        part.filters |= CONF_KEY_LOWER; /* hosts have no case (RFC 9110 section 4.2.3) */
    size_t n = strlen(source->word);
    struct piece argument = {text.p + n, text.n - n};
    int error = source->parse == NULL ? 0 : source->parse(argument, &part, builder->arena);
    if (error != 0)
        return error;
    bool is_in_body = part.source == CONF_KEY_JSON || part.source == CONF_KEY_FORM;
    if (is_in_body && ++builder->n_body_fields > CONF_KEY_MAX_BODY_FIELDS)
        return -EINVAL;
    builder->n_placeholders++;
    builder->parts[builder->n_parts++] = part;
    return 0;
}

/* ---- templates */

static unsigned filter_of(struct piece text)
{
    if (is(text, "lower"))
        return CONF_KEY_LOWER;
    if (is(text, "sorted"))
        return CONF_KEY_SORTED;
    return is(text, "optional") ? CONF_KEY_OPTIONAL : 0;
}

/* What stands between the braces. */
static int add_placeholder(struct builder *builder, struct piece text)
{
    unsigned filters = 0;
    const char *bar;
    while ((bar = memrchr(text.p, '|', text.n)) != NULL) {
        struct piece word = {bar + 1, text.n - (size_t)(bar + 1 - text.p)};
        unsigned filter = filter_of(word);
        if (filter == 0 || (filters & filter) != 0)
            return -EINVAL;
        filters |= filter;
        text.n = (size_t)(bar - text.p);
    }
    return add_source(builder, text, filters);
}

/* Takes text up to the next placeholder, doubled braces as single ones. */
static int add_text(struct builder *builder, const char **at)
{
    char *copy = conf_arena_alloc(builder->arena, strlen(*at) + 1);
    if (copy == NULL)
        return -ENOMEM;
    const char *p = *at;
    size_t n = 0;
    while (*p != '\0') {
        bool is_brace = *p == '{' || *p == '}';
        if (is_brace && p[1] != *p)
            break;
        copy[n++] = *p;
        p += is_brace ? 2 : 1;
    }
    *at = p;
    if (n == 0)
        return 0;
    if (!is_printable((struct piece){copy, n}) || builder->n_parts == CONF_KEY_MAX_PARTS)
        return -EINVAL;
    builder->parts[builder->n_parts++] =
        (struct conf_key_part){.source = CONF_KEY_TEXT, .name = copy};
    return 0;
}

static int add_template(struct builder *builder, const char *text)
{
    int error = add_text(builder, &text);
    while (error == 0 && *text != '\0') {
        size_t n = strcspn(text + 1, "{}");
        if (*text != '{' || text[1 + n] != '}')
            return -EINVAL;
        error = add_placeholder(builder, (struct piece){text + 1, n});
        text += n + 2;
        if (error == 0)
            error = add_text(builder, &text);
    }
    return error == 0 && builder->n_placeholders == 0 ? -EINVAL : error;
}

/* ---- keys */

/* Whether the part alone is a source that needs no template. */
static bool is_plain(const struct conf_key_part *part)
{
    return part->source <= CONF_KEY_CLIENT && part->filters == 0 && part->segments == 0 &&
           part->v4_bits == 32 && part->v6_bits == 128;
}

static int finish(const struct builder *builder, struct conf_key *key)
{
    if (builder->n_parts == 1 && is_plain(&builder->parts[0])) {
        *key =
            (struct conf_key){.source = builder->parts[0].source, .name = builder->parts[0].name};
        return 0;
    }
    size_t size = builder->n_parts * sizeof(*builder->parts);
    struct conf_key_part *parts = conf_arena_alloc(builder->arena, size);
    if (parts == NULL)
        return -ENOMEM;
    memcpy(parts, builder->parts, size);
    *key = (struct conf_key){.source = CONF_KEY_TEMPLATE,
                             .parts = parts,
                             .n_parts = builder->n_parts,
                             .n_body_fields = builder->n_body_fields};
    return 0;
}

static int parse_key(const struct conf_option *option, const char *text, void *field,
                     struct conf_arena *arena)
{
    (void)option;
    struct conf_key *key = field;
    if (strcmp(text, "none") == 0) {
        *key = (struct conf_key){.source = CONF_KEY_NONE};
        return 0;
    }
    struct builder builder = {.arena = arena};
    int error = strpbrk(text, "{}") == NULL
                    ? add_source(&builder, (struct piece){text, strlen(text)}, 0)
                    : add_template(&builder, text);
    return error == 0 ? finish(&builder, key) : error;
}

static void describe_key(const struct conf_option *option, FILE *out)
{
    (void)option;
    fputs("`path`, `path:COUNT`, `uri`, `query`, `query:NAME`, `header:NAME`, `cookie:NAME`, "
          "`host`, `method`, `client`, `client/BITS`, `forwarded`, `forwarded/BITS`, "
          "`json:NAME.NAME`, `form:NAME`, `none`, or a template of them with the filters `lower`, "
          "`sorted` and `optional`, such as `{host}{path:2|lower}`",
          out);
}

const struct conf_type conf_type_key = {CONF_SHAPE_VALUE, parse_key, describe_key};
