#include "balancer/control/pools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/control/address.h"
#include "balancer/control/merge.h"
#include "balancer/control/signer.h"
#include "balancer/control/snapshot_build.h"
#include "balancer/control/wanted.h"
#include "balancer/log/log.h"
#include "balancer/proxy/clock.h"

struct managed {
    struct pool *pool;
    const struct conf_pool *conf;
    struct tracked_list tracked;
    struct signer signer;
    bool is_filled;  /* its source has spoken, or it has none */
    bool is_failing; /* the last contact failed: only the first failure in a row is a warning */
};

struct pools {
    const struct conf *conf;
    struct health *health;
    struct pool *pools;
    struct managed *managed;
};

/* ---- endpoints come and go ---- */

static void begin_probes(struct pools *pools, const struct managed *managed,
                         struct endpoint *endpoint)
{
    const struct conf_check *check = &managed->conf->check;
    if (check->type == CONF_CHECK_NONE)
        return;
    /* Initially up means: until a probe has spoken, the source alone decides. */
    if (check->initial == CONF_INITIAL_DOWN)
        atomic_store(&endpoint->probe, ENDPOINT_PROBE_DOWN);
    struct sockaddr_storage target = endpoint->sockaddr;
    if (check->port != 0)
        address_set_port(&target, check->port);
    if (health_add(pools->health, endpoint->serial, check, (const struct sockaddr *)&target,
                   endpoint->sockaddr_len) != 0)
        log_event(LOG_ERROR, "probe_not_started", LOG_STR("endpoint", endpoint->address));
}

static struct endpoint *make_endpoint(struct pools *pools, const struct managed *managed,
                                      const struct wanted *wanted)
{
    struct sockaddr_storage address;
    socklen_t address_n;
    char text[ADDRESS_TEXT_SIZE];
    address_text(wanted->host, wanted->port, text);
    if (address_resolve(wanted->host, wanted->port, &address, &address_n) != 0) {
        log_event(LOG_ERROR, "endpoint_unresolved", LOG_STR("pool", managed->conf->name),
                  LOG_STR("address", text));
        return NULL;
    }
    struct endpoint *endpoint = endpoint_new(wanted->id, text, (const struct sockaddr *)&address,
                                             address_n, pools->conf->workers);
    if (endpoint == NULL)
        return NULL;
    signer_sign(&managed->signer, endpoint);
    begin_probes(pools, managed, endpoint);
    log_event(LOG_INFO, "endpoint_added", LOG_STR("pool", managed->conf->name),
              LOG_STR("endpoint", text), LOG_STR("id", wanted->id),
              LOG_F64("weight", wanted->weight));
    return endpoint;
}

static bool set_source(const struct managed *managed, struct endpoint *endpoint,
                       enum endpoint_source source)
{
    if (atomic_load(&endpoint->source) == source)
        return false;
    const char *before = endpoint_state_word(endpoint);
    atomic_store(&endpoint->source, (uint8_t)source);
    endpoint_note_change(endpoint);
    log_event(LOG_INFO, "endpoint_state", LOG_STR("pool", managed->conf->name),
              LOG_STR("endpoint", endpoint->address), LOG_STR("from", before),
              LOG_STR("to", endpoint_state_word(endpoint)), LOG_STR("by", "consul"));
    return true;
}

/* ---- a new set: what stays, what is new, what is gone ---- */

struct change {
    bool members; /* endpoints or weights: a new snapshot */
    bool states;
};

/* What merging a set works on. */
struct merging {
    struct pools *pools;
    struct managed *managed;
    struct change change;
};

static bool admit(void *context, const struct wanted *wanted, struct tracked *ret_tracked)
{
    struct merging *merging = context;
    struct endpoint *endpoint = make_endpoint(merging->pools, merging->managed, wanted);
    if (endpoint == NULL)
        return false;
    atomic_store(&endpoint->source, (uint8_t)wanted->source);
    merging->change.members = true;
    *ret_tracked = (struct tracked){
        .endpoint = endpoint, .weight = wanted->weight, .position = wanted->position};
    return true;
}

static void keep(void *context, struct tracked *tracked, const struct wanted *wanted)
{
    struct merging *merging = context;
    merging->change.members |= tracked->weight < wanted->weight ||
                               tracked->weight > wanted->weight ||
                               tracked->position != wanted->position;
    merging->change.states |= set_source(merging->managed, tracked->endpoint, wanted->source);
    tracked->weight = wanted->weight;
    tracked->position = wanted->position;
}

static void retire(void *context, struct tracked *tracked)
{
    struct merging *merging = context;
    struct endpoint *endpoint = tracked->endpoint;
    atomic_store(&endpoint->source, ENDPOINT_SOURCE_REMOVED);
    health_remove(merging->pools->health, endpoint->serial);
    merging->change.members = true;
    log_event(LOG_INFO, "endpoint_removed", LOG_STR("pool", merging->managed->conf->name),
              LOG_STR("endpoint", endpoint->address), LOG_STR("id", endpoint->id),
              LOG_U64("in_flight", endpoint_in_flight(endpoint)));
}

static const struct merge_ops merge_ops = {.admit = admit, .keep = keep, .retire = retire};

static int publish(struct managed *managed)
{
    const struct tracked_list *list = &managed->tracked;
    struct member *members = tracked_members(list);
    if (members == NULL)
        return -ENOMEM;
    struct snapshot *previous = pool_acquire(managed->pool), *snapshot;
    int rc = snapshot_build(managed->conf, members, list->n, previous, &snapshot);
    free(members);
    snapshot_unref(previous);
    if (rc != 0) {
        log_event(LOG_ERROR, "snapshot_failed", LOG_STR("pool", managed->conf->name),
                  LOG_ERRNO("error", -rc));
        return rc;
    }
    log_event(LOG_INFO, "pool_published", LOG_STR("pool", managed->conf->name),
              LOG_U64("snapshot", snapshot->number), LOG_U64("endpoints", list->n));
    pool_publish(managed->pool, snapshot);
    return 0;
}

/* Static endpoints and the instances of set (NULL: none) are the pool's endpoints now. */
static bool take_set(struct pools *pools, struct managed *managed, const struct instance_set *set)
{
    struct merging merging = {.pools = pools, .managed = managed};
    struct wanted_list wanted;
    int rc = wanted_list_build(managed->conf, set, &wanted);
    if (rc == 0) {
        rc = merge(&managed->tracked, &wanted, &merge_ops, &merging);
        wanted_list_free(&wanted);
    }
    if (rc != 0)
        log_event(LOG_ERROR, "update_failed", LOG_STR("pool", managed->conf->name),
                  LOG_ERRNO("error", -rc));
    /* Where publishing fails (and says so) workers still learn who was removed. */
    if (merging.change.members)
        (void)publish(managed);
    return merging.change.members || merging.change.states;
}

/* ---- discovery ---- */

static void note_contact(struct managed *managed, const struct discovery_event *event)
{
    struct pool_source_stats *stats = &managed->pool->source;
    atomic_store(&stats->last_contact_us, clock_now_us());
    atomic_store(&stats->index, event->index);
    if (managed->is_failing)
        log_event(LOG_INFO, "discovery_recovered", LOG_STR("pool", managed->conf->name),
                  LOG_STR("address", event->address));
    managed->is_failing = false;
}

static bool take_update(struct pools *pools, struct managed *managed,
                        const struct discovery_event *event)
{
    note_contact(managed, event);
    (void)atomic_fetch_add(&managed->pool->source.updates, 1);
    atomic_store(&managed->pool->source.is_held, 0);
    managed->is_filled = true;
    if (event->set->n_rejected > 0)
        log_event(LOG_WARN, "instances_rejected", LOG_STR("pool", managed->conf->name),
                  LOG_U64("count", event->set->n_rejected));
    return take_set(pools, managed, event->set);
}

static void take_failure(struct managed *managed, const struct discovery_event *event)
{
    (void)atomic_fetch_add(&managed->pool->source.errors, 1);
    log_event(managed->is_failing ? LOG_DEBUG : LOG_WARN, "discovery_failed",
              LOG_STR("pool", managed->conf->name), LOG_STR("address", event->address),
              LOG_STR("error", event->error), LOG_U64("retry_ms", event->retry_ms));
    managed->is_failing = true;
}

static void take_held(struct managed *managed, const struct discovery_event *event)
{
    note_contact(managed, event);
    (void)atomic_fetch_add(&managed->pool->source.held, 1);
    if (atomic_exchange(&managed->pool->source.is_held, 1) == 0)
        log_event(LOG_WARN, "discovery_held", LOG_STR("pool", managed->conf->name),
                  LOG_STR("why", event->error));
}

bool pools_take_discovery(struct pools *pools, const struct discovery_event *event)
{
    struct managed *managed = &pools->managed[event->pool];
    bool changed = false;
    switch (event->type) {
    case DISCOVERY_UPDATED:
        changed = take_update(pools, managed, event);
        break;
    case DISCOVERY_CONTACTED:
        note_contact(managed, event);
        atomic_store(&managed->pool->source.is_held, 0);
        break;
    case DISCOVERY_HELD:
        take_held(managed, event);
        break;
    case DISCOVERY_FAILED:
        take_failure(managed, event);
        break;
    }
    return changed;
}

/* ---- health ---- */

static struct tracked *find_serial(struct pools *pools, uint64_t serial, struct managed **ret)
{
    for (size_t i = 0; i < pools->conf->n_pools; i++) {
        struct managed *managed = &pools->managed[i];
        for (size_t k = 0; k < managed->tracked.n; k++) {
            if (managed->tracked.items[k].endpoint->serial == serial) {
                *ret = managed;
                return &managed->tracked.items[k];
            }
        }
    }
    return NULL;
}

bool pools_take_verdict(struct pools *pools, uint64_t cookie, bool up, const char *detail)
{
    struct managed *managed;
    struct tracked *tracked = find_serial(pools, cookie, &managed);
    if (tracked == NULL)
        return false; /* removed meanwhile */
    struct endpoint *endpoint = tracked->endpoint;
    const char *before = endpoint_state_word(endpoint);
    atomic_store(&endpoint->probe, up ? ENDPOINT_PROBE_UP : ENDPOINT_PROBE_DOWN);
    if (strcmp(before, endpoint_state_word(endpoint)) == 0)
        return false;
    endpoint_note_change(endpoint);
    log_event(up ? LOG_INFO : LOG_WARN, "endpoint_state", LOG_STR("pool", managed->conf->name),
              LOG_STR("endpoint", endpoint->address), LOG_STR("from", before),
              LOG_STR("to", endpoint_state_word(endpoint)), LOG_STR("by", "probe"),
              LOG_STR("detail", detail));
    return true;
}

/* ---- life ---- */

bool pools_are_filled(const struct pools *pools, const char **ret_waiting)
{
    for (size_t i = 0; i < pools->conf->n_pools; i++) {
        if (!pools->managed[i].is_filled) {
            *ret_waiting = pools->managed[i].conf->name;
            return false;
        }
    }
    return true;
}

struct pool *pools_array(struct pools *pools)
{
    return pools->pools;
}

static int begin_pool(struct pools *pools, size_t i)
{
    struct managed *managed = &pools->managed[i];
    const struct conf_pool *conf = &pools->conf->pools[i];
    int rc = pool_init(&pools->pools[i], conf, pools->conf->workers);
    if (rc != 0)
        return rc;
    *managed = (struct managed){.pool = &pools->pools[i],
                                .conf = conf,
                                .is_filled = conf->service.name == NULL || conf->n_endpoints > 0};
    rc = signer_init(&managed->signer, conf);
    if (rc != 0)
        return rc;
    (void)take_set(pools, managed, NULL);
    return 0;
}

int pools_new(const struct conf *conf, struct health *health, struct pools **ret_pools)
{
    struct pools *pools = calloc(1, sizeof *pools);
    if (pools == NULL)
        return -ENOMEM;
    *pools = (struct pools){.conf = conf, .health = health};
    pools->pools = calloc(conf->n_pools + 1, sizeof *pools->pools);
    pools->managed = calloc(conf->n_pools + 1, sizeof *pools->managed);
    int rc = pools->pools == NULL || pools->managed == NULL ? -ENOMEM : 0;
    for (size_t i = 0; rc == 0 && i < conf->n_pools; i++)
        rc = begin_pool(pools, i);
    if (rc != 0) {
        log_event(LOG_ERROR, "pools_failed", LOG_ERRNO("error", -rc));
        pools_free(pools);
        return rc;
    }
    *ret_pools = pools;
    return 0;
}

void pools_free(struct pools *pools)
{
    if (pools == NULL)
        return;
    for (size_t i = 0; pools->managed != NULL && i < pools->conf->n_pools; i++) {
        struct managed *managed = &pools->managed[i];
        if (managed->pool == NULL)
            continue;
        tracked_list_fini(&managed->tracked);
        pool_fini(managed->pool);
    }
    free(pools->managed);
    free(pools->pools);
    free(pools);
}
