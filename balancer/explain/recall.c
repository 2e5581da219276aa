#include "balancer/explain/recall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/policy/policy.h"
#include "balancer/pool/ring_choice.h"

static const char *text(const json_t *json, const char *member)
{
    const char *string = json_string_value(json_object_get(json, member));
    return string != NULL ? string : "";
}

static double number(const json_t *json, const char *member)
{
    return json_number_value(json_object_get(json, member));
}

/* 0 for what does not fit. */
static uint32_t whole(const json_t *json, const char *member)
{
    json_int_t value = json_integer_value(json_object_get(json, member));
    return value >= 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

static bool hash_of(const json_t *json, const char *member, uint64_t *ret_hash)
{
    const char *digits = text(json, member);
    char *end;
    if (strlen(digits) != 16)
        return false;
    *ret_hash = strtoull(digits, &end, 16);
    return *end == '\0';
}

static bool find_algorithm(const char *name, enum conf_algorithm *ret_algorithm)
{
    for (int i = CONF_ALGORITHM_HASH; i <= CONF_ALGORITHM_JUMP; i++) {
        enum conf_algorithm algorithm = (enum conf_algorithm)i;
        if (strcmp(policy_for(algorithm)->name, name) == 0) {
            *ret_algorithm = algorithm;
            return true;
        }
    }
    return false;
}

static bool find_haproxy_hash(const char *name, enum conf_haproxy_hash *ret_hash)
{
    static const char *const names[] = {"sdbm", "djb2", "wt6", "crc32"};
    for (size_t i = 0; i < sizeof names / sizeof(const char *); i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_hash = (enum conf_haproxy_hash)i;
            return true;
        }
    }
    return false;
}

int recall_options(const json_t *pool, struct ring_options *ret_options)
{
    const json_t *ring = json_object_get(pool, "ring");
    struct conf_pool conf = {
        .slots = whole(ring, "slots"),
        .points = whole(ring, "points"),
        .compat = {.table_size = whole(ring, "table_size"),
                   .min_ring = whole(ring, "min_ring"),
                   .haproxy_avalanche = json_is_true(json_object_get(ring, "haproxy_avalanche"))}};
    if (!find_algorithm(text(pool, "algorithm"), &conf.algorithm))
        return -EPROTO;
    if (json_is_null(ring))
        return -ENOENT;
    if (whole(ring, "version") != RING_VERSION || !hash_of(ring, "seed", &conf.seed) ||
        !find_haproxy_hash(text(ring, "haproxy_hash"), &conf.compat.haproxy_hash))
        return -EPROTO;
    return ring_choice(&conf, ret_options) ? 0 : -EPROTO;
}

int recall_endpoints(const json_t *pool, struct plan_endpoint *room)
{
    size_t i;
    const json_t *endpoint;
    json_array_foreach(json_object_get(pool, "endpoints"), i, endpoint)
    {
        const struct plan_side side = {.is_there = true,
                                       .weight = number(endpoint, "weight"),
                                       .position = whole(endpoint, "position")};
        room[i] = (struct plan_endpoint){.id = text(endpoint, "id"), .before = side, .after = side};
        if (!json_is_string(json_object_get(endpoint, "id")) ||
            !json_is_number(json_object_get(endpoint, "weight")))
            return -EPROTO;
    }
    return 0;
}

int recall_digest(const struct ring_options *options, const struct plan_endpoint *endpoints,
                  size_t n, char ret_digest[RECALL_DIGEST_SIZE])
{
    struct ring_node *nodes = calloc(n + 1, sizeof nodes[0]);
    size_t n_nodes = 0;
    struct ring *ring;
    uint8_t digest[16];
    if (nodes == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct plan_side *side = &endpoints[i].before;
        if (side->is_there)
            nodes[n_nodes++] = (struct ring_node){.id = endpoints[i].id,
                                                  .id_len = strlen(endpoints[i].id),
                                                  .weight = side->weight,
                                                  .position = side->position};
    }
    int rc = ring_new(options, nodes, n_nodes, &ring);
    free(nodes);
    if (rc != 0)
        return rc;
    ring_digest(ring, digest);
    ring_free(ring);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(ret_digest + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

int recall_hot_keys(const json_t *hot_keys, struct plan_hot_key *room)
{
    size_t i;
    const json_t *key;
    json_array_foreach(json_object_get(hot_keys, "keys"), i, key)
    {
        room[i] = (struct plan_hot_key){.share = number(key, "share"),
                                        .alternatives = whole(key, "alternatives")};
        if (!hash_of(key, "hash", &room[i].hash))
            return -EPROTO;
    }
    return 0;
}
