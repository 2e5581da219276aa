#include "conf/check_headers.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/option.h"

#define KEY_SIZE 64
#define TEXT_SIZE 256

/* Of the lines that a section's rules add. */
#define MAX_BYTES 4096u
/* What quoit itself adds to a head. */
#define OWN_BYTES 4096u

struct header_checker {
    const struct conf *conf;
    struct conf_errors *errors;
    const struct conf_node *rules; /* the section */
    const char *key;               /* "listeners.0.request_headers" */
};

/* About what is in one of the section's options, or (NULL) the section. */
__attribute__((format(printf, 4, 5))) static void report(const struct header_checker *checker,
                                                         const char *option,
                                                         struct conf_place place,
                                                         const char *format, ...)
{
    char key[KEY_SIZE + 16];
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)snprintf(key, sizeof(key), "%s%s%s", checker->key, option != NULL ? "." : "",
                   option != NULL ? option : "");
    conf_errors_add(checker->errors, place, key, "%s", text);
}

/* ---- whose fields they are */

/* What frames a message, belongs to one connection, or is said by quoit and other options. */
static const char *const reserved[] = {
    "connection",
    "content-length",
    "date",
    "expect",
    "forwarded",
    "grpc-message",
    "grpc-status",
    "grpc-timeout",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "sec-websocket-accept",
    "sec-websocket-key",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
};

static int plain_of(int c)
{
    if (c == '_')
        return '-';
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* As rules compare names; other may be NULL. */
static bool is_same(const char *name, const char *other)
{
    size_t i = 0;
    while (other != NULL && name[i] != '\0' && plain_of(name[i]) == plain_of(other[i]))
        i++;
    return other != NULL && name[i] == '\0' && other[i] == '\0';
}

static bool is_reserved(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++) {
        if (is_same(name, reserved[i]))
            return true;
    }
    return is_same(name, conf->request_id.header) || is_same(name, conf->client.subject_header) ||
           is_same(name, conf->client.fingerprint_header) ||
           is_same(name, conf->client.explain_header);
}

static void check_reserved(const struct header_checker *checker, const char *kind, const char *name,
                           struct conf_place place)
{
    char quoted[CONF_QUOTE_SIZE];
    if (is_reserved(checker->conf, name))
        report(checker, kind, place,
               "found %s, which quoit answers for itself, expected another field",
               conf_quote(name, quoted));
}

/* ---- one section of rules */

/* The pair before this one that has its name in another spelling; in the same one it is an error of
 * its own. */
static const struct conf_node *find_again(const struct conf_node *map, const struct conf_node *pair)
{
    const struct conf_node *other;
    STAILQ_FOREACH(other, &map->children, sibling)
    {
        if (other == pair)
            return NULL;
        if (is_same(other->key, pair->key) && strcmp(other->key, pair->key) != 0)
            return other;
    }
    return NULL;
}

static void check_name(const struct header_checker *checker, const char *kind,
                       const struct conf_node *pair)
{
    char quoted[CONF_QUOTE_SIZE];
    if (!conf_is_token(pair->key))
        report(checker, kind, pair->key_place, "found %s, expected the name of a header field",
               conf_quote(pair->key, quoted));
}

static void check_pairs(const struct header_checker *checker, const char *kind)
{
    const struct conf_node *map = conf_node_get(checker->rules, kind);
    if (!conf_node_is_set(map) || map->type != CONF_NODE_MAP)
        return;
    const struct conf_node *pair;
    STAILQ_FOREACH(pair, &map->children, sibling)
    {
        check_name(checker, kind, pair);
        check_reserved(checker, kind, pair->key, pair->key_place);
        const struct conf_node *other = find_again(map, pair);
        if (other != NULL)
            report(checker, kind, pair->key_place, "found the field %s again, as %s", pair->key,
                   other->key);
    }
}

static void check_removed(const struct header_checker *checker)
{
    const struct conf_node *names = conf_node_get(checker->rules, "remove");
    if (!conf_node_is_set(names))
        return;
    if (names->type == CONF_NODE_SCALAR) {
        check_reserved(checker, "remove", names->text, names->place);
        return;
    }
    const struct conf_node *name;
    STAILQ_FOREACH(name, &names->children, sibling)
    {
        if (names->type == CONF_NODE_LIST && name->type == CONF_NODE_SCALAR)
            check_reserved(checker, "remove", name->text, name->place);
    }
}

/* The bytes of the lines that pairs become. */
static uint64_t size_of(const struct conf_pair *pairs, size_t n)
{
    uint64_t size = 0;
    for (size_t i = 0; i < n; i++)
        if (pairs[i].value != NULL)
            size += strlen(pairs[i].name) + strlen(": ") + strlen(pairs[i].value) + strlen("\r\n");
    return size;
}

/* A head with all that is added to it must fit into a buffer. */
static void check_room(const struct header_checker *checker, const struct conf_header_rules *rules)
{
    const struct conf *conf = checker->conf;
    uint64_t size = size_of(rules->set, rules->n_set) + size_of(rules->add, rules->n_add);
    size_t n = rules->n_set + rules->n_add;
    if (n > CONF_MAX_ADDED_FIELDS)
        report(checker, NULL, checker->rules->place, "found %zu fields, expected at most %d", n,
               CONF_MAX_ADDED_FIELDS);
    uint32_t needed = OWN_BYTES + 2 * MAX_BYTES; /* of a listener's rules and a route's */
    if (size > MAX_BYTES)
        report(checker, NULL, checker->rules->place,
               "found fields of %" PRIu64 " bytes, expected at most %u", size, MAX_BYTES);
    else if (size > 0 && (uint64_t)conf->client.max_head_bytes + needed > conf->buffer_bytes)
        report(checker, NULL, checker->rules->place,
               "found a buffer_size of %" PRIu32
               " bytes, expected client.max_head_size and %" PRIu32 " bytes more for the rules",
               conf->buffer_bytes, needed);
}

static void check_rules(struct conf *conf, struct conf_header_rules *rules, const char *key,
                        const struct conf_node *node, struct conf_errors *errors)
{
    struct header_checker checker = {.conf = conf, .errors = errors, .rules = node, .key = key};
    rules->n = rules->n_remove + rules->n_set + rules->n_add;
    if (!conf_node_is_set(node) || node->type != CONF_NODE_MAP)
        return;
    check_removed(&checker);
    check_pairs(&checker, "set");
    check_pairs(&checker, "add");
    check_room(&checker, rules);
}

/* ---- all of them */

/* A listener or route, called key. */
static void check_entry(struct conf *conf, struct conf_header_rules *request,
                        struct conf_header_rules *response, const char *name,
                        const struct conf_node *entry, struct conf_errors *errors)
{
    char key[KEY_SIZE];
    (void)snprintf(key, sizeof(key), "%s.request_headers", name);
    check_rules(conf, request, key, conf_node_get(entry, "request_headers"), errors);
    (void)snprintf(key, sizeof(key), "%s.response_headers", name);
    check_rules(conf, response, key, conf_node_get(entry, "response_headers"), errors);
}

static const struct conf_node *first_of(const struct conf_node *entries)
{
    bool is_list = entries != NULL && entries->type == CONF_NODE_LIST;
    return is_list ? STAILQ_FIRST(&entries->children) : entries;
}

static const struct conf_node *next_of(const struct conf_node *entry)
{
    return entry != NULL ? STAILQ_NEXT(entry, sibling) : NULL;
}

void conf_check_headers(struct conf *conf, const struct conf_node *root, struct conf_errors *errors)
{
    char name[KEY_SIZE / 2];
    const struct conf_node *entry = first_of(conf_node_get(root, "listeners"));
    for (size_t i = 0; i < conf->n_listeners; i++, entry = next_of(entry)) {
        struct conf_listener *one = &conf->listeners[i];
        (void)snprintf(name, sizeof(name), "listeners.%zu", i);
        check_entry(conf, &one->request_headers, &one->response_headers, name, entry, errors);
    }
    entry = first_of(conf_node_get(root, "routes"));
    for (size_t i = 0; i < conf->n_routes; i++, entry = next_of(entry)) {
        struct conf_route *one = &conf->routes[i];
        (void)snprintf(name, sizeof(name), "routes.%zu", i);
        check_entry(conf, &one->request_headers, &one->response_headers, name, entry, errors);
    }
}
