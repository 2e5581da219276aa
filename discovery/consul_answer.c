/*
 *   bytes ─► bounds ─► jansson ─► one candidate per element ─► sort, drop duplicates ─► set
 *                                      └─► unusable: left out, counted
 *
 * Candidates point into the JSON document; the set copies what stays.
 */
#include "discovery/consul_answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/instance_set.h"

enum {
    /* Consul nests five deep and writes about 80 values in 1.8 KB per instance; far more per byte
     * is an attack on our memory, which jansson's tree takes at some 150 bytes per value. */
    MAX_DEPTH = 32,
    MAX_VALUES = 4 << 20,
    MAX_HOST = 253, /* of a name, RFC 1035 section 2.3.4 */
    MAX_WEIGHT = 65536,
    MAX_META = 512, /* of a value, by Consul's own limit */
};

struct candidate {
    struct instance instance;
    char host[MAX_HOST + 1];
    size_t position; /* in the answer: makes the order of duplicates certain */
};

struct candidates {
    struct candidate *list;
    size_t n;
    uint32_t n_rejected;
    const char *meta_key; /* NULL: none is asked for */
};

/* How deep and how large the JSON tree will be at most; strings are skipped, not checked. */
static bool is_within_bounds(const char *body, size_t n)
{
    size_t depth = 0, n_values = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = body[i];
        if (in_string) {
            if (c == '\\')
                i++;
            in_string = c != '"';
            continue;
        }
        in_string = c == '"';
        if (c == '[' || c == '{') {
            depth++;
            n_values++;
        } else if (depth > 0 && (c == ']' || c == '}')) {
            depth--;
        }
        n_values += c == ',';
        if (depth > MAX_DEPTH || n_values > MAX_VALUES)
            return false;
    }
    return true;
}

/* The string under key; "" when absent or null; NULL when it is not a string, or holds a NUL. */
static const char *string_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value))
        return "";
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) != json_string_length(value))
        return NULL;
    return text;
}

static bool is_name(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_";
    return text[strspn(text, allowed)] == '\0';
}

/*
 * Writes an address without brackets, an IPv6 one in its one canonical spelling (RFC 5952), so
 * that every balancer hashes the same text. A link-local zone is kept. False: not an address.
 */
static bool read_host(const char *text, char host[MAX_HOST + 1])
{
    size_t n = strlen(text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n == 0 || n > MAX_HOST)
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    if (strchr(host, ':') == NULL)
        return is_name(host);

    char zone[MAX_HOST + 1] = "";
    char *percent = strchr(host, '%');
    if (percent != NULL) {
        memcpy(zone, percent, strlen(percent) + 1);
        *percent = '\0';
        if (zone[1] == '\0' || !is_name(zone + 1) || strlen(zone) > MAX_HOST - INET6_ADDRSTRLEN)
            return false;
    }
    struct in6_addr address;
    if (inet_pton(AF_INET6, host, &address) != 1)
        return false;
    inet_ntop(AF_INET6, &address, host, INET6_ADDRSTRLEN);
    memcpy(host + strlen(host), zone, strlen(zone) + 1);
    return true;
}

static bool read_port(const json_t *service, uint16_t *ret_port)
{
    const json_t *value = json_object_get(service, "Port");
    double port = json_number_value(value);
    if (!json_is_number(value) || port < 1 || port > UINT16_MAX || port > floor(port))
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool read_weight(const json_t *service, const char *key, double *ret_weight)
{
    const json_t *weights = json_object_get(service, "Weights");
    const json_t *value = NULL;
    if (json_is_object(weights))
        value = json_object_get(weights, key);
    else if (weights != NULL && !json_is_null(weights))
        return false;
    if (value == NULL || json_is_null(value)) {
        *ret_weight = 1;
        return true;
    }
    if (!json_is_number(value))
        return false;
    *ret_weight = fmax(0, fmin(json_number_value(value), MAX_WEIGHT));
    return true;
}

static bool is_maintenance(const char *check_id)
{
    static const char service_prefix[] = "_service_maintenance:";
    return strcmp(check_id, "_node_maintenance") == 0 ||
           strncmp(check_id, service_prefix, sizeof service_prefix - 1) == 0;
}

/* What one check says of the instance; false when it is not a check. */
static bool read_check(const json_t *check, enum instance_status *ret_status)
{
    if (!json_is_object(check))
        return false;
    const char *status = string_of(check, "Status");
    const char *check_id = string_of(check, "CheckID");
    const char *service_id = string_of(check, "ServiceID");
    if (status == NULL || check_id == NULL || service_id == NULL)
        return false;
    if (strcmp(status, "passing") == 0)
        *ret_status = INSTANCE_PASSING;
    else if (strcmp(status, "warning") == 0)
        *ret_status = INSTANCE_WARNING;
    else if (is_maintenance(check_id))
        *ret_status = INSTANCE_MAINTENANCE;
    else if (service_id[0] == '\0')
        *ret_status = INSTANCE_NODE_CRITICAL;
    else
        *ret_status = INSTANCE_CRITICAL;
    return true;
}

/* From the best to the worst state. A service of its own word is worse than a lost agent's. */
static int rank(enum instance_status status)
{
    static const int ranks[] = {
        [INSTANCE_PASSING] = 0,  [INSTANCE_WARNING] = 1,     [INSTANCE_NODE_CRITICAL] = 2,
        [INSTANCE_CRITICAL] = 3, [INSTANCE_MAINTENANCE] = 4,
    };
    return ranks[status];
}

/* The worst of all checks; an instance without any is passing. */
static bool read_status(const json_t *entry, enum instance_status *ret_status)
{
    const json_t *checks = json_object_get(entry, "Checks");
    enum instance_status worst = INSTANCE_PASSING;
    if (checks != NULL && !json_is_null(checks) && !json_is_array(checks))
        return false;
    for (size_t i = 0; i < json_array_size(checks); i++) {
        enum instance_status status;
        if (!read_check(json_array_get(checks, i), &status))
            return false;
        if (rank(status) > rank(worst))
            worst = status;
    }
    *ret_status = worst;
    return true;
}

/* Candidates only point at the document's text; it is never written through. */
static bool read_identity(const json_t *node, const json_t *service, struct instance *ret_instance)
{
    const char *datacenter = string_of(node, "Datacenter");
    const char *name = string_of(node, "Node");
    const char *service_id = string_of(service, "ID");
    if (datacenter == NULL || name == NULL || name[0] == '\0' || service_id == NULL ||
        service_id[0] == '\0')
        return false;
    ret_instance->datacenter = (char *)datacenter;
    ret_instance->node = (char *)name;
    ret_instance->service_id = (char *)service_id;
    return true;
}

static bool read_address(const json_t *node, const json_t *service, char host[MAX_HOST + 1])
{
    const char *address = string_of(service, "Address");
    if (address != NULL && address[0] == '\0')
        address = string_of(node, "Address");
    return address != NULL && read_host(address, host);
}

/* The value under key, or NULL: where there is none, or none to use, the instance still is. */
static const char *read_meta(const json_t *service, const char *key)
{
    const json_t *meta = key != NULL ? json_object_get(service, "Meta") : NULL;
    const char *text = json_is_object(meta) ? string_of(meta, key) : NULL;
    return text != NULL && text[0] != '\0' && strlen(text) <= MAX_META ? text : NULL;
}

/* False: this instance cannot be used. host stays unlinked, as the candidate is yet to move. */
static bool read_candidate(const json_t *entry, const char *meta_key, struct candidate *candidate)
{
    const json_t *node = json_object_get(entry, "Node");
    const json_t *service = json_object_get(entry, "Service");
    struct instance *instance = &candidate->instance;
    if (!json_is_object(node) || !json_is_object(service))
        return false;
    if (!read_identity(node, service, instance) || !read_status(entry, &instance->status))
        return false;
    instance->meta = (char *)read_meta(service, meta_key);
    const char *weight_key = instance->status == INSTANCE_WARNING ? "Warning" : "Passing";
    return read_address(node, service, candidate->host) && read_port(service, &instance->port) &&
           read_weight(service, weight_key, &instance->weight);
}

/* Between two candidates for one place: the healthier, then the first. */
static int compare_merit(const struct candidate *a, const struct candidate *b)
{
    int order = rank(a->instance.status) - rank(b->instance.status);
    if (order == 0)
        order = instance_compare_identity(&a->instance, &b->instance);
    if (order == 0)
        order = a->position < b->position ? -1 : a->position > b->position;
    return order;
}

static bool same_place(const struct candidate *a, const struct candidate *b)
{
    return a->instance.port == b->instance.port && strcmp(a->host, b->host) == 0;
}

static bool same_identity(const struct candidate *a, const struct candidate *b)
{
    return instance_compare_identity(&a->instance, &b->instance) == 0;
}

static int by_place(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    int order = strcmp(left->host, right->host);
    if (order == 0)
        order = (int)left->instance.port - (int)right->instance.port;
    return order != 0 ? order : compare_merit(left, right);
}

static int by_identity(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    int order = instance_compare_identity(&left->instance, &right->instance);
    return order != 0 ? order : compare_merit(left, right);
}

/* Keeps the first of each run of equals of a sorted list. */
static void drop_runs(struct candidates *all,
                      bool equal(const struct candidate *, const struct candidate *))
{
    size_t n_kept = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (n_kept > 0 && equal(&all->list[n_kept - 1], &all->list[i]))
            all->n_rejected++;
        else
            all->list[n_kept++] = all->list[i];
    }
    all->n = n_kept;
}

static void drop_duplicates(struct candidates *all)
{
    if (all->n < 2)
        return;
    qsort(all->list, all->n, sizeof *all->list, by_place);
    drop_runs(all, same_place);
    qsort(all->list, all->n, sizeof *all->list, by_identity);
    drop_runs(all, same_identity);
}

static void read_entries(const json_t *array, struct candidates *all)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct candidate *candidate = &all->list[all->n];
        candidate->position = i;
        if (read_candidate(json_array_get(array, i), all->meta_key, candidate))
            all->n++;
        else
            all->n_rejected++;
    }
}

static struct instance_set *build_set(const struct candidates *all)
{
    struct instance *list = malloc((all->n + 1) * sizeof *list);
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < all->n; i++) {
        list[i] = all->list[i].instance;
        list[i].host = all->list[i].host;
    }
    struct instance_set *set = instance_set_build(list, all->n);
    free(list);
    if (set != NULL)
        set->n_rejected = all->n_rejected;
    return set;
}

static int fail(int error, const char *why, const char **ret_why)
{
    if (ret_why != NULL)
        *ret_why = why;
    return error;
}

/* jansson names every mistake in the text; what it does not name is memory (json_memory.h). */
static int fail_json(const json_error_t *error, const char **ret_why)
{
    switch (json_error_code(error)) {
    case json_error_unknown:
    case json_error_out_of_memory:
        return fail(-ENOMEM, "out of memory", ret_why);
    case json_error_premature_end_of_input:
        return fail(-EBADMSG, "the answer is truncated", ret_why);
    default:
        return fail(-EBADMSG, "the answer is not JSON", ret_why);
    }
}

int consul_answer_parse(const char *body, size_t n, const char *meta_key,
                        struct instance_set **ret_set, const char **ret_why)
{
    if (n > CONSUL_ANSWER_MAX_BYTES || !is_within_bounds(body, n))
        return fail(-EMSGSIZE, "the answer is too large or too deep", ret_why);
    json_error_t error = {.line = 0};
    /* NUL and huge numbers are legal JSON: they may spoil one instance, not the whole answer. */
    json_t *array =
        json_loadb(body, n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &error);
    if (array == NULL)
        return fail_json(&error, ret_why);
    if (!json_is_array(array)) {
        json_decref(array);
        return fail(-EBADMSG, "the answer is not a JSON array", ret_why);
    }
    struct instance_set *set = NULL;
    struct candidates all = {.list = calloc(json_array_size(array) + 1, sizeof *all.list),
                             .meta_key = meta_key};
    if (all.list != NULL) {
        read_entries(array, &all);
        drop_duplicates(&all);
        set = build_set(&all);
    }
    free(all.list);
    json_decref(array);
    if (set == NULL)
        return fail(-ENOMEM, "out of memory", ret_why);
    *ret_set = set;
    return 0;
}
