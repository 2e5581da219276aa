#include "balancer/explain/describe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "balancer/explain/bytes.h"
#include "balancer/policy/policy.h"

static json_t *text(const char *string)
{
    return bytes_to_json(span_of(string), NULL);
}

static json_t *time_to_json(uint64_t ms)
{
    char date[40], whole[64];
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    snprintf(whole, sizeof whole, "%s.%03uZ", date, (unsigned)(ms % 1000));
    return json_string(whole);
}

json_t *describe_endpoint(const struct member *member)
{
    const struct endpoint *endpoint = member->endpoint;
    json_t *json = json_object();
    json_object_set_new(json, "id", text(endpoint->id));
    json_object_set_new(json, "address", text(endpoint->address));
    json_object_set_new(json, "state", text(endpoint_state_word(endpoint)));
    json_object_set_new(json, "usable", json_boolean(endpoint_is_usable(endpoint)));
    json_object_set_new(
        json, "since",
        time_to_json(atomic_load_explicit(&endpoint->changed_ms, memory_order_relaxed)));
    json_object_set_new(json, "weight", json_real(member->weight));
    json_object_set_new(json, "in_flight", json_integer(endpoint_in_flight(endpoint)));
    json_object_set_new(json, "connections", json_integer(atomic_load(&endpoint->connections)));
    return json;
}

static json_t *describe_member(const struct snapshot *snapshot, uint32_t i, uint32_t in_flight)
{
    json_t *json = describe_endpoint(&snapshot->members[i]);
    double limit = pick_limit(snapshot, &snapshot->members[i], in_flight);
    json_object_set_new(json, "limit", isfinite(limit) ? json_real(limit) : json_null());
    if (snapshot->ring != NULL) {
        json_object_set_new(json, "share", json_real(ring_share(snapshot->ring, i)));
        json_object_set_new(json, "position", json_integer(ring_position(snapshot->ring, i)));
    }
    return json;
}

static json_t *describe_ring(const struct snapshot *snapshot)
{
    if (snapshot->ring == NULL)
        return json_null();
    uint8_t digest[16];
    ring_digest(snapshot->ring, digest);
    const struct conf_pool *conf = snapshot->conf;
    static const char *const hashes[] = {"sdbm", "djb2", "wt6", "crc32"};
    json_t *json = json_object();
    json_object_set_new(json, "version", json_integer(RING_VERSION));
    json_object_set_new(json, "digest", bytes_to_hex((struct span){digest, sizeof digest}));
    json_object_set_new(json, "slots", json_integer(conf->slots));
    json_object_set_new(json, "points", json_integer(conf->points));
    json_object_set_new(json, "table_size", json_integer(conf->compat.table_size));
    json_object_set_new(json, "min_ring", json_integer(conf->compat.min_ring));
    json_object_set_new(json, "haproxy_hash", json_string(hashes[conf->compat.haproxy_hash]));
    json_object_set_new(json, "haproxy_avalanche", json_boolean(conf->compat.haproxy_avalanche));
    json_object_set_new(json, "seed", hash_to_json(conf->seed));
    return json;
}

json_t *describe_pool(struct pool *pool)
{
    struct snapshot *snapshot = pool_acquire(pool);
    const struct conf_pool *conf = snapshot->conf;
    uint32_t in_flight = pool_in_flight(pool);
    json_t *json = json_object(), *endpoints = json_array();
    for (uint32_t i = 0; i < snapshot->n; i++)
        json_array_append_new(endpoints, describe_member(snapshot, i, in_flight));
    json_object_set_new(json, "name", text(conf->name));
    json_object_set_new(json, "algorithm", json_string(policy_for(conf->algorithm)->name));
    json_object_set_new(json, "affinity",
                        json_string(conf->affinity == CONF_AFFINITY_CACHE ? "cache" : "strict"));
    json_object_set_new(json, "service",
                        conf->service.name != NULL ? text(conf->service.name) : json_null());
    json_object_set_new(json, "static_endpoints", json_integer((json_int_t)conf->n_endpoints));
    json_object_set_new(json, "snapshot", json_integer((json_int_t)snapshot->number));
    json_object_set_new(json, "in_flight", json_integer(in_flight));
    json_object_set_new(json, "ring", describe_ring(snapshot));
    json_object_set_new(json, "endpoints", endpoints);
    snapshot_unref(snapshot);
    return json;
}

json_t *describe_pools(struct pool *pools, size_t n_pools)
{
    json_t *json = json_object(), *list = json_array();
    for (size_t i = 0; i < n_pools; i++)
        json_array_append_new(list, describe_pool(&pools[i]));
    json_object_set_new(json, "pools", list);
    return json;
}

json_t *describe_key(struct span key, bool is_cut)
{
    bool is_exact;
    json_t *json = json_object();
    json_object_set_new(json, "text", bytes_to_json(key, &is_exact));
    if (!is_exact)
        json_object_set_new(json, "bytes", bytes_to_hex(key));
    if (is_cut)
        json_object_set_new(json, "cut", json_true());
    return json;
}

/* ---- hot keys ---- */

static int by_hash(const void *a, const void *b)
{
    const struct heat_key *x = a, *y = b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

static int by_share(const void *a, const void *b)
{
    const struct heat_key *x = a, *y = b;
    int order = (x->share < y->share) - (x->share > y->share);
    return order != 0 ? order : by_hash(a, b);
}

/* The hot keys of all workers, each once, with its share of all their requests. */
static size_t gather(const struct pool *pool, struct heat_key *keys)
{
    size_t n_all = 0, n = 0;
    for (uint32_t i = 0; i < pool->n_locals; i++) {
        if (pool->locals[i].heat != NULL)
            n_all += heat_top(pool->locals[i].heat, keys + n_all);
    }
    if (n_all > 0)
        qsort(keys, n_all, sizeof keys[0], by_hash);
    for (size_t i = 0; i < n_all; i++) {
        if (n == 0 || keys[n - 1].hash != keys[i].hash)
            keys[n++] = keys[i];
    }
    for (size_t i = 0; i < n; i++)
        keys[i].share = pool_key_share(pool, keys[i].hash);
    if (n > 0)
        qsort(keys, n, sizeof keys[0], by_share);
    return n;
}

static json_t *describe_hot_key(const struct pool *pool, const struct snapshot *snapshot,
                                const struct heat_key *key)
{
    struct pick_trace trace = {.max = 0};
    const struct pick pick = {.snapshot = snapshot,
                              .hash = key->hash,
                              .has_key = true,
                              .key_share = key->share,
                              .in_flight = pool_in_flight(pool),
                              .trace = &trace};
    (void)policy_pick(&pick);
    const struct endpoint *home = policy_home(&pick);
    size_t n = key->n < HEAT_KEY_BYTES ? key->n : HEAT_KEY_BYTES;
    json_t *json = json_object();
    json_object_set_new(json, "key", describe_key((struct span){key->bytes, n}, n < key->n));
    json_object_set_new(json, "hash", hash_to_json(key->hash));
    json_object_set_new(json, "share", json_real(key->share));
    json_object_set_new(json, "alternatives", json_integer(trace.alternatives));
    json_object_set_new(json, "endpoint", home != NULL ? text(home->id) : json_null());
    return json;
}

static uint64_t count_requests(const struct pool *pool)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < pool->n_locals; i++) {
        if (pool->locals[i].heat != NULL)
            sum += heat_total(pool->locals[i].heat);
    }
    return sum;
}

json_t *describe_hot_keys(struct pool *pool)
{
    struct heat_key *keys = calloc(pool->n_locals * (size_t)HEAT_TOP + 1, sizeof keys[0]);
    json_t *json = json_object(), *list = json_array();
    if (keys == NULL)
        abort();
    struct snapshot *snapshot = pool_acquire(pool);
    size_t n = gather(pool, keys);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, describe_hot_key(pool, snapshot, &keys[i]));
    json_object_set_new(json, "pool", text(pool->conf->name));
    json_object_set_new(json, "snapshot", json_integer((json_int_t)snapshot->number));
    json_object_set_new(json, "requests", json_integer((json_int_t)count_requests(pool)));
    json_object_set_new(json, "keys", list);
    snapshot_unref(snapshot);
    free(keys);
    return json;
}
