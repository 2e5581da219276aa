#include "balancer/pool/endpoint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t next_serial(void)
{
    static _Atomic uint64_t serial;
    return atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed) + 1;
}

static void endpoint_free(struct endpoint *endpoint)
{
    for (uint32_t i = 0; i < endpoint->n_locals && endpoint->free_tls_session != NULL; i++)
        endpoint->free_tls_session(endpoint->locals[i].tls_session);
    free(endpoint->id);
    free(endpoint->address);
    free(endpoint);
}

void endpoint_note_change(struct endpoint *endpoint)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    atomic_store_explicit(&endpoint->changed_ms,
                          (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
                          memory_order_relaxed);
}

struct endpoint *endpoint_new(const char *id, const char *address, const struct sockaddr *sockaddr,
                              socklen_t sockaddr_len, uint32_t n_workers)
{
    assert(sockaddr_len <= sizeof(struct sockaddr_storage));

    /* The locals' alignment is the struct's, so its size is a multiple of it. */
    size_t size = sizeof(struct endpoint) + n_workers * sizeof(struct endpoint_local);
    struct endpoint *endpoint = aligned_alloc(_Alignof(struct endpoint), size);
    if (endpoint == NULL)
        return NULL;

    memset(endpoint, 0, size);
    endpoint->id = strdup(id);
    endpoint->address = strdup(address);
    if (endpoint->id == NULL || endpoint->address == NULL) {
        endpoint_free(endpoint);
        return NULL;
    }
    memcpy(&endpoint->sockaddr, sockaddr, sockaddr_len);
    endpoint->sockaddr_len = sockaddr_len;
    endpoint->serial = next_serial();
    endpoint->n_locals = n_workers;
    endpoint_note_change(endpoint);
    atomic_init(&endpoint->references, 1);
    atomic_init(&endpoint->source, ENDPOINT_SOURCE_UP);
    atomic_init(&endpoint->probe, ENDPOINT_PROBE_NONE);
    for (uint32_t i = 0; i < n_workers; i++) {
        LIST_INIT(&endpoint->locals[i].idle);
        LIST_INIT(&endpoint->locals[i].active);
    }
    return endpoint;
}

struct endpoint *endpoint_ref(struct endpoint *endpoint)
{
    uint32_t before = atomic_fetch_add_explicit(&endpoint->references, 1, memory_order_relaxed);
    assert(before > 0);
    return endpoint;
}

void endpoint_unref(struct endpoint *endpoint)
{
    if (endpoint == NULL)
        return;
    /* Release: what this holder did is done; acquire: the last one sees it all. */
    uint32_t before = atomic_fetch_sub_explicit(&endpoint->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1)
        endpoint_free(endpoint);
}

bool endpoint_take_room(struct endpoint *endpoint, uint32_t max)
{
    uint32_t n = atomic_load(&endpoint->connections);
    while (n < max) {
        if (atomic_compare_exchange_weak(&endpoint->connections, &n, n + 1))
            return true;
    }
    return false;
}

void endpoint_give_room(struct endpoint *endpoint)
{
    uint32_t before = atomic_fetch_sub(&endpoint->connections, 1);
    assert(before > 0);
}

/* What the two views together make of an endpoint. */
struct verdict {
    bool is_usable;
    const char *word;
};

static const struct verdict verdicts[][3] = {
    /* the probe: NONE, UP, DOWN */
    [ENDPOINT_SOURCE_UP] = {{true, "up"}, {true, "up"}, {false, "probe_down"}},
    [ENDPOINT_SOURCE_WARNING] = {{true, "warning"}, {true, "warning"}, {false, "probe_down"}},
    [ENDPOINT_SOURCE_NODE_CRITICAL] = {{false, "node_critical"},
                                       {true, "node_critical_probe_up"},
                                       {false, "node_critical"}},
    [ENDPOINT_SOURCE_CRITICAL] = {{false, "critical"}, {false, "critical"}, {false, "critical"}},
    [ENDPOINT_SOURCE_MAINTENANCE] = {{false, "maintenance"},
                                     {false, "maintenance"},
                                     {false, "maintenance"}},
    [ENDPOINT_SOURCE_DRAINING] = {{true, "draining"}, {true, "draining"}, {false, "probe_down"}},
    [ENDPOINT_SOURCE_REMOVED] = {{false, "removed"}, {false, "removed"}, {false, "removed"}},
};

static const struct verdict *verdict_on(const struct endpoint *endpoint)
{
    uint8_t source = atomic_load_explicit(&endpoint->source, memory_order_relaxed);
    uint8_t probe = atomic_load_explicit(&endpoint->probe, memory_order_relaxed);
    assert(source <= ENDPOINT_SOURCE_REMOVED && probe <= ENDPOINT_PROBE_DOWN);
    return &verdicts[source][probe];
}

bool endpoint_state_is_usable(enum endpoint_source source, enum endpoint_probe probe)
{
    return verdicts[source][probe].is_usable;
}

bool endpoint_is_usable(const struct endpoint *endpoint)
{
    return verdict_on(endpoint)->is_usable;
}

const char *endpoint_state_word(const struct endpoint *endpoint)
{
    return verdict_on(endpoint)->word;
}
