#include "balancer/admin/api.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "balancer/explain/bytes.h"
#include "balancer/explain/describe.h"

/* The arguments that pages know. X(name) */
#define ARGUMENTS(X) X(request) X(client) X(pool) X(key)

struct arguments {
#define X(name) struct span name;
    ARGUMENTS(X)
#undef X
};

/* A page: its arguments have been decoded. Returns the status. */
typedef uint16_t page_fn(const struct explain_source *source, const struct arguments *arguments,
                         json_t **ret_json);

static json_t *error_of(const char *phrase, struct span what)
{
    char text[128];
    bytes_print(what, text, sizeof text);
    return json_pack("{s:o}", "error", json_sprintf("%s %s", phrase, text));
}

/* ---- the query ---- */

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place; false for what is no escape. */
static bool decode(uint8_t *p, size_t n, struct span *ret_value)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '%') {
            p[to++] = p[i] == '+' ? ' ' : p[i];
            continue;
        }
        int high = i + 2 < n ? hex_value(p[i + 1]) : -1;
        int low = i + 2 < n ? hex_value(p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        p[to++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    *ret_value = (struct span){p, to};
    return true;
}

static struct span *find_argument(struct arguments *arguments, struct span name)
{
#define X(word)                                                                                    \
    if (span_equal(name, SPAN(#word)))                                                             \
        return &arguments->word;
    ARGUMENTS(X)
#undef X
    return NULL;
}

/* Takes one `name=value`; NULL, or what is wrong with it. */
static json_t *take_argument(uint8_t *p, size_t n, struct arguments *arguments)
{
    const uint8_t *equals = memchr(p, '=', n);
    size_t name_n = equals != NULL ? (size_t)(equals - p) : n;
    struct span name = {p, name_n};
    struct span *value = find_argument(arguments, name);
    if (value == NULL)
        return error_of("unknown argument", name);
    if (value->p != NULL)
        return error_of("there are two of the argument", name);
    size_t used = equals != NULL ? name_n + 1 : n;
    return decode(p + used, n - used, value) ? NULL : error_of("a bad escape in argument", name);
}

/* Takes bytes, a copy of the query, apart and decodes it in place. */
static json_t *take_query(uint8_t *bytes, size_t n, struct arguments *arguments)
{
    json_t *error = NULL;
    for (size_t at = 0; at < n && error == NULL;) {
        const uint8_t *end = memchr(bytes + at, '&', n - at);
        size_t piece_n = end != NULL ? (size_t)(end - bytes) - at : n - at;
        if (piece_n > 0)
            error = take_argument(bytes + at, piece_n, arguments);
        at += piece_n + 1;
    }
    return error;
}

/* ---- the pages ---- */

static uint16_t page_explain(const struct explain_source *source, const struct arguments *arguments,
                             json_t **ret_json)
{
    const struct explain_question question = {.request = arguments->request,
                                              .client = arguments->client,
                                              .pool = arguments->pool,
                                              .key = arguments->key};
    switch (explain(source, &question, ret_json)) {
    case EXPLAIN_MISTAKEN:
        return 400;
    case EXPLAIN_UNKNOWN:
        return 404;
    default:
        return 200;
    }
}

/* The pool that is asked for, or the only one; NULL with *ret_json saying what is wrong. */
static struct pool *find_pool(const struct explain_source *source, struct span name,
                              json_t **ret_json)
{
    if (name.n == 0 && source->conf->n_pools == 1)
        return &source->pools[0];
    struct pool *pool = explain_find_pool(source, name);
    if (pool == NULL)
        *ret_json = error_of("there is no pool", name);
    return pool;
}

static uint16_t page_pools(const struct explain_source *source, const struct arguments *arguments,
                           json_t **ret_json)
{
    if (arguments->pool.n == 0) {
        *ret_json = describe_pools(source->pools, source->conf->n_pools);
        return 200;
    }
    struct pool *pool = find_pool(source, arguments->pool, ret_json);
    if (pool == NULL)
        return 404;
    *ret_json = describe_pools(pool, 1);
    return 200;
}

static uint16_t page_hot_keys(const struct explain_source *source,
                              const struct arguments *arguments, json_t **ret_json)
{
    struct pool *pool = find_pool(source, arguments->pool, ret_json);
    if (pool == NULL)
        return 404;
    *ret_json = describe_hot_keys(pool);
    return 200;
}

static const struct {
    const char *path;
    page_fn *make;
} pages[] = {
    {"/api/v1/pools", page_pools},
    {"/api/v1/hot_keys", page_hot_keys},
    {"/api/v1/explain", page_explain},
};

static page_fn *find_page(struct span path)
{
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (span_equal(path, span_of(pages[i].path)))
            return pages[i].make;
    }
    return NULL;
}

bool api_has(struct span path)
{
    return find_page(path) != NULL;
}

/* Takes the reference. */
static int dump(uint16_t status, json_t *json, struct api_answer *ret_answer)
{
    char *text = json_dumps(json, JSON_INDENT(1));
    json_decref(json);
    if (text == NULL)
        return -ENOMEM;
    size_t n = strlen(text);
    text[n] = '\n'; /* instead of the NUL: the length is known */
    *ret_answer = (struct api_answer){status, text, n + 1};
    return 0;
}

int api_answer(const struct explain_source *source, struct span path, struct span query,
               struct api_answer *ret_answer)
{
    page_fn *make = find_page(path);
    assert(make != NULL);
    uint8_t *bytes = malloc(query.n + 1);
    if (bytes == NULL)
        return -ENOMEM;
    if (query.n > 0)
        memcpy(bytes, query.p, query.n);
    struct arguments arguments = {.request = {NULL, 0}};
    json_t *json = take_query(bytes, query.n, &arguments);
    uint16_t status = json != NULL ? 400 : make(source, &arguments, &json);
    free(bytes);
    return dump(status, json, ret_answer);
}
