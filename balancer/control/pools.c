#include "balancer/control/pools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/control/address.h"
#include "balancer/control/merge.h"
#include "balancer/control/ramping.h"
#include "balancer/control/signer.h"
#include "balancer/control/snapshot_build.h"
#include "balancer/control/wanted.h"
#include "balancer/log/log.h"
#include "balancer/tls/outbound.h"

/* How long after a snapshot for which there was no memory the next one is tried. */
#define RETRY_US UINT64_C(1000000)

struct managed {
    struct pool *pool;
    const struct conf_pool *conf;
    struct tracked_list tracked;
    struct signer signer;
    uint64_t next_step_us; /* of its ramps; POOLS_NEVER while none runs */
    bool is_behind;        /* its newest snapshot could not be made: memory was out */
    bool is_young;         /* its source has not spoken yet: nobody has served so far */
    bool is_filled;        /* its source has spoken, or it has none it must wait for */
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
    struct conf_check check = managed->conf->check;
    if (check.type == CONF_CHECK_NONE)
        return;
    if (check.tls != NULL)
        outbound_name(check.tls, endpoint->address, check.tls_name);
    /* Initially up means: until a probe has spoken, the source alone decides. */
    if (check.initial == CONF_INITIAL_DOWN)
        atomic_store(&endpoint->probe, ENDPOINT_PROBE_DOWN);
    struct sockaddr_storage target = endpoint->sockaddr;
    if (check.port != 0)
        address_set_port(&target, check.port);
    if (health_add(pools->health, endpoint->serial, &check, (const struct sockaddr *)&target,
                   endpoint->sockaddr_len) != 0)
        log_event(LOG_ERROR, "probe_not_started", LOG_STR("endpoint", endpoint->address));
}

/* Once for each endpoint: who goes by another identity later is another endpoint. */
static void warn_of_fallback(const struct managed *managed, const struct wanted *wanted,
                             const char *address)
{
    if (wanted->fallback == WANTED_NO_FALLBACK)
        return;
    log_event(LOG_WARN, "identity_fallback", LOG_STR("pool", managed->conf->name),
              LOG_STR("endpoint", address), LOG_STR("service_id", wanted->service_id),
              LOG_STR("meta", managed->conf->identity.meta_key),
              LOG_STR("why", wanted->fallback == WANTED_META_SHARED ? "shared" : "missing"));
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
    if (endpoint != NULL)
        endpoint->free_tls_session = outbound_forget;
    if (endpoint == NULL)
        return NULL;
    signer_sign(&managed->signer, endpoint);
    warn_of_fallback(managed, wanted, text);
    begin_probes(pools, managed, endpoint);
    log_event(LOG_INFO, "endpoint_added", LOG_STR("pool", managed->conf->name),
              LOG_STR("endpoint", text), LOG_STR("id", wanted->id),
              LOG_F64("weight", wanted->weight));
    return endpoint;
}

static const char *name_of(const struct managed *managed)
{
    return managed->conf->name;
}

/* ---- ramps ---- */

static void log_ramp_begin(void *context, const struct tracked *tracked)
{
    const struct managed *managed = context;
    log_event(LOG_INFO, "ramp_begun", LOG_STR("pool", name_of(managed)),
              LOG_STR("endpoint", tracked->endpoint->address), LOG_F64("from", tracked->ramp.from),
              LOG_F64("to", tracked->ramp.to), LOG_U64("ramp_ms", managed->conf->ramp_ms));
}

static void log_ramp_end(void *context, const struct tracked *tracked, enum ramp_ending ending)
{
    const struct managed *managed = context;
    log_event(LOG_INFO, "ramp_ended", LOG_STR("pool", name_of(managed)),
              LOG_STR("endpoint", tracked->endpoint->address),
              LOG_F64("weight", tracked->now_weight), LOG_F64("to", tracked->ramp.to),
              LOG_STR("why", ramp_ending_word(ending)));
}

static struct ramping_observer ramp_log(struct managed *managed)
{
    return (struct ramping_observer){
        .context = managed, .begun = log_ramp_begin, .ended = log_ramp_end};
}

static uint64_t ramp_us(const struct managed *managed)
{
    return managed->conf->ramp_ms * UINT64_C(1000);
}

/* Plans the next step: one for all ramps of the pool, a step's length after the last snapshot. */
static void plan_step(struct managed *managed, bool has_published, uint64_t now_us)
{
    if (managed->is_behind)
        managed->next_step_us = now_us + RETRY_US;
    else if (!ramping_is_under_way(&managed->tracked))
        managed->next_step_us = POOLS_NEVER;
    else if (has_published || managed->next_step_us == POOLS_NEVER)
        managed->next_step_us = now_us + ramp_step_us(ramp_us(managed));
}

/* ---- from what the sources say to what workers see ---- */

/* What led to a change, for the log. */
struct cause {
    const char *by, *detail;
    bool is_step; /* of a ramp: too many for the log, unless somebody looks */
    bool is_probe;
};

static int publish(struct managed *managed, enum log_level level)
{
    const struct tracked_list *list = &managed->tracked;
    struct member *members = tracked_members(list);
    struct snapshot *previous = pool_acquire(managed->pool), *snapshot;
    int rc = members == NULL ? -ENOMEM
                             : snapshot_build(managed->conf, members, list->n, previous, &snapshot);
    free(members);
    snapshot_unref(previous);
    if (rc != 0) {
        log_event(LOG_ERROR, "snapshot_failed", LOG_STR("pool", name_of(managed)),
                  LOG_ERRNO("error", -rc));
        return rc;
    }
    log_event(level, "pool_published", LOG_STR("pool", name_of(managed)),
              LOG_U64("snapshot", snapshot->number), LOG_U64("endpoints", list->n));
    pool_publish(managed->pool, snapshot);
    return 0;
}

/* Sets the endpoint's state to what it shall be; returns whether that is another one. */
static bool show_state(const struct managed *managed, const struct tracked *tracked,
                       const struct cause *cause)
{
    struct endpoint *endpoint = tracked->endpoint;
    uint8_t source = (uint8_t)ramping_source(tracked), probe = (uint8_t)tracked->probe;
    if (atomic_load(&endpoint->source) == source && atomic_load(&endpoint->probe) == probe)
        return false;
    const char *before = endpoint_state_word(endpoint);
    atomic_store(&endpoint->source, source);
    atomic_store(&endpoint->probe, probe);
    const char *now = endpoint_state_word(endpoint);
    if (strcmp(before, now) == 0)
        return false;
    endpoint_note_change(endpoint);
    bool is_bad = cause->is_probe && !endpoint_is_usable(endpoint);
    log_event(is_bad ? LOG_WARN : LOG_INFO, "endpoint_state", LOG_STR("pool", name_of(managed)),
              LOG_STR("endpoint", endpoint->address), LOG_STR("from", before), LOG_STR("to", now),
              LOG_STR("by", cause->by), LOG_STR("detail", cause->detail));
    return true;
}

enum shown { SHOWN_UNUSABLE, SHOWN_ALL };

static bool show_states(struct managed *managed, enum shown shown, const struct cause *cause,
                        uint64_t now_us)
{
    bool changed = false;
    for (size_t i = 0; i < managed->tracked.n; i++) {
        struct tracked *tracked = &managed->tracked.items[i];
        if (shown == SHOWN_UNUSABLE &&
            endpoint_state_is_usable(ramping_source(tracked), tracked->probe))
            continue;
        changed |= show_state(managed, tracked, cause);
        ramping_note_state(tracked, now_us);
    }
    return changed;
}

static void count_live(const struct managed *managed)
{
    struct snapshot *snapshot = pool_acquire(managed->pool);
    snapshot_count_live(snapshot);
    snapshot_unref(snapshot);
}

/*
 * Workers see what the sources say. Who cannot be used is passed by at once, before the snapshot is
 * built; who comes back only after it is published, since it may begin with a smaller weight.
 */
static bool apply(struct managed *managed, bool must_publish, const struct cause *cause,
                  uint64_t now_us)
{
    const struct ramping_observer log = ramp_log(managed);
    must_publish |= managed->is_behind;
    must_publish |= ramping_settle(&managed->tracked, ramp_us(managed), now_us, &log);
    bool changed = show_states(managed, SHOWN_UNUSABLE, cause, now_us) || must_publish;
    if (must_publish) {
        ramping_advance(&managed->tracked, now_us, &log);
        /* Where publishing fails (and says so) workers still learn who was removed. */
        int rc = publish(managed, cause->is_step ? LOG_DEBUG : LOG_INFO);
        managed->is_behind = rc == -ENOMEM;
    }
    changed |= show_states(managed, SHOWN_ALL, cause, now_us);
    if (changed)
        count_live(managed);
    plan_step(managed, must_publish, now_us);
    return changed;
}

/* ---- a new set: what stays, what is new, what is gone ---- */

/* What merging a set works on. */
struct merging {
    struct pools *pools;
    struct managed *managed;
    uint64_t now_us;
    bool has_changed; /* who the members are, or their order */
};

static bool admit(void *context, const struct wanted *wanted, struct tracked *ret_tracked)
{
    struct merging *merging = context;
    struct managed *managed = merging->managed;
    struct endpoint *endpoint = make_endpoint(merging->pools, managed, wanted);
    if (endpoint == NULL)
        return false;
    atomic_store(&endpoint->source, (uint8_t)wanted->source);
    merging->has_changed = true;
    *ret_tracked = (struct tracked){
        .endpoint = endpoint,
        .position = wanted->position,
        .weight = wanted->weight,
        .source = wanted->source,
        .probe = (enum endpoint_probe)atomic_load(&endpoint->probe),
        /* Of a first set nobody is cold. */
        .now_weight = managed->is_young ? wanted->weight : 0,
        .unusable_since_us = managed->is_young ? merging->now_us : 0,
    };
    return true;
}

static void keep(void *context, struct tracked *tracked, const struct wanted *wanted)
{
    struct merging *merging = context;
    merging->has_changed |= tracked->position != wanted->position;
    tracked->position = wanted->position;
    tracked->weight = wanted->weight;
    tracked->source = wanted->source;
}

static void retire(void *context, struct tracked *tracked)
{
    struct merging *merging = context;
    struct endpoint *endpoint = tracked->endpoint;
    atomic_store(&endpoint->source, ENDPOINT_SOURCE_REMOVED);
    health_remove(merging->pools->health, endpoint->serial);
    merging->has_changed = true;
    if (ramp_is_running(&tracked->ramp))
        log_ramp_end(merging->managed, tracked, RAMP_REMOVED);
    log_event(LOG_INFO, "endpoint_removed", LOG_STR("pool", name_of(merging->managed)),
              LOG_STR("endpoint", endpoint->address), LOG_STR("id", endpoint->id),
              LOG_U64("in_flight", endpoint_in_flight(endpoint)));
}

static const struct merge_ops merge_ops = {.admit = admit, .keep = keep, .retire = retire};

/* Static endpoints and the instances of set (NULL: none) are the pool's endpoints now. */
static bool take_set(struct pools *pools, struct managed *managed, const struct instance_set *set,
                     uint64_t now_us)
{
    struct merging merging = {.pools = pools, .managed = managed, .now_us = now_us};
    struct wanted_list wanted;
    int rc = wanted_list_build(managed->conf, set, &wanted);
    if (rc == 0) {
        rc = merge(&managed->tracked, &wanted, &merge_ops, &merging);
        wanted_list_free(&wanted);
    }
    if (rc != 0) {
        log_event(LOG_ERROR, "update_failed", LOG_STR("pool", name_of(managed)),
                  LOG_ERRNO("error", -rc));
        return false;
    }
    return apply(managed, merging.has_changed, &(struct cause){.by = "consul", .detail = ""},
                 now_us);
}

/* ---- discovery ---- */

static void note_contact(struct managed *managed, const struct discovery_event *event,
                         uint64_t now_us)
{
    struct pool_source_stats *stats = &managed->pool->source;
    atomic_store(&stats->last_contact_us, now_us);
    atomic_store(&stats->index, event->index);
    if (managed->is_failing)
        log_event(LOG_INFO, "discovery_recovered", LOG_STR("pool", managed->conf->name),
                  LOG_STR("address", event->address));
    managed->is_failing = false;
}

static bool take_update(struct pools *pools, struct managed *managed,
                        const struct discovery_event *event, uint64_t now_us)
{
    note_contact(managed, event, now_us);
    (void)atomic_fetch_add(&managed->pool->source.updates, 1);
    atomic_store(&managed->pool->source.is_held, 0);
    managed->is_filled = true;
    if (event->set->n_rejected > 0)
        log_event(LOG_WARN, "instances_rejected", LOG_STR("pool", managed->conf->name),
                  LOG_U64("count", event->set->n_rejected));
    bool changed = take_set(pools, managed, event->set, now_us);
    managed->is_young = false;
    return changed;
}

static void take_failure(struct managed *managed, const struct discovery_event *event)
{
    (void)atomic_fetch_add(&managed->pool->source.errors, 1);
    log_event(managed->is_failing ? LOG_DEBUG : LOG_WARN, "discovery_failed",
              LOG_STR("pool", managed->conf->name), LOG_STR("address", event->address),
              LOG_STR("error", event->error), LOG_U64("retry_ms", event->retry_ms));
    managed->is_failing = true;
}

static void take_held(struct managed *managed, const struct discovery_event *event, uint64_t now_us)
{
    note_contact(managed, event, now_us);
    (void)atomic_fetch_add(&managed->pool->source.held, 1);
    if (atomic_exchange(&managed->pool->source.is_held, 1) == 0)
        log_event(LOG_WARN, "discovery_held", LOG_STR("pool", managed->conf->name),
                  LOG_STR("why", event->error));
}

bool pools_take_discovery(struct pools *pools, const struct discovery_event *event, uint64_t now_us)
{
    struct managed *managed = &pools->managed[event->pool];
    bool changed = false;
    switch (event->type) {
    case DISCOVERY_UPDATED:
        changed = take_update(pools, managed, event, now_us);
        break;
    case DISCOVERY_CONTACTED:
        note_contact(managed, event, now_us);
        atomic_store(&managed->pool->source.is_held, 0);
        break;
    case DISCOVERY_HELD:
        take_held(managed, event, now_us);
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

bool pools_take_verdict(struct pools *pools, uint64_t cookie, bool up, const char *detail,
                        uint64_t now_us)
{
    struct managed *managed;
    struct tracked *tracked = find_serial(pools, cookie, &managed);
    if (tracked == NULL)
        return false; /* removed meanwhile */
    tracked->probe = up ? ENDPOINT_PROBE_UP : ENDPOINT_PROBE_DOWN;
    return apply(managed, false, &(struct cause){.by = "probe", .detail = detail, .is_probe = true},
                 now_us);
}

/* ---- time ---- */

uint64_t pools_next_step_us(const struct pools *pools)
{
    uint64_t next_us = POOLS_NEVER;
    for (size_t i = 0; i < pools->conf->n_pools; i++) {
        if (pools->managed[i].next_step_us < next_us)
            next_us = pools->managed[i].next_step_us;
    }
    return next_us;
}

bool pools_step(struct pools *pools, uint64_t now_us)
{
    bool changed = false;
    for (size_t i = 0; i < pools->conf->n_pools; i++) {
        if (pools->managed[i].next_step_us <= now_us)
            changed |= apply(&pools->managed[i], true,
                             &(struct cause){.by = "ramp", .detail = "", .is_step = true}, now_us);
    }
    return changed;
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

static int begin_pool(struct pools *pools, size_t i, uint64_t now_us)
{
    struct managed *managed = &pools->managed[i];
    const struct conf_pool *conf = &pools->conf->pools[i];
    int rc = pool_init(&pools->pools[i], conf, pools->conf->workers);
    if (rc != 0)
        return rc;
    *managed = (struct managed){.pool = &pools->pools[i],
                                .conf = conf,
                                .next_step_us = POOLS_NEVER,
                                .is_young = true,
                                .is_filled = conf->service.name == NULL || conf->n_endpoints > 0};
    rc = signer_init(&managed->signer, conf);
    if (rc != 0)
        return rc;
    (void)take_set(pools, managed, NULL, now_us);
    return 0;
}

int pools_new(const struct conf *conf, struct health *health, uint64_t now_us,
              struct pools **ret_pools)
{
    struct pools *pools = calloc(1, sizeof *pools);
    if (pools == NULL)
        return -ENOMEM;
    *pools = (struct pools){.conf = conf, .health = health};
    pools->pools = calloc(conf->n_pools + 1, sizeof *pools->pools);
    pools->managed = calloc(conf->n_pools + 1, sizeof *pools->managed);
    int rc = pools->pools == NULL || pools->managed == NULL ? -ENOMEM : 0;
    for (size_t i = 0; rc == 0 && i < conf->n_pools; i++)
        rc = begin_pool(pools, i, now_us);
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
