#include "balancer/control/serve.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "balancer/admin/admin.h"
#include "balancer/control/address.h"
#include "balancer/control/certificates.h"
#include "balancer/control/descriptors.h"
#include "balancer/control/inbox.h"
#include "balancer/control/memory.h"
#include "balancer/control/own_certificates.h"
#include "balancer/control/pools.h"
#include "balancer/http/route.h"
#include "balancer/log/access_log.h"
#include "balancer/log/log.h"
#include "balancer/proxy/clock.h"
#include "balancer/proxy/listener.h"
#include "balancer/proxy/worker.h"
#include "discovery/discovery.h"
#include "health/health.h"

/* How long a start waits for Consul before it serves what it has. */
#define FILL_WAIT_S 2.0
#define DRAIN_LOOK_S 0.02
/* How often files for TLS are looked at. */
#define CERTIFICATE_LOOK_S 1.0

static const int handled_signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};
#define N_SIGNALS (sizeof handled_signals / sizeof handled_signals[0])

enum phase { PHASE_FILLING, PHASE_SERVING, PHASE_DRAINING };

struct control {
    const struct conf *conf;
    struct ev_loop *loop;
    enum phase phase;
    serve_ready_fn *ready;
    void *ready_context;

    struct ev_async wake, stop;
    struct ev_signal signals[N_SIGNALS];
    struct ev_timer fill_timer, drain_timer, ramp_timer, certificate_timer;
    double drain_until; /* on the loop's clock */
    struct inbox inbox;

    struct health *health;
    struct pools *pools;
    struct discovery *discovery;
    struct admin *admin;
    struct access_log *access_log;
    struct certificates *certificates;
    struct own_certificates *own_certificates; /* NULL: there are none */
    struct route_table *routes;
    struct proxy proxy;
    struct worker **workers;
    struct worker_stats **worker_stats;
    uint32_t n_workers; /* started */
    int *fds;           /* conf->workers x conf->n_listeners; -1 once a worker has it */
    uint64_t start_time_s;
};

/* The one that runs, for serve_stop(). */
static struct control *_Atomic running;

void serve_stop(void)
{
    struct control *control = atomic_load(&running);
    if (control != NULL)
        ev_async_send(control->loop, &control->stop);
}

/* ---- phases ---- */

static void wake_workers(struct control *control)
{
    for (uint32_t i = 0; i < control->n_workers; i++)
        worker_wake(control->workers[i]);
}

static void begin_serving(struct control *control)
{
    ev_timer_stop(control->loop, &control->fill_timer);
    size_t n_listeners = control->conf->n_listeners;
    for (uint32_t i = 0; i < control->conf->workers; i++) {
        int *fds = control->fds + i * n_listeners;
        int rc = worker_start(&control->proxy, i, fds, &control->workers[i]);
        if (rc != 0) {
            log_event(LOG_ERROR, "worker_failed", LOG_U64("worker", i + 1),
                      LOG_ERRNO("error", -rc));
            ev_break(control->loop, EVBREAK_ALL);
            return;
        }
        for (size_t k = 0; k < n_listeners; k++)
            fds[k] = -1;
        control->worker_stats[i] = &control->workers[i]->stats;
        control->n_workers++;
    }
    control->phase = PHASE_SERVING;
    own_certificates_start(control->own_certificates);
    log_event(LOG_INFO, "serving", LOG_U64("workers", control->n_workers),
              LOG_U64("pid", (uint64_t)getpid()));
    if (control->ready != NULL)
        control->ready(control->ready_context);
}

static uint64_t count_clients(const struct control *control)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < control->n_workers; i++)
        n += worker_clients(control->workers[i]);
    return n;
}

static void on_drain_look(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)revents;
    struct control *control = timer->data;
    uint64_t clients = count_clients(control);
    bool is_late = ev_now(loop) >= control->drain_until;
    /* A worker that has not taken the order yet may still accept what waits. */
    bool all_draining = true;
    for (uint32_t i = 0; i < control->n_workers; i++)
        all_draining = all_draining && worker_is_draining(control->workers[i]);
    if (!is_late && (clients > 0 || !all_draining))
        return;
    log_event(clients > 0 ? LOG_WARN : LOG_INFO, "drained", LOG_U64("clients_left", clients));
    ev_break(loop, EVBREAK_ALL);
}

static void drain(struct control *control)
{
    enum phase before = control->phase;
    control->phase = PHASE_DRAINING;
    if (before != PHASE_SERVING) {
        ev_break(control->loop, EVBREAK_ALL); /* not begun yet, or asked a second time */
        return;
    }
    control->drain_until = ev_now(control->loop) + control->conf->drain_ms / 1000.0;
    own_certificates_stop(control->own_certificates);
    log_event(LOG_INFO, "draining", LOG_U64("clients", count_clients(control)),
              LOG_U64("timeout_ms", control->conf->drain_ms));
    for (uint32_t i = 0; i < control->n_workers; i++)
        worker_drain(control->workers[i]);
    ev_timer_start(control->loop, &control->drain_timer);
}

/* ---- events ---- */

static bool take_message(struct control *control, struct message *message)
{
    if (message->type == MESSAGE_DISCOVERY)
        return pools_take_discovery(control->pools, &message->as.discovery, clock_now_us());
    return pools_take_verdict(control->pools, message->as.verdict.cookie, message->as.verdict.up,
                              message->as.verdict.detail, clock_now_us());
}

/* The timer runs only while some weight is on its way. */
static void plan_ramps(struct control *control)
{
    uint64_t next_us = pools_next_step_us(control->pools), now_us = clock_now_us();
    ev_timer_stop(control->loop, &control->ramp_timer);
    if (next_us == POOLS_NEVER)
        return;
    double wait_s = next_us > now_us ? (double)(next_us - now_us) / 1e6 : 0;
    ev_timer_set(&control->ramp_timer, wait_s, 0);
    ev_timer_start(control->loop, &control->ramp_timer);
}

static void on_ramp_step(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct control *control = timer->data;
    if (pools_step(control->pools, clock_now_us()))
        wake_workers(control);
    plan_ramps(control);
}

static void on_wake(struct ev_loop *loop, struct ev_async *wake, int revents)
{
    (void)loop, (void)revents;
    struct control *control = wake->data;
    struct message *message;
    bool changed = false;
    while ((message = inbox_take(&control->inbox)) != NULL) {
        changed |= take_message(control, message);
        message_free(message);
    }
    if (changed)
        wake_workers(control);
    plan_ramps(control);
    const char *waiting;
    if (control->phase == PHASE_FILLING && pools_are_filled(control->pools, &waiting))
        begin_serving(control);
}

static void on_fill_timeout(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct control *control = timer->data;
    const char *waiting = "";
    if (!pools_are_filled(control->pools, &waiting))
        log_event(LOG_WARN, "serving_unfilled", LOG_STR("pool", waiting));
    begin_serving(control);
}

static void on_certificate_look(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)revents;
    struct control *control = timer->data;
    certificates_look(control->certificates, ev_now(loop));
}

static void on_stop(struct ev_loop *loop, struct ev_async *stop, int revents)
{
    (void)loop, (void)revents;
    drain(stop->data);
}

static void reopen_log(struct control *control)
{
    int rc = control->access_log != NULL ? access_log_reopen(control->access_log) : 0;
    log_event(rc == 0 ? LOG_INFO : LOG_ERROR, "access_log_reopened", LOG_ERRNO("error", -rc));
}

static void on_signal(struct ev_loop *loop, struct ev_signal *signal, int revents)
{
    (void)loop, (void)revents;
    struct control *control = signal->data;
    log_event(LOG_INFO, "signal", LOG_I64("number", signal->signum));
    switch (signal->signum) {
    case SIGUSR1:
        reopen_log(control);
        break;
    case SIGHUP:
        certificates_reload(control->certificates);
        own_certificates_hurry(control->own_certificates);
        break;
    default:
        drain(control);
    }
}

/* ---- the admin pages ---- */

static void admin_metrics(void *context, struct metrics_source *ret_source)
{
    struct control *control = context;
    size_t n_certificates;
    const struct metrics_certificate *certificates =
        certificates_list(control->certificates, &n_certificates);
    *ret_source = (struct metrics_source){
        .certificates = certificates,
        .n_certificates = n_certificates,
        .acme = own_certificates_counts(control->own_certificates),
        .pools = pools_array(control->pools),
        .n_pools = control->conf->n_pools,
        .workers = control->worker_stats,
        .n_workers = control->n_workers,
        .start_time_s = control->start_time_s,
        .now_us = clock_now_us(),
        .log_lost = access_log_lost(control->access_log),
    };
}

static bool admin_ready(void *context, const char **ret_why)
{
    struct control *control = context;
    const char *waiting;
    if (control->phase == PHASE_DRAINING)
        *ret_why = "draining";
    else if (control->phase == PHASE_FILLING)
        *ret_why = "starting";
    else if (!pools_are_filled(control->pools, &waiting))
        *ret_why = "a pool has not heard from its source";
    else
        return true;
    return false;
}

static void admin_explain(void *context, struct explain_source *ret_source)
{
    struct control *control = context;
    *ret_source = (struct explain_source){
        .conf = control->conf, .routes = control->routes, .pools = pools_array(control->pools)};
}

/* ---- start and stop ---- */

/* Whether an earlier listener has the port, so that both may hold addresses that overlap. */
static bool shares_port(const struct conf *conf, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (conf->listeners[i].port == conf->listeners[index].port)
            return true;
    return false;
}

static void say_listen_failed(const struct conf *conf, const char *address, int error)
{
    bool is_taken = error == EADDRINUSE && !conf->take_over;
    log_event(LOG_ERROR, "listen_failed", LOG_STR("address", address), LOG_ERRNO("error", error),
              LOG_STR("hint", is_taken ? "take_over replaces another quoit" : NULL));
}

static int open_listeners(struct control *control)
{
    const struct conf *conf = control->conf;
    for (size_t i = 0; i < conf->workers * conf->n_listeners; i++) {
        const struct conf_listener *listener = &conf->listeners[i % conf->n_listeners];
        bool is_alone = i < conf->n_listeners && !conf->take_over && !shares_port(conf, i);
        int rc =
            listener_open(listener, is_alone ? LISTENER_ALONE : LISTENER_SHARED, &control->fds[i]);
        char text[ADDRESS_TEXT_SIZE];
        address_text(listener->host != NULL ? listener->host : "*", listener->port, text);
        if (rc != 0) {
            say_listen_failed(conf, text, -rc);
            return rc;
        }
        listener_limit_sending(control->fds[i], conf->client.send_timeout_ms);
        if (i < conf->n_listeners)
            log_event(LOG_INFO, "listening", LOG_STR("address", text));
    }
    return 0;
}

static int start_admin(struct control *control)
{
    if (!control->conf->has_admin)
        return 0;
    const struct admin_source source = {.context = control,
                                        .metrics = admin_metrics,
                                        .ready = admin_ready,
                                        .explain = admin_explain};
    int rc = admin_start(control->loop, &control->conf->admin, &source, &control->admin);
    if (rc != 0)
        log_event(LOG_ERROR, "admin_failed", LOG_ERRNO("error", -rc));
    return rc;
}

static int start_access_log(struct control *control)
{
    const struct conf_log *conf = &control->conf->log;
    if (conf->access_file == NULL)
        return 0;
    int rc = access_log_start(conf, control->conf->workers, &control->access_log);
    if (rc != 0)
        log_event(LOG_ERROR, "access_log_failed", LOG_STR("file", conf->access_file),
                  LOG_ERRNO("error", -rc));
    return rc;
}

static int prepare_proxy(struct control *control)
{
    const struct conf *conf = control->conf;
    control->proxy = (struct proxy){
        .conf = conf,
        .routes = control->routes,
        .h1_limits = {.head_bytes = conf->client.max_head_bytes,
                      .target_bytes = conf->client.max_target_bytes,
                      .fields = conf->client.max_fields},
        .pools = pools_array(control->pools),
        .access_log = control->access_log,
        .inbound = certificates_inbound(control->certificates),
        .outbound = certificates_outbound(control->certificates),
        .challenges = certificates_challenges(control->certificates),
        .memory_bytes = memory_budget(conf),
    };
    return admission_init(&control->proxy.admission, conf, descriptors_max_clients(conf));
}

static int start_sources(struct control *control)
{
    int rc = health_start(inbox_on_health, &control->inbox, &control->health);
    if (rc == 0)
        rc = pools_new(control->conf, control->health, clock_now_us(), &control->pools);
    if (rc == 0)
        rc = discovery_start(control->conf, inbox_on_discovery, &control->inbox,
                             &control->discovery);
    if (rc != 0)
        log_event(LOG_ERROR, "start_failed", LOG_ERRNO("error", -rc));
    return rc;
}

static int allocate(struct control *control)
{
    const struct conf *conf = control->conf;
    size_t n_fds = conf->workers * conf->n_listeners;
    control->fds = malloc((n_fds + 1) * sizeof *control->fds);
    control->workers = calloc(conf->workers, sizeof(void *));
    control->worker_stats = calloc(conf->workers, sizeof(void *));
    if (control->fds == NULL || control->workers == NULL || control->worker_stats == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n_fds; i++)
        control->fds[i] = -1;
    control->routes = route_table_new(conf->routes, conf->n_routes);
    return 0;
}

static int start(struct control *control)
{
    int rc = allocate(control);
    if (rc == 0)
        rc = certificates_new(control->conf, &control->certificates);
    if (rc == 0)
        rc = own_certificates_new(control->conf, control->loop, control->certificates,
                                  &control->own_certificates);
    if (rc == 0 && certificates_are_used(control->certificates))
        ev_timer_start(control->loop, &control->certificate_timer);
    if (rc == 0)
        rc = certificates_fetch(control->certificates, control->loop);
    if (rc == 0)
        rc = open_listeners(control);
    if (rc == 0)
        rc = start_access_log(control);
    if (rc == 0)
        rc = start_sources(control);
    if (rc != 0)
        return rc;
    rc = prepare_proxy(control);
    return rc == 0 ? start_admin(control) : rc;
}

static void watch_loop(struct control *control)
{
    struct ev_loop *loop = control->loop;
    ev_async_init(&control->wake, on_wake);
    control->wake.data = control;
    ev_async_start(loop, &control->wake);
    ev_async_init(&control->stop, on_stop);
    control->stop.data = control;
    ev_async_start(loop, &control->stop);
    for (size_t i = 0; i < N_SIGNALS; i++) {
        ev_signal_init(&control->signals[i], on_signal, handled_signals[i]);
        control->signals[i].data = control;
        ev_signal_start(loop, &control->signals[i]);
    }
    ev_timer_init(&control->fill_timer, on_fill_timeout, FILL_WAIT_S, 0);
    control->fill_timer.data = control;
    ev_timer_start(loop, &control->fill_timer);
    ev_timer_init(&control->drain_timer, on_drain_look, DRAIN_LOOK_S, DRAIN_LOOK_S);
    control->drain_timer.data = control;
    ev_timer_init(&control->ramp_timer, on_ramp_step, 0, 0);
    control->ramp_timer.data = control;
    ev_timer_init(&control->certificate_timer, on_certificate_look, CERTIFICATE_LOOK_S,
                  CERTIFICATE_LOOK_S);
    control->certificate_timer.data = control;
}

/* From here on the end is certain and near: a signal more must not turn it into a death by signal,
 * which libev's return to the default action would make of it. */
static void ignore_signals(struct control *control)
{
    sigset_t handled, before;
    (void)sigemptyset(&handled);
    for (size_t i = 0; i < N_SIGNALS; i++)
        (void)sigaddset(&handled, handled_signals[i]);
    (void)pthread_sigmask(SIG_BLOCK, &handled, &before);
    for (size_t i = 0; i < N_SIGNALS; i++) {
        ev_signal_stop(control->loop, &control->signals[i]);
        (void)signal(handled_signals[i], SIG_IGN);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void unwatch_loop(struct control *control)
{
    struct ev_loop *loop = control->loop;
    ev_async_stop(loop, &control->wake);
    ev_async_stop(loop, &control->stop);
    ignore_signals(control);
    ev_timer_stop(loop, &control->fill_timer);
    ev_timer_stop(loop, &control->drain_timer);
    ev_timer_stop(loop, &control->ramp_timer);
    ev_timer_stop(loop, &control->certificate_timer);
}

static void finish(struct control *control)
{
    discovery_stop(control->discovery);
    for (uint32_t i = 0; i < control->n_workers; i++)
        worker_halt(control->workers[i]);
    for (uint32_t i = 0; i < control->n_workers; i++)
        worker_stop(control->workers[i]);
    admin_stop(control->admin);
    health_stop(control->health);
    for (size_t i = 0;
         control->fds != NULL && i < control->conf->workers * control->conf->n_listeners; i++)
        if (control->fds[i] >= 0)
            (void)close(control->fds[i]);
    pools_free(control->pools);
    own_certificates_free(control->own_certificates);
    certificates_free(control->certificates);
    admission_fini(&control->proxy.admission);
    access_log_stop(control->access_log);
    route_table_free(control->routes);
    inbox_fini(&control->inbox);
    unwatch_loop(control);
    free(control->fds);
    free(control->workers);
    free(control->worker_stats);
}

int serve_run(const struct conf *conf, serve_ready_fn *ready, void *context)
{
    log_init(&conf->log);
    if (!descriptors_prepare(conf))
        return 1;
    struct control control = {
        .conf = conf,
        .ready = ready,
        .ready_context = context,
        .loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV),
        .start_time_s = (uint64_t)time(NULL),
    };
    if (control.loop == NULL) {
        log_event(LOG_ERROR, "start_failed", LOG_STR("error", "no event loop"));
        return 1;
    }
    watch_loop(&control);
    int rc = inbox_init(&control.inbox, conf->n_pools, control.loop, &control.wake);
    atomic_store(&running, &control);
    if (rc == 0 && start(&control) == 0) {
        /* Pools without a source to wait for are full already. */
        ev_async_send(control.loop, &control.wake);
        ev_run(control.loop, 0);
    }
    atomic_store(&running, NULL);
    bool was_asked_to_end = control.phase == PHASE_DRAINING;
    finish(&control);
    return was_asked_to_end ? 0 : 1;
}
