#include "balancer/control/preview.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

#include "balancer/control/inbox.h"
#include "balancer/control/pools.h"
#include "balancer/http/route.h"
#include "balancer/log/log.h"
#include "balancer/proxy/clock.h"
#include "discovery/discovery.h"

/* What Consul has said about a pool. */
struct answer {
    bool is_there; /* or nothing is waited for */
    size_t n_failures;
};

struct preview {
    struct conf *conf;
    struct ev_loop *loop;
    struct ev_async wake;
    struct ev_timer timeout;
    struct inbox inbox;
    struct pools *pools;
    struct discovery *discovery;
    struct route_table *routes;
    struct explain_source source;
    struct answer *answers; /* by pool */
    size_t n_waiting;
    char *why; /* PREVIEW_WHY_BYTES of the last failure; empty: none */
    bool is_inbox_open;
};

/* ---- Consul's answers ---- */

static const char *pool_name(const struct preview *preview, size_t pool)
{
    return preview->conf->pools[pool].name;
}

static void take_event(struct preview *preview, const struct discovery_event *event)
{
    struct answer *answer = &preview->answers[event->pool];
    (void)pools_take_discovery(preview->pools, event, clock_now_us());
    if (event->type == DISCOVERY_FAILED) {
        answer->n_failures++;
        snprintf(preview->why, PREVIEW_WHY_BYTES, "pool %s: %s: %s",
                 pool_name(preview, event->pool), event->address, event->error);
        return;
    }
    preview->n_waiting -= !answer->is_there;
    answer->is_there = true;
}

/* Every agent has been asked for some pool, in vain. */
static bool has_failed(const struct preview *preview)
{
    for (size_t i = 0; i < preview->conf->n_pools; i++) {
        const struct answer *answer = &preview->answers[i];
        if (!answer->is_there && answer->n_failures >= preview->conf->consul.n_addresses)
            return true;
    }
    return false;
}

static void on_wake(struct ev_loop *loop, struct ev_async *wake, int revents)
{
    (void)revents;
    struct preview *preview = wake->data;
    struct message *message;
    while ((message = inbox_take(&preview->inbox)) != NULL) {
        if (message->type == MESSAGE_DISCOVERY)
            take_event(preview, &message->as.discovery);
        message_free(message);
    }
    if (preview->n_waiting == 0 || has_failed(preview))
        ev_break(loop, EVBREAK_ALL);
}

static void on_timeout(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)timer, (void)revents;
    ev_break(loop, EVBREAK_ALL);
}

/* The first pool that has not been answered for; there is one. */
static const char *waiting_pool(const struct preview *preview)
{
    size_t i = 0;
    while (preview->answers[i].is_there)
        i++;
    return pool_name(preview, i);
}

/* The discovery thread ends before this returns: from then on all is the caller's thread's. */
static int ask_consul(struct preview *preview, double timeout_s)
{
    preview->why[0] = '\0';
    int rc =
        discovery_start(preview->conf, inbox_on_discovery, &preview->inbox, &preview->discovery);
    if (rc != 0) {
        snprintf(preview->why, PREVIEW_WHY_BYTES, "discovery could not be started");
        return rc;
    }
    ev_timer_init(&preview->timeout, on_timeout, timeout_s, 0);
    ev_timer_start(preview->loop, &preview->timeout);
    if (preview->n_waiting > 0)
        ev_run(preview->loop, 0);
    ev_timer_stop(preview->loop, &preview->timeout);
    discovery_stop(preview->discovery);
    preview->discovery = NULL;
    if (preview->n_waiting == 0)
        return 0;
    if (preview->why[0] == '\0')
        snprintf(preview->why, PREVIEW_WHY_BYTES, "pool %s: Consul did not answer in %g s",
                 waiting_pool(preview), timeout_s);
    return -ETIMEDOUT;
}

/* ---- life ---- */

static void quieten(struct conf *conf)
{
    conf->log.level = CONF_LOG_ERROR;
    log_init(&conf->log);
    for (size_t i = 0; i < conf->n_pools; i++) {
        conf->pools[i].check.type = CONF_CHECK_NONE;
        conf->pools[i].ramp_ms = 0;
    }
}

static int set_up(struct preview *preview)
{
    struct conf *conf = preview->conf;
    preview->loop = ev_loop_new(EVFLAG_AUTO);
    preview->answers = calloc(conf->n_pools + 1, sizeof preview->answers[0]);
    if (preview->loop == NULL || preview->answers == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < conf->n_pools; i++) {
        preview->answers[i].is_there = conf->pools[i].service.name == NULL;
        preview->n_waiting += conf->pools[i].service.name != NULL;
    }
    ev_async_init(&preview->wake, on_wake);
    preview->wake.data = preview;
    ev_async_start(preview->loop, &preview->wake);
    int rc = inbox_init(&preview->inbox, conf->n_pools, preview->loop, &preview->wake);
    preview->is_inbox_open = rc == 0;
    if (rc == 0)
        rc = pools_new(conf, NULL, clock_now_us(), &preview->pools);
    if (rc != 0)
        return rc;
    preview->routes = route_table_new(conf->routes, conf->n_routes);
    preview->source = (struct explain_source){
        .conf = conf, .routes = preview->routes, .pools = pools_array(preview->pools)};
    return 0;
}

int preview_new(struct conf *conf, double timeout_s, struct preview **ret_preview,
                char ret_why[PREVIEW_WHY_BYTES])
{
    struct preview *preview = calloc(1, sizeof *preview);
    snprintf(ret_why, PREVIEW_WHY_BYTES, "the pools could not be made");
    if (preview == NULL)
        return -ENOMEM;
    preview->conf = conf;
    preview->why = ret_why;
    quieten(conf);
    int rc = set_up(preview);
    if (rc == 0)
        rc = ask_consul(preview, timeout_s);
    if (rc != 0) {
        preview_free(preview);
        return rc;
    }
    preview->why = NULL;
    *ret_preview = preview;
    return 0;
}

const struct explain_source *preview_source(const struct preview *preview)
{
    return &preview->source;
}

void preview_free(struct preview *preview)
{
    if (preview == NULL)
        return;
    route_table_free(preview->routes);
    pools_free(preview->pools);
    if (preview->is_inbox_open)
        inbox_fini(&preview->inbox);
    if (preview->loop != NULL) {
        ev_async_stop(preview->loop, &preview->wake);
        ev_loop_destroy(preview->loop);
    }
    free(preview->answers);
    free(preview);
}
