#include "balancer.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/control/snapshot_build.h"
#include "conf/load.h"
#include "hashring/hash.h"

static struct conf *load(const struct scheme *scheme)
{
    char text[1024];
    int n = snprintf(text, sizeof text,
                     "listeners: [{address: \"127.0.0.1:80\"}]\n"
                     "routes: [{pool: sim}]\n"
                     "pools: {sim: {endpoints: [{address: \"127.0.0.1:81\"}], %s}}\n",
                     scheme->options);
    assert(n > 0 && (size_t)n < sizeof text);
    struct conf_errors errors = {0};
    struct conf *conf = conf_load_text(scheme->name, text, (size_t)n, &errors);
    conf_errors_print(&errors, stderr);
    conf_errors_fini(&errors);
    if (conf == NULL)
        exit(2);
    return conf;
}

/* Its port says which one it is. */
static struct endpoint *make_endpoint(uint32_t number, uint64_t seed, uint32_t n_workers)
{
    char id[64];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    (void)snprintf(id, sizeof id, "10.0.%u.%u:8080", (unsigned)seed & 255, number);
    struct endpoint *endpoint =
        endpoint_new(id, id, (const struct sockaddr *)&address, sizeof address, n_workers);
    assert(endpoint != NULL);
    return endpoint;
}

static uint32_t number_of(const struct endpoint *endpoint)
{
    struct sockaddr_in address;
    memcpy(&address, &endpoint->sockaddr, sizeof address);
    return ntohs(address.sin_port);
}

static void free_states(struct balancer *balancer)
{
    for (uint32_t i = 0; balancer->snapshot != NULL && i < balancer->n_workers; i++)
        policy_state_free(balancer->snapshot, balancer->states[i]);
    snapshot_unref(balancer->snapshot);
}

static void publish(struct balancer *balancer)
{
    struct snapshot *snapshot;
    int r = snapshot_build(balancer->pool.conf, balancer->members, balancer->n, balancer->snapshot,
                           &snapshot);
    assert(r == 0);
    pool_publish(&balancer->pool, snapshot);
    free_states(balancer);
    balancer->snapshot = pool_acquire(&balancer->pool);
    for (uint32_t i = 0; i < balancer->n_workers; i++)
        balancer->states[i] = policy_state_new(balancer->snapshot, mix64(i));
}

void balancer_init(struct balancer *balancer, const struct scheme *scheme, uint32_t n,
                   uint32_t n_workers, uint64_t seed)
{
    assert(n_workers <= BALANCER_MAX_WORKERS);
    memset(balancer, 0, sizeof *balancer);
    balancer->conf = load(scheme);
    balancer->weight = scheme->weight > 0 ? scheme->weight : 1;
    balancer->n_workers = n_workers;
    int r = pool_init(&balancer->pool, &balancer->conf->pools[0], n_workers);
    assert(r == 0);
    for (uint32_t i = 0; i < BALANCER_MAX_ENDPOINTS; i++)
        balancer->members[i].endpoint = make_endpoint(i, seed, n_workers);
    balancer_resize(balancer, n, n, 1);
}

void balancer_fini(struct balancer *balancer)
{
    free_states(balancer);
    pool_fini(&balancer->pool);
    for (uint32_t i = 0; i < BALANCER_MAX_ENDPOINTS; i++)
        endpoint_unref(balancer->members[i].endpoint);
    conf_free(balancer->conf);
}

void balancer_resize(struct balancer *balancer, uint32_t n, uint32_t old_n, double part)
{
    assert(n <= BALANCER_MAX_ENDPOINTS);
    balancer->n = n;
    for (uint32_t i = 0; i < n; i++)
        balancer->members[i].weight = balancer->weight * (i < old_n ? 1 : part);
    publish(balancer);
}

void balancer_take_down(struct balancer *balancer, uint32_t endpoint)
{
    atomic_store(&balancer->members[endpoint].endpoint->probe, ENDPOINT_PROBE_DOWN);
    snapshot_count_live(balancer->snapshot);
}

uint32_t balancer_choose(struct balancer *balancer, const struct balancer_request *request,
                         enum pick_way *ret_way)
{
    uint32_t worker = request->worker;
    struct heat *heat = balancer->pool.locals[worker].heat;
    struct pick_trace trace = {.max = 0};
    struct pick pick = {.snapshot = balancer->snapshot,
                        .state = balancer->states[worker],
                        .hash = request->hash,
                        .has_key = true,
                        .in_flight = pool_in_flight(&balancer->pool),
                        .random = request->random,
                        .trace = &trace};
    if (heat != NULL)
        pick.key_share = heat_count(heat, request->hash, request->key, request->now_us);
    struct endpoint *endpoint = policy_pick(&pick);
    assert(endpoint != NULL);
    endpoint_add_in_flight(endpoint, worker, 1);
    pool_add_in_flight(&balancer->pool, worker, 1);
    *ret_way = trace.way;
    return number_of(endpoint);
}

void balancer_done(struct balancer *balancer, uint32_t worker, uint32_t endpoint)
{
    endpoint_add_in_flight(balancer->members[endpoint].endpoint, worker, -1);
    pool_add_in_flight(&balancer->pool, worker, -1);
}
