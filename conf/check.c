#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/check_acme.h"
#include "conf/check_headers.h"
#include "conf/check_sticky.h"
#include "conf/check_tls.h"
#include "conf/fill.h"

/* A relay buffer holds a request head and this much more. */
#define BUFFER_SPARE 4096u
/* As many names as a message lists. */
#define MAX_LISTED 20

struct checker {
    struct conf *conf;
    struct conf_arena *arena;
    const struct conf_node *root;
    struct conf_errors *errors;
    bool is_clean; /* no option was wrong by itself */
    int error;     /* -ENOMEM once memory is out */
};

/* The place of key's value in section, or of the section itself where key has its default. */
static struct conf_place place_of(const struct checker *checker, const struct conf_node *section,
                                  const char *key)
{
    const struct conf_node *node = conf_node_get(section, key);
    assert(checker->root != NULL);
    if (node != NULL)
        return node->place;
    return section != NULL ? section->place : checker->root->place;
}

/* ---- nothing twice */

typedef int compare_fn(const void *a, const void *b);

static int by_value_then_place(const void *left, const void *right, void *context)
{
    compare_fn *const *compare = context;
    const uint8_t *a = *(const uint8_t *const *)left;
    const uint8_t *b = *(const uint8_t *const *)right;
    int order = (*compare)(a, b);
    return order == 0 ? (a > b) - (a < b) : order;
}

/* The entries of a list that stand in it before: calls report with both indexes for each. */
static void find_repeated(struct checker *checker, const void *entries, size_t n, size_t size,
                          compare_fn *compare,
                          void (*report)(struct checker *checker, void *context, size_t first,
                                         size_t again),
                          void *context)
{
    if (n < 2)
        return;
    const uint8_t *base = entries;
    const uint8_t **sorted = conf_arena_alloc(checker->arena, n * sizeof(const uint8_t *));
    if (sorted == NULL) {
        checker->error = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = base + i * size;
    qsort_r(sorted, n, sizeof(const uint8_t *), by_value_then_place, &compare);
    size_t first = 0;
    for (size_t i = 1; i < n; i++) {
        if (compare(sorted[first], sorted[i]) != 0)
            first = i;
        else
            report(checker, context, (size_t)(sorted[first] - base) / size,
                   (size_t)(sorted[i] - base) / size);
    }
}

static int compare_texts(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return (a != NULL) - (b != NULL);
    return strcmp(a, b);
}

/* ---- listeners */

static int compare_listeners(const void *left, const void *right)
{
    const struct conf_listener *a = left;
    const struct conf_listener *b = right;
    return a->port == b->port ? compare_texts(a->host, b->host) : a->port - b->port;
}

static void report_listener(struct checker *checker, void *context, size_t first, size_t again)
{
    (void)context;
    char key[64];
    /* An address that could not be read is an error already. */
    if (checker->conf->listeners[again].port == 0)
        return;
    snprintf(key, sizeof(key), "listeners.%zu.address", again);
    const struct conf_node *node = conf_node_at(conf_node_get(checker->root, "listeners"), again);
    conf_errors_add(checker->errors, place_of(checker, node, "address"), key,
                    "found the address of listeners.%zu again", first);
}

/* A header that anybody may send would let anybody be anybody. */
static void check_proxy_protocol(struct checker *checker, size_t index)
{
    const struct conf *conf = checker->conf;
    char key[64];
    if (!conf->listeners[index].proxy_protocol || conf->client.n_trusted_proxies > 0)
        return;
    const struct conf_node *listeners = conf_node_get(checker->root, "listeners");
    bool is_list = listeners->type == CONF_NODE_LIST;
    const struct conf_node *node = is_list ? conf_node_at(listeners, index) : listeners;
    snprintf(key, sizeof(key), "listeners.%zu.proxy_protocol", index);
    conf_errors_add(checker->errors, place_of(checker, node, "proxy_protocol"), key,
                    "found true, expected client.trusted_proxies to name who may send it");
}

static void check_listeners(struct checker *checker)
{
    struct conf *conf = checker->conf;
    const struct conf_node *node = conf_node_get(checker->root, "listeners");
    if (conf_node_is_set(node) && node->type == CONF_NODE_LIST && node->n == 0)
        conf_errors_add(checker->errors, node->place, "listeners",
                        "found an empty list, expected at least one listener");
    find_repeated(checker, conf->listeners, conf->n_listeners, sizeof(*conf->listeners),
                  compare_listeners, report_listener, NULL);
    for (size_t i = 0; i < conf->n_listeners; i++) {
        check_proxy_protocol(checker, i);
        conf_check_tls(&conf->listeners[i], i, node, checker->errors);
    }
    conf->has_admin = conf_node_is_set(conf_node_get(checker->root, "admin"));
    for (size_t i = 0; i < conf->n_listeners && conf->has_admin; i++) {
        if (conf->admin.port != 0 && compare_listeners(&conf->admin, &conf->listeners[i]) == 0)
            conf_errors_add(checker->errors,
                            place_of(checker, conf_node_get(checker->root, "admin"), "address"),
                            "admin.address", "found the address of listeners.%zu again", i);
    }
}

/* ---- pools */

static bool is_pool_name(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    return name[0] != '\0' && name[strspn(name, allowed)] == '\0';
}

static int compare_endpoints(const void *left, const void *right)
{
    const struct conf_endpoint *a = left;
    const struct conf_endpoint *b = right;
    return a->port == b->port ? compare_texts(a->host, b->host) : a->port - b->port;
}

/* A pool and the node it was read from. */
struct pool_node {
    struct conf_pool *pool;
    const struct conf_node *node;
};

static void report_endpoint(struct checker *checker, void *context, size_t first, size_t again)
{
    const struct pool_node *in = context;
    char suffix[64];
    if (in->pool->endpoints[again].port == 0)
        return;
    const struct conf_node *node = conf_node_at(conf_node_get(in->node, "endpoints"), again);
    snprintf(suffix, sizeof(suffix), ".endpoints.%zu", again);
    conf_errors_add_pool(checker->errors, place_of(checker, node, "address"), in->pool->name,
                         suffix, "found the address of endpoint %zu again", first);
}

enum { ID_SIZE = 264 }; /* the longest "host:port" */

/* The endpoint's identity, whether the operator gave it or not. */
static const char *endpoint_id(const struct conf_endpoint *endpoint, char room[ID_SIZE])
{
    if (endpoint->id != NULL)
        return endpoint->id;
    const char *host = endpoint->host != NULL ? endpoint->host : "";
    bool has_colon = strchr(host, ':') != NULL;
    snprintf(room, ID_SIZE, has_colon ? "[%s]:%u" : "%s:%u", host, (unsigned)endpoint->port);
    return room;
}

static int compare_ids(const void *left, const void *right)
{
    char a[ID_SIZE];
    char b[ID_SIZE];
    return strcmp(endpoint_id(left, a), endpoint_id(right, b));
}

static void report_id(struct checker *checker, void *context, size_t first, size_t again)
{
    const struct pool_node *in = context;
    const struct conf_endpoint *endpoints = in->pool->endpoints;
    char suffix[64];
    /* Of two without one the address is the same, which is an error already. */
    if (endpoints[first].id == NULL && endpoints[again].id == NULL)
        return;
    const struct conf_node *node = conf_node_at(conf_node_get(in->node, "endpoints"), again);
    snprintf(suffix, sizeof(suffix), ".endpoints.%zu", again);
    conf_errors_add_pool(checker->errors, place_of(checker, node, "id"), in->pool->name, suffix,
                         "found the id of endpoint %zu again", first);
}

static void check_affinity(struct checker *checker, struct conf_pool *pool,
                           const struct conf_node *node)
{
    bool is_ours = pool->algorithm == CONF_ALGORITHM_HASH || pool->algorithm == CONF_ALGORITHM_RING;
    if (pool->affinity == CONF_AFFINITY_AUTO)
        pool->affinity = is_ours ? CONF_AFFINITY_CACHE : CONF_AFFINITY_STRICT;
    if (pool->balance_factor > 0 && pool->balance_factor < 1)
        conf_errors_add_pool(checker->errors, place_of(checker, node, "balance_factor"), pool->name,
                             ".balance_factor", "found %g, expected 0 or at least 1",
                             pool->balance_factor);
}

/* A body that is looked through waits in the buffer behind its request's head. */
static void check_key_body(struct checker *checker, const struct conf_pool *pool,
                           const struct conf_node *node)
{
    const struct conf *conf = checker->conf;
    uint64_t needed = (uint64_t)conf->client.max_head_bytes + pool->key_body_bytes;
    if (pool->key.n_body_fields + pool->key_fallback.n_body_fields == 0 ||
        needed <= conf->buffer_bytes)
        return;
    conf_errors_add_pool(checker->errors, place_of(checker, node, "hash_key_body"), pool->name,
                         ".hash_key_body",
                         "found %" PRIu32 " bytes beside a client.max_head_size of %" PRIu32
                         ", expected both to fit into a buffer_size of %" PRIu32,
                         pool->key_body_bytes, conf->client.max_head_bytes, conf->buffer_bytes);
}

/* The layout of another program's algorithm is what it has for these very weights. */
static void check_ramp(struct checker *checker, const struct conf_pool *pool,
                       const struct conf_node *node)
{
    if (pool->ramp_ms > 0 && pool->algorithm >= CONF_ALGORITHM_NGINX)
        conf_errors_add_pool(
            checker->errors, place_of(checker, node, "ramp"), pool->name, ".ramp",
            "found a ramp with the algorithm of another program, expected none: weights "
            "on their way would change its layout");
}

static void check_retry(struct checker *checker, struct conf_pool *pool,
                        const struct conf_node *node)
{
    struct conf_retry *retry = &pool->retry;
    for (size_t i = 0; i < retry->n_on; i++)
        retry->conditions |= retry->on[i];
    if (retry->timeout_ms != 0 && (retry->conditions & CONF_RETRY_TIMEOUT) == 0)
        conf_errors_add_pool(checker->errors,
                             place_of(checker, conf_node_get(node, "retry"), "timeout"), pool->name,
                             ".retry.timeout", "found no timeout in retry.on, expected it there");
}

static void check_pool_tls(struct checker *checker, struct conf_pool *pool,
                           const struct conf_node *node)
{
    const struct conf_node *tls = conf_node_get(node, "tls");
    pool->tls.is_on = conf_node_is_set(tls);
    pool->check.tls = pool->tls.is_on ? &pool->tls : NULL;
    if (pool->tls.key_file != NULL && pool->tls.cert_file == NULL)
        conf_errors_add_pool(checker->errors, place_of(checker, tls, "key"), pool->name, ".tls.key",
                             "found it alone, expected cert beside it");
    if (pool->tls.is_on && pool->send_proxy != CONF_SEND_PROXY_OFF)
        conf_errors_add_pool(checker->errors, place_of(checker, node, "send_proxy_protocol"),
                             pool->name, ".send_proxy_protocol",
                             "found it with tls, expected one of them");
}

static void check_grpc_service(struct checker *checker, const struct conf_pool *pool,
                               const struct conf_node *node)
{
    const char *service = pool->check.grpc_service;
    struct conf_place place =
        place_of(checker, conf_node_get(node, "health_check"), "grpc_service");
    if (service == NULL)
        return;
    if (strlen(service) > CONF_GRPC_SERVICE_MAX)
        conf_errors_add_pool(checker->errors, place, pool->name, ".health_check.grpc_service",
                             "found %zu bytes, expected at most %d", strlen(service),
                             CONF_GRPC_SERVICE_MAX);
    if (pool->check.type != CONF_CHECK_GRPC)
        conf_errors_add_pool(checker->errors, place, pool->name, ".health_check.grpc_service",
                             "found it with another type of check, expected type: grpc");
}

static void check_pool_http2(struct checker *checker, struct conf_pool *pool,
                             const struct conf_node *node)
{
    struct conf_place place = place_of(checker, node, "http2");
    /* What listens elsewhere, for checks alone, need not speak what requests do. */
    pool->check.is_http2 = pool->http2 == CONF_HTTP2_ONLY && pool->check.port == 0;
    if (pool->http2 == CONF_HTTP2_ON && !pool->tls.is_on)
        conf_errors_add_pool(
            checker->errors, place, pool->name, ".http2",
            "found on without tls, by which an endpoint would choose, expected only or "
            "off");
    if (pool->http2 != CONF_HTTP2_OFF && pool->send_proxy != CONF_SEND_PROXY_OFF)
        conf_errors_add_pool(checker->errors, place, pool->name, ".http2",
                             "found it with send_proxy_protocol, expected one of them");
}

static void check_pool(struct checker *checker, struct conf_pool *pool,
                       const struct conf_node *node)
{
    check_affinity(checker, pool, node);
    check_retry(checker, pool, node);
    check_ramp(checker, pool, node);
    if (!conf_node_is_set(conf_node_get(node, "health_check")))
        pool->check.type = CONF_CHECK_NONE;
    /* What listens elsewhere, for checks alone, is not what requests go to. */
    pool->check.sends_proxy = pool->send_proxy != CONF_SEND_PROXY_OFF && pool->check.port == 0;
    check_pool_tls(checker, pool, node);
    check_grpc_service(checker, pool, node);
    check_pool_http2(checker, pool, node);
    if (!is_pool_name(pool->name))
        conf_errors_add_pool(checker->errors, node->key_place, pool->name, "",
                             "found a name with other characters than letters, digits, _ . and -");
    if (pool->n_endpoints == 0 && !conf_node_is_set(conf_node_get(node, "service")) &&
        (node->type == CONF_NODE_MAP || node->type == CONF_NODE_NULL))
        conf_errors_add_pool(checker->errors, node->key_place, pool->name, "",
                             "found neither endpoints nor a service, expected one of them or both");
    check_key_body(checker, pool, node);
    struct pool_node context = {.pool = pool, .node = node};
    find_repeated(checker, pool->endpoints, pool->n_endpoints, sizeof(*pool->endpoints),
                  compare_endpoints, report_endpoint, &context);
    find_repeated(checker, pool->endpoints, pool->n_endpoints, sizeof(*pool->endpoints),
                  compare_ids, report_id, &context);
}

static void check_pools(struct checker *checker)
{
    const struct conf_node *pools = conf_node_get(checker->root, "pools");
    if (pools == NULL || pools->type != CONF_NODE_MAP)
        return;
    if (pools->n == 0)
        conf_errors_add(checker->errors, pools->place, "pools",
                        "found an empty map, expected at least one pool");
    size_t i = 0;
    const struct conf_node *node;
    STAILQ_FOREACH(node, &pools->children, sibling)
    {
        struct conf_pool *pool = &checker->conf->pools[i++];
        check_pool(checker, pool, node);
        if (conf_check_sticky(pool, node, checker->arena, checker->errors) != 0)
            checker->error = -ENOMEM;
    }
}

/* ---- routes */

static void print_pool_names(const struct conf *conf, FILE *out)
{
    for (size_t i = 0; i < conf->n_pools && i < MAX_LISTED; i++)
        fprintf(out, "%s%s", i == 0 ? "" : ", ", conf->pools[i].name);
    if (conf->n_pools > MAX_LISTED)
        fprintf(out, " and %zu more", conf->n_pools - MAX_LISTED);
}

static void report_dangling(struct checker *checker, size_t index, struct conf_place place)
{
    char key[64];
    char quoted[CONF_QUOTE_SIZE];
    char *names = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&names, &n);
    if (out == NULL) {
        checker->error = -ENOMEM;
        return;
    }
    print_pool_names(checker->conf, out);
    if (fclose(out) != 0) {
        checker->error = -ENOMEM;
        free(names);
        return;
    }
    snprintf(key, sizeof(key), "routes.%zu.pool", index);
    conf_errors_add(checker->errors, place, key, "found %s, known pools: %s",
                    conf_quote(checker->conf->routes[index].pool_name, quoted), names);
    free(names);
}

/* Finds the route's pool; an absent or empty pool section is an error of its own. */
static void resolve_route(struct checker *checker, size_t index, const struct conf_node *node)
{
    struct conf_route *route = &checker->conf->routes[index];
    if (route->pool_name == NULL || checker->conf->n_pools == 0)
        return;
    for (size_t i = 0; i < checker->conf->n_pools; i++) {
        if (strcmp(checker->conf->pools[i].name, route->pool_name) == 0) {
            route->pool = i;
            return;
        }
    }
    report_dangling(checker, index, place_of(checker, node, "pool"));
}

static int compare_routes(const void *left, const void *right)
{
    const struct conf_route *a = left;
    const struct conf_route *b = right;
    int order = compare_texts(a->host, b->host);
    return order == 0 ? compare_texts(a->path, b->path) : order;
}

static void report_route(struct checker *checker, void *context, size_t first, size_t again)
{
    (void)context;
    char key[64];
    snprintf(key, sizeof(key), "routes.%zu", again);
    const struct conf_node *node = conf_node_at(conf_node_get(checker->root, "routes"), again);
    conf_errors_add(checker->errors, node->place, key,
                    "found the host and path of routes.%zu again", first);
}

/* A single pool takes everything that no route claims when there are no routes at all. */
static void make_default_route(struct checker *checker)
{
    struct conf *conf = checker->conf;
    struct conf_route *route = conf_arena_alloc(checker->arena, sizeof(*route));
    if (route != NULL)
        route->path = conf_arena_text(checker->arena, "/", 1);
    if (route == NULL || route->path == NULL) {
        checker->error = -ENOMEM;
        return;
    }
    route->pool_name = conf->pools[0].name;
    conf->routes = route;
    conf->n_routes = 1;
}

static void check_routes(struct checker *checker)
{
    struct conf *conf = checker->conf;
    const struct conf_node *routes = conf_node_get(checker->root, "routes");
    bool is_list = routes != NULL && routes->type == CONF_NODE_LIST;
    if (conf->n_routes == 0 && conf->n_pools == 1) {
        make_default_route(checker);
        return;
    }
    if (conf->n_routes == 0 && conf->n_pools > 1 && (is_list || !conf_node_is_set(routes)))
        conf_errors_add(checker->errors, place_of(checker, checker->root, "routes"), "routes",
                        "missing, expected at least one route because there are %zu pools",
                        conf->n_pools);
    const struct conf_node *node = is_list ? STAILQ_FIRST(&routes->children) : routes;
    for (size_t i = 0; i < conf->n_routes; i++) {
        resolve_route(checker, i, node);
        node = is_list ? STAILQ_NEXT(node, sibling) : NULL;
    }
    /* A wrong host or path has become a default here, which would look like another's. */
    if (checker->is_clean)
        find_repeated(checker, conf->routes, conf->n_routes, sizeof(*conf->routes), compare_routes,
                      report_route, NULL);
}

/* ---- the rest */

static void check_sizes(struct checker *checker)
{
    const struct conf *conf = checker->conf;
    if (conf->buffer_bytes >= conf->client.max_head_bytes + BUFFER_SPARE)
        return;
    const struct conf_node *client = conf_node_get(checker->root, "client");
    bool is_buffer_set = conf_node_is_set(conf_node_get(checker->root, "buffer_size"));
    conf_errors_add(checker->errors,
                    is_buffer_set ? place_of(checker, checker->root, "buffer_size")
                                  : place_of(checker, client, "max_head_size"),
                    is_buffer_set ? "buffer_size" : "client.max_head_size",
                    "found a buffer_size of %" PRIu32
                    " bytes and a client.max_head_size of %" PRIu32
                    ", expected the first to be at least 4k larger",
                    conf->buffer_bytes, conf->client.max_head_bytes);
}

static void check_client(struct checker *checker)
{
    const struct conf_client *client = &checker->conf->client;
    const struct conf_node *node = conf_node_get(checker->root, "client");
    if (client->explain_token != NULL && client->explain_header == NULL)
        conf_errors_add(checker->errors, place_of(checker, node, "explain_token"),
                        "client.explain_token",
                        "found it alone, expected explain_header to name the field for it");
    if (client->subject_header != NULL && client->fingerprint_header != NULL &&
        strcasecmp(client->subject_header, client->fingerprint_header) == 0)
        conf_errors_add(checker->errors, place_of(checker, node, "fingerprint_header"),
                        "client.fingerprint_header",
                        "found the name of subject_header again, expected another one");
}

/* What a worker must be able to hold, or it would wait for ever. */
#define LEAST_BUFFERS 16u

static void check_memory(struct checker *checker)
{
    const struct conf *conf = checker->conf;
    uint64_t least = (uint64_t)LEAST_BUFFERS * conf->buffer_bytes * conf->workers;
    if (conf->memory_bytes == 0 || conf->memory_bytes >= least)
        return;
    conf_errors_add(
        checker->errors, place_of(checker, checker->root, "memory_limit"), "memory_limit",
        "found %" PRIu64 " bytes, expected at least %" PRIu64 ": %u of buffer_size for each worker",
        conf->memory_bytes, least, LEAST_BUFFERS);
}

static void check_consul(struct checker *checker)
{
    const struct conf_consul *consul = &checker->conf->consul;
    const struct conf_node *node = conf_node_get(checker->root, "consul");
    if (consul->backoff_min_ms > consul->backoff_max_ms)
        conf_errors_add(checker->errors, place_of(checker, node, "backoff_max"),
                        "consul.backoff_max",
                        "found less than backoff_min, expected at least that");
    if (consul->token != NULL && consul->token_file != NULL)
        conf_errors_add(checker->errors, place_of(checker, node, "token_file"), "consul.token_file",
                        "found token and token_file, expected one of them");
    if ((consul->cert_file == NULL) != (consul->key_file == NULL))
        conf_errors_add(
            checker->errors,
            place_of(checker, node, consul->cert_file != NULL ? "cert_file" : "key_file"),
            consul->cert_file != NULL ? "consul.cert_file" : "consul.key_file",
            "found one of cert_file and key_file, expected both");
}

int conf_check(struct conf_owned *owned, const struct conf_node *root, struct conf_errors *errors)
{
    /* errors holds those of this load only. */
    struct checker checker = {
        .conf = &owned->conf,
        .arena = &owned->arena,
        .root = root,
        .errors = errors,
        .is_clean = errors->n == 0,
    };
    owned->conf.request_id.header_n = (uint8_t)strlen(owned->conf.request_id.header);
    check_listeners(&checker);
    check_pools(&checker);
    check_routes(&checker);
    check_sizes(&checker);
    check_memory(&checker);
    check_client(&checker);
    conf_check_headers(&owned->conf, root, errors);
    check_consul(&checker);
    if (conf_check_acme(&owned->conf, root, checker.arena, errors) != 0)
        checker.error = -ENOMEM;
    return checker.error;
}
