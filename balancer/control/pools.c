#include "balancer/control/pools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/control/address.h"
#include "balancer/control/snapshot_build.h"
#include "balancer/log/log.h"
#include "balancer/proxy/clock.h"

/* An endpoint as control tracks it. */
struct tracked {
    struct endpoint *endpoint; /* a reference */
    double weight;
    size_t position; /* among static endpoints; BEHIND_STATICS for discovered ones */
};

#define BEHIND_STATICS SIZE_MAX

struct tracked_list {
    struct tracked *items; /* sorted by endpoint id */
    size_t n;
};

struct managed {
    struct pool *pool;
    const struct conf_pool *conf;
    struct tracked_list tracked;
    bool is_filled;  /* its source has spoken, or it has none */
    bool is_failing; /* the last contact failed: only the first failure in a row is a warning */
};

struct pools {
    const struct conf *conf;
    struct health *health;
    struct pool *pools;
    struct managed *managed;
};

/* What a source says of one endpoint. */
struct wanted {
    const char *id, *host;
    uint16_t port;
    double weight;
    size_t position;
    enum endpoint_source source;
    bool is_static;
};

/* By identity; of two sources that name the same endpoint the static one comes first. */
static int by_wanted_id(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order != 0 ? order : (int)y->is_static - (int)x->is_static;
}

static size_t sort_and_drop_duplicates(struct wanted *wanted, size_t n)
{
    qsort(wanted, n, sizeof *wanted, by_wanted_id);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || strcmp(wanted[kept - 1].id, wanted[i].id) != 0)
            wanted[kept++] = wanted[i];
    return kept;
}

static int id_to_item(const void *id, const void *item)
{
    return strcmp(id, ((const struct tracked *)item)->endpoint->id);
}

static struct tracked *find(const struct tracked_list *list, const char *id)
{
    return list->n == 0 ? NULL : bsearch(id, list->items, list->n, sizeof *list->items, id_to_item);
}

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
    begin_probes(pools, managed, endpoint);
    log_event(LOG_INFO, "endpoint_added", LOG_STR("pool", managed->conf->name),
              LOG_STR("endpoint", text), LOG_STR("id", wanted->id),
              LOG_F64("weight", wanted->weight));
    return endpoint;
}

static void retire(struct pools *pools, const struct managed *managed, struct endpoint *endpoint)
{
    atomic_store(&endpoint->source, ENDPOINT_SOURCE_REMOVED);
    health_remove(pools->health, endpoint->serial);
    log_event(LOG_INFO, "endpoint_removed", LOG_STR("pool", managed->conf->name),
              LOG_STR("endpoint", endpoint->address), LOG_STR("id", endpoint->id),
              LOG_U64("in_flight", atomic_load(&endpoint->in_flight)));
}

static bool set_source(const struct managed *managed, struct endpoint *endpoint,
                       enum endpoint_source source)
{
    if (atomic_load(&endpoint->source) == source)
        return false;
    const char *before = endpoint_state_word(endpoint);
    atomic_store(&endpoint->source, (uint8_t)source);
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

static bool is_same(const struct tracked *old, const struct wanted *wanted)
{
    char text[ADDRESS_TEXT_SIZE];
    address_text(wanted->host, wanted->port, text);
    return strcmp(old->endpoint->address, text) == 0;
}

static void merge_one(struct pools *pools, struct managed *managed, const struct wanted *wanted,
                      struct tracked_list *next, struct change *change)
{
    struct tracked *old = find(&managed->tracked, wanted->id);
    struct endpoint *endpoint;
    if (old != NULL && is_same(old, wanted)) {
        endpoint = endpoint_ref(old->endpoint);
        change->members |= old->weight < wanted->weight || old->weight > wanted->weight ||
                           old->position != wanted->position;
        change->states |= set_source(managed, endpoint, wanted->source);
    } else {
        endpoint = make_endpoint(pools, managed, wanted);
        if (endpoint == NULL)
            return;
        atomic_store(&endpoint->source, (uint8_t)wanted->source);
        change->members = true;
    }
    next->items[next->n++] = (struct tracked){
        .endpoint = endpoint, .weight = wanted->weight, .position = wanted->position};
}

static void replace(struct pools *pools, struct managed *managed, struct tracked_list next,
                    struct change *change)
{
    struct tracked_list old = managed->tracked;
    managed->tracked = next;
    for (size_t i = 0; i < old.n; i++) {
        struct endpoint *endpoint = old.items[i].endpoint;
        const struct tracked *now = find(&next, endpoint->id);
        if (now == NULL || now->endpoint != endpoint) {
            retire(pools, managed, endpoint);
            change->members = true;
        }
        endpoint_unref(endpoint);
    }
    free(old.items);
}

static int by_position(const void *a, const void *b)
{
    const struct tracked *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return strcmp(x->endpoint->id, y->endpoint->id);
}

/* In the order that numbers them in rings: static endpoints as configured, then the discovered ones
 * by identity. The caller frees the array; NULL when memory is out. */
static struct member *members_in_order(const struct tracked_list *list)
{
    struct tracked *ordered = calloc(list->n + 1, sizeof *ordered);
    struct member *members = calloc(list->n + 1, sizeof *members);
    if (ordered == NULL || members == NULL) {
        free(ordered);
        free(members);
        return NULL;
    }
    for (size_t i = 0; i < list->n; i++)
        ordered[i] = list->items[i];
    qsort(ordered, list->n, sizeof *ordered, by_position);
    for (size_t i = 0; i < list->n; i++)
        members[i] = (struct member){.endpoint = ordered[i].endpoint, .weight = ordered[i].weight};
    free(ordered);
    return members;
}

static int publish(struct managed *managed)
{
    const struct tracked_list *list = &managed->tracked;
    struct member *members = members_in_order(list);
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

/* wanted is sorted by id, without duplicates. */
static bool apply(struct pools *pools, struct managed *managed, const struct wanted *wanted,
                  size_t n)
{
    struct tracked_list next = {.items = calloc(n + 1, sizeof *next.items)};
    if (next.items == NULL) {
        log_event(LOG_ERROR, "update_failed", LOG_STR("pool", managed->conf->name),
                  LOG_ERRNO("error", ENOMEM));
        return false;
    }
    struct change change = {false, false};
    for (size_t i = 0; i < n; i++)
        merge_one(pools, managed, &wanted[i], &next, &change);
    replace(pools, managed, next, &change);
    /* Where publishing fails (and says so) workers still learn who was removed. */
    if (change.members)
        (void)publish(managed);
    return change.members || change.states;
}

/* ---- the two sources ---- */

static enum endpoint_source source_of(const struct managed *managed, enum instance_status status)
{
    switch (status) {
    case INSTANCE_PASSING:
        return ENDPOINT_SOURCE_UP;
    case INSTANCE_WARNING:
        return managed->conf->service.use_warning ? ENDPOINT_SOURCE_WARNING
                                                  : ENDPOINT_SOURCE_CRITICAL;
    case INSTANCE_NODE_CRITICAL:
        return ENDPOINT_SOURCE_NODE_CRITICAL;
    case INSTANCE_MAINTENANCE:
        return ENDPOINT_SOURCE_MAINTENANCE;
    case INSTANCE_CRITICAL:
        break;
    }
    return ENDPOINT_SOURCE_CRITICAL;
}

static char *instance_id(const struct managed *managed, const struct instance *instance)
{
    char *id = NULL;
    if (managed->conf->identity == CONF_IDENTITY_SERVICE) {
        if (asprintf(&id, "%s/%s/%s", instance->datacenter, instance->node, instance->service_id) <
            0)
            return NULL;
        return id;
    }
    id = malloc(ADDRESS_TEXT_SIZE);
    if (id != NULL)
        address_text(instance->host, instance->port, id);
    return id;
}

static char *static_id(const struct conf_endpoint *endpoint)
{
    if (endpoint->id != NULL)
        return strdup(endpoint->id);
    char *id = malloc(ADDRESS_TEXT_SIZE);
    if (id != NULL)
        address_text(endpoint->host, endpoint->port, id);
    return id;
}

static size_t want_statics(const struct managed *managed, struct wanted *wanted, char **ids)
{
    const struct conf_pool *conf = managed->conf;
    size_t n = 0;
    for (size_t i = 0; i < conf->n_endpoints; i++) {
        const struct conf_endpoint *e = &conf->endpoints[i];
        ids[n] = static_id(e);
        if (ids[n] == NULL)
            continue;
        wanted[n] = (struct wanted){.id = ids[n],
                                    .host = e->host,
                                    .port = e->port,
                                    .weight = e->weight,
                                    .position = i,
                                    .source = ENDPOINT_SOURCE_UP,
                                    .is_static = true};
        n++;
    }
    return n;
}

static size_t want_instances(const struct managed *managed, const struct instance_set *set,
                             struct wanted *wanted, char **ids)
{
    size_t n = 0;
    for (size_t i = 0; set != NULL && i < set->n; i++) {
        const struct instance *instance = &set->list[i];
        ids[n] = instance_id(managed, instance);
        if (ids[n] == NULL)
            continue;
        wanted[n] = (struct wanted){.id = ids[n],
                                    .host = instance->host,
                                    .port = instance->port,
                                    .weight = instance->weight,
                                    .position = BEHIND_STATICS,
                                    .source = source_of(managed, instance->status)};
        n++;
    }
    return n;
}

/* Static endpoints and the instances of set (NULL: none) are the pool's endpoints now. */
static bool take_set(struct pools *pools, struct managed *managed, const struct instance_set *set)
{
    size_t max = managed->conf->n_endpoints + (set != NULL ? set->n : 0) + 1;
    struct wanted *wanted = calloc(max, sizeof *wanted);
    char **ids = calloc(max, sizeof *ids);
    bool changed = false;
    if (wanted != NULL && ids != NULL) {
        size_t n = want_statics(managed, wanted, ids);
        n += want_instances(managed, set, wanted + n, ids + n);
        changed = apply(pools, managed, wanted, sort_and_drop_duplicates(wanted, n));
    }
    for (size_t i = 0; ids != NULL && i < max; i++)
        free(ids[i]);
    free(ids);
    free(wanted);
    return changed;
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
        for (size_t k = 0; k < managed->tracked.n; k++)
            endpoint_unref(managed->tracked.items[k].endpoint);
        free(managed->tracked.items);
        pool_fini(managed->pool);
    }
    free(pools->managed);
    free(pools->pools);
    free(pools);
}
