#include "balancer/pool/ring_choice.h"

static const struct {
    bool has_ring;
    enum ring_kind kind;
} choices[] = {
    [CONF_ALGORITHM_HASH] = {true, RING_SLOTS},
    [CONF_ALGORITHM_RING] = {true, RING_VNODES},
    [CONF_ALGORITHM_ROUND_ROBIN] = {.has_ring = false},
    [CONF_ALGORITHM_LEAST_REQUESTS] = {.has_ring = false},
    [CONF_ALGORITHM_RANDOM_TWO] = {.has_ring = false},
    [CONF_ALGORITHM_NGINX] = {true, RING_NGINX},
    [CONF_ALGORITHM_LIBMEMCACHED] = {true, RING_LIBMEMCACHED},
    [CONF_ALGORITHM_LIBMEMCACHED_MD5] = {true, RING_LIBMEMCACHED_MD5},
    [CONF_ALGORITHM_LIBMEMCACHED_WEIGHTED] = {true, RING_LIBMEMCACHED_WEIGHTED},
    [CONF_ALGORITHM_LIBMEMCACHED_SPY] = {true, RING_LIBMEMCACHED_SPY},
    [CONF_ALGORITHM_HAPROXY] = {true, RING_HAPROXY},
    [CONF_ALGORITHM_ENVOY_MAGLEV] = {true, RING_ENVOY_MAGLEV},
    [CONF_ALGORITHM_ENVOY_RING] = {true, RING_ENVOY_RING},
    [CONF_ALGORITHM_JUMP] = {true, RING_JUMP},
};

static const enum ring_haproxy_hash haproxy_hashes[] = {
    [CONF_HAPROXY_SDBM] = RING_HAPROXY_SDBM,
    [CONF_HAPROXY_DJB2] = RING_HAPROXY_DJB2,
    [CONF_HAPROXY_WT6] = RING_HAPROXY_WT6,
    [CONF_HAPROXY_CRC32] = RING_HAPROXY_CRC32,
};

bool ring_choice(const struct conf_pool *conf, struct ring_options *ret_options)
{
    if (!choices[conf->algorithm].has_ring)
        return false;
    *ret_options = (struct ring_options){
        .kind = choices[conf->algorithm].kind,
        .slots = conf->slots,
        .points = conf->points,
        .table_size = conf->compat.table_size,
        .min_ring = conf->compat.min_ring,
        .haproxy_hash = haproxy_hashes[conf->compat.haproxy_hash],
        .haproxy_avalanche = conf->compat.haproxy_avalanche,
        .seed = conf->seed,
    };
    return true;
}

bool ring_choice_is_same(const struct ring_options *a, const struct ring_options *b)
{
    return a->kind == b->kind && a->slots == b->slots && a->points == b->points &&
           a->table_size == b->table_size && a->min_ring == b->min_ring &&
           a->haproxy_hash == b->haproxy_hash && a->haproxy_avalanche == b->haproxy_avalanche &&
           a->seed == b->seed;
}
