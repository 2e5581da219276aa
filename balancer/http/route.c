#include "balancer/http/route.h"

#include <assert.h>
#include <stdlib.h>

#include "balancer/http/path.h"

/* No host name is longer (RFC 1035); longer ones match only the routes of any host. */
#define MAX_HOST 255

/*
 * One route. Its host as looked up: "a.example" for exactly this one, ".a.example" for what ends
 * so, empty for any. The three never meet, since no exact host begins with a dot.
 */
struct entry {
    struct span host, path;
    size_t index; /* in the configuration */
    const struct conf_route *route;
};

/* Sorted by host, and within a host the longest path first. */
struct route_table {
    size_t n;
    bool has_hosts; /* some route names one */
    uint8_t *paths; /* the bytes of the entries' paths */
    struct entry entries[];
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

/* Any order will do, so the cheap question comes first. */
static int compare_hosts(struct span a, struct span b)
{
    if (a.n != b.n)
        return compare_sizes(a.n, b.n);
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return lower(a.p[i]) - lower(b.p[i]);
    return 0;
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = compare_hosts(a->host, b->host);
    if (order == 0)
        order = compare_sizes(b->path.n, a->path.n);
    return order != 0 ? order : compare_sizes(a->index, b->index);
}

static struct span without_dot(struct span host)
{
    if (host.n > 0 && host.p[host.n - 1] == '.')
        host.n--;
    return host;
}

static size_t size_of_paths(const struct conf_route *routes, size_t n_routes)
{
    size_t size = 0;
    for (size_t i = 0; i < n_routes; i++)
        size += strlen(routes[i].path);
    return size;
}

struct route_table *route_table_new(const struct conf_route *routes, size_t n_routes)
{
    struct route_table *table = malloc(sizeof(*table) + n_routes * sizeof(table->entries[0]));
    uint8_t *room = malloc(size_of_paths(routes, n_routes) + 1);
    if (table == NULL || room == NULL)
        abort();
    table->n = n_routes;
    table->has_hosts = false;
    table->paths = room;
    for (size_t i = 0; i < n_routes; i++) {
        const char *host = routes[i].host != NULL ? routes[i].host : "";
        table->has_hosts |= host[0] != '\0';
        assert(routes[i].path != NULL && routes[i].path[0] == '/');
        table->entries[i] = (struct entry){
            .host = without_dot(span_of(host[0] == '*' ? host + 1 : host)),
            .path = {room, path_normalize(span_of(routes[i].path), room)},
            .index = i,
            .route = &routes[i],
        };
        room += table->entries[i].path.n;
    }
    qsort(table->entries, n_routes, sizeof(table->entries[0]), compare_entries);
    return table;
}

void route_table_free(struct route_table *table)
{
    if (table == NULL)
        return;
    free(table->paths);
    free(table);
}

static bool path_matches(struct span prefix, struct span path)
{
    if (prefix.n == 1)
        return true;
    if (path.n < prefix.n || memcmp(path.p, prefix.p, prefix.n) != 0)
        return false;
    return path.n == prefix.n || prefix.p[prefix.n - 1] == '/' || path.p[prefix.n] == '/';
}

/* The first entry of the host, or of the one behind where it would be. */
static size_t first_of_host(const struct route_table *table, struct span host)
{
    size_t low = 0, high = table->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_hosts(table->entries[middle].host, host) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct conf_route *find_in_host(const struct route_table *table, struct span host,
                                             struct span path)
{
    for (size_t i = first_of_host(table, host); i < table->n; i++) {
        const struct entry *entry = &table->entries[i];
        if (compare_hosts(entry->host, host) != 0)
            return NULL;
        if (path_matches(entry->path, path))
            return entry->route;
    }
    return NULL;
}

/* Without port, but with the brackets of an IPv6 address. */
static struct span host_of(struct span authority)
{
    if (authority.n == 0)
        return authority;
    uint8_t end = authority.p[0] == '[' ? ']' : ':';
    const uint8_t *at = memchr(authority.p, end, authority.n);
    if (at == NULL)
        return without_dot(authority);
    size_t n = (size_t)(at - authority.p);
    return end == ']' ? (struct span){authority.p, n + 1}
                      : without_dot((struct span){authority.p, n});
}

const struct conf_route *route_find(const struct route_table *table, struct span authority,
                                    struct span path)
{
    struct span host = table->has_hosts ? host_of(authority) : SPAN("");
    const struct conf_route *route = NULL;
    if (host.n > 0 && host.n <= MAX_HOST && host.p[0] != '.') {
        route = find_in_host(table, host, path);
        for (size_t i = 1; i < host.n && route == NULL; i++)
            if (host.p[i] == '.')
                route = find_in_host(table, (struct span){host.p + i, host.n - i}, path);
    }
    return route != NULL ? route : find_in_host(table, SPAN(""), path);
}
