#include "balancer/pool/snapshot.h"

#include <assert.h>
#include <stdlib.h>

struct snapshot *snapshot_new(const struct conf_pool *conf, uint32_t n)
{
    struct snapshot *snapshot = calloc(1, sizeof(struct snapshot) + n * sizeof(struct member));
    if (snapshot == NULL)
        return NULL;
    snapshot->conf = conf;
    snapshot->n = n;
    atomic_init(&snapshot->references, 1);
    return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    uint32_t before = atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    assert(before > 0);
    return snapshot;
}

void snapshot_count_live(struct snapshot *snapshot)
{
    double sum = 0;
    for (uint32_t i = 0; i < snapshot->n; i++) {
        const struct member *member = &snapshot->members[i];
        if (member->weight > 0 && endpoint_is_usable(member->endpoint))
            sum += member->weight;
    }
    atomic_store_explicit(&snapshot->live_weight, sum, memory_order_relaxed);
}

static void snapshot_free(struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->n; i++)
        endpoint_unref(snapshot->members[i].endpoint);
    ring_free(snapshot->ring);
    free(snapshot->sticky);
    free(snapshot);
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1)
        snapshot_free(snapshot);
}
