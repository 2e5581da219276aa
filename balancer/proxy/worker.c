#include "balancer/proxy/worker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "balancer/http/cidr.h"
#include "balancer/log/log.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/clock.h"
#include "balancer/proxy/h2_link.h"
#include "balancer/proxy/h2_session.h"
#include "balancer/proxy/h2_stream.h"
#include "balancer/proxy/keying.h"
#include "balancer/proxy/listener.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/upstream.h"

/* An endpoint that Consul calls critical may still answer what it has (a service that fails its
 * check on purpose before it stops); one that answers nothing for so long is taken for dead. */
#define CRITICAL_PATIENCE_MS 1000

/* ---- small services ---- */

uint64_t worker_random(struct worker *worker)
{
    /* splitmix64, Steele, Lea and Flood, OOPSLA 2014 */
    uint64_t x = worker->random += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

struct span worker_date(struct worker *worker)
{
    int64_t now_s = (int64_t)ev_now(worker->loop);
    if (now_s != worker->date_at_s) {
        struct tm parts;
        time_t now = (time_t)now_s;
        (void)gmtime_r(&now, &parts);
        /* The C locale's names are those of RFC 9110 section 5.6.7; the program sets no other. */
        (void)strftime(worker->date, sizeof worker->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
                       &parts);
        worker->date_at_s = now_s;
    }
    return span_of(worker->date);
}

uint64_t worker_clients(const struct worker *worker)
{
    /* In this order: one that comes and goes in between must not make it negative. */
    uint64_t closed = counter_get(&worker->stats.closed);
    return counter_get(&worker->stats.accepted) - closed;
}

/* Between two lines of the event log about the same kind of refusal. */
#define REFUSAL_PAUSE_US (10 * UINT64_C(1000000))

void worker_refuse(struct worker *worker, enum reason reason, const struct ip *client)
{
    struct refusals *refusals = &worker->refusals;
    counter_add(&worker->stats.refused[reason], 1);
    refusals->silent[reason]++;
    if (worker->now_us < refusals->next_us[reason])
        return;
    char text[INET6_ADDRSTRLEN] = "";
    if (client != NULL)
        (void)ip_print(client, text);
    log_event(LOG_WARN, "connections_refused", LOG_STR("reason", reason_word(reason)),
              LOG_U64("count", refusals->silent[reason]),
              LOG_STR("last_client", client != NULL ? text : NULL));
    refusals->silent[reason] = 0;
    refusals->next_us[reason] = worker->now_us + REFUSAL_PAUSE_US;
}

/* ---- the dead: freed when nobody can hold them any more ---- */

struct corpse {
    struct slab *slab;
    void *object;
};

void worker_bury(struct worker *worker, struct slab *slab, void *object)
{
    if (worker->n_dead == worker->max_dead) {
        uint32_t max = worker->max_dead == 0 ? 64 : worker->max_dead * 2;
        struct corpse *more = reallocarray(worker->dead, max, sizeof *more);
        if (more == NULL)
            abort();
        worker->dead = more;
        worker->max_dead = max;
    }
    worker->dead[worker->n_dead++] = (struct corpse){slab, object};
}

static void reap(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->n_dead; i++)
        slab_put(worker->dead[i].slab, worker->dead[i].object);
    worker->n_dead = 0;
}

/* ---- pools as this worker sees them ---- */

static void drop_removed(struct worker *worker, struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->n; i++) {
        struct endpoint *endpoint = snapshot->members[i].endpoint;
        if (!endpoint_is_usable(endpoint))
            upstream_close_idle(worker, endpoint);
    }
}

static void renew(struct worker *worker, struct pool_view *view, uint64_t generation)
{
    struct snapshot *old = view->snapshot;
    policy_state_free(old, view->state);
    view->snapshot = pool_acquire(view->pool);
    view->generation = generation;
    view->state = policy_state_new(view->snapshot, worker_random(worker));
    drop_removed(worker, old);
    snapshot_unref(old);
}

struct pool_view *worker_pool(struct worker *worker, size_t pool_index)
{
    struct pool_view *view = &worker->views[pool_index];
    uint64_t generation = atomic_load_explicit(&view->pool->generation, memory_order_acquire);
    if (generation != view->generation)
        renew(worker, view, generation);
    return view;
}

/* Requests that wait for an endpoint that is down go elsewhere where nothing can be lost by it. */
static void move_waiting(struct worker *worker, struct endpoint *endpoint, uint32_t patience_ms)
{
    struct upstream *upstream = LIST_FIRST(&endpoint->locals[worker->index].active);
    while (upstream != NULL) {
        struct request *request = upstream->request;
        struct upstream *next = LIST_NEXT(upstream, link);
        if (request->upstream == upstream)
            request_endpoint_down(request, patience_ms);
        upstream = next;
    }
}

static void look_after_endpoints(struct worker *worker, struct pool_view *view)
{
    struct snapshot *snapshot = snapshot_ref(view->snapshot);
    for (uint32_t i = 0; i < snapshot->n; i++) {
        struct endpoint *endpoint = snapshot->members[i].endpoint;
        if (endpoint_is_usable(endpoint))
            continue;
        upstream_close_idle(worker, endpoint);
        uint8_t source = atomic_load_explicit(&endpoint->source, memory_order_relaxed);
        if (atomic_load_explicit(&endpoint->probe, memory_order_relaxed) == ENDPOINT_PROBE_DOWN)
            move_waiting(worker, endpoint, 0);
        else if (source == ENDPOINT_SOURCE_CRITICAL || source == ENDPOINT_SOURCE_NODE_CRITICAL)
            move_waiting(worker, endpoint, CRITICAL_PATIENCE_MS);
    }
    snapshot_unref(snapshot);
}

/* ---- orders ---- */

static void on_drain_idle(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)revents;
    struct worker *worker = timer->data;
    ev_timer_stop(loop, timer);
    struct client *client, *next;
    for (client = LIST_FIRST(&worker->clients); client != NULL; client = next) {
        next = LIST_NEXT(client, link);
        client_drain_last(client);
    }
}

static void begin_drain(struct worker *worker)
{
    worker->draining = true;
    for (size_t i = 0; i < worker->proxy->conf->n_listeners; i++)
        listener_drain(&worker->listeners[i]);
    atomic_store(&worker->is_drained, true);
    struct client *client;
    LIST_FOREACH(client, &worker->clients, link)
    client_drain(client);
    ev_timer_set(&worker->drain_timer, DRAIN_IDLE_MS / 1000.0, 0);
    ev_timer_start(worker->loop, &worker->drain_timer);
}

static void on_wake(struct ev_loop *loop, struct ev_async *async, int revents)
{
    (void)loop, (void)revents;
    struct worker *worker = async->data;
    if (atomic_exchange(&worker->look_asked, false)) {
        for (size_t i = 0; i < worker->proxy->conf->n_pools; i++)
            look_after_endpoints(worker, worker_pool(worker, i));
        queue_look(worker);
    }
    if (atomic_exchange(&worker->room_offered, false))
        queue_look(worker);
    if (atomic_load(&worker->drain_asked) && !worker->draining)
        begin_drain(worker);
    if (atomic_load(&worker->stop_asked))
        ev_break(worker->loop, EVBREAK_ALL);
}

static void on_after_poll(struct ev_loop *loop, struct ev_check *check, int revents)
{
    (void)loop, (void)revents;
    struct worker *worker = check->data;
    worker->now_us = clock_now_us();
}

static void on_before_poll(struct ev_loop *loop, struct ev_prepare *prepare, int revents)
{
    (void)loop, (void)revents;
    struct worker *worker = prepare->data;
    queue_run(worker);
    reap(worker);
    memory_serve(worker);
    atomic_store_explicit(&worker->stats.buffer_bytes, worker->buffers.used_bytes,
                          memory_order_relaxed);
}

/* ---- life ---- */

static void close_all(struct worker *worker)
{
    for (size_t i = 0; i < worker->proxy->conf->n_listeners; i++)
        listener_close(&worker->listeners[i]);
    struct client *client;
    while ((client = LIST_FIRST(&worker->clients)) != NULL)
        client_close(client, REASON_DRAINED);
    for (size_t i = 0; i < worker->proxy->conf->n_pools; i++) {
        struct pool_view *view = &worker->views[i];
        for (uint32_t k = 0; k < view->snapshot->n; k++)
            upstream_close_idle(worker, view->snapshot->members[k].endpoint);
    }
    h2_link_close_all(worker);
    reap(worker);
}

void worker_turn(struct worker *worker)
{
    (void)ev_run(worker->loop, EVRUN_NOWAIT);
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    ev_run(worker->loop, 0);
    close_all(worker);
    return NULL;
}

static void watch_loop(struct worker *worker)
{
    struct ev_loop *loop = worker->loop;
    ev_async_init(&worker->wake, on_wake);
    worker->wake.data = worker;
    ev_async_start(loop, &worker->wake);
    ev_check_init(&worker->after_poll, on_after_poll);
    worker->after_poll.data = worker;
    ev_set_priority(&worker->after_poll, EV_MAXPRI);
    ev_check_start(loop, &worker->after_poll);
    ev_prepare_init(&worker->before_poll, on_before_poll);
    worker->before_poll.data = worker;
    ev_prepare_start(loop, &worker->before_poll);
    ev_init(&worker->drain_timer, on_drain_idle);
    worker->drain_timer.data = worker;
}

static int begin_views(struct worker *worker)
{
    size_t n = worker->proxy->conf->n_pools;
    worker->views = calloc(n + 1, sizeof *worker->views);
    if (worker->views == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct pool_view *view = &worker->views[i];
        view->pool = &worker->proxy->pools[i];
        queue_init(&view->queue);
        view->generation = atomic_load(&view->pool->generation);
        view->snapshot = pool_acquire(view->pool);
        view->state = policy_state_new(view->snapshot, worker_random(worker));
    }
    return 0;
}

static void dispose(struct worker *worker)
{
    size_t n = worker->views != NULL ? worker->proxy->conf->n_pools : 0;
    for (size_t i = 0; i < n; i++) {
        policy_state_free(worker->views[i].snapshot, worker->views[i].state);
        snapshot_unref(worker->views[i].snapshot);
    }
    slab_fini(&worker->client_slab);
    slab_fini(&worker->upstream_slab);
    slab_fini(&worker->request_slab);
    slab_fini(&worker->fields_slab);
    slab_fini(&worker->key_slab);
    h2_memory_fini(&worker->h2_memory);
    slab_fini(&worker->h2_session_slab);
    slab_fini(&worker->h2_link_slab);
    slab_fini(&worker->h2_stream_slab);
    buffer_pool_fini(&worker->buffers);
    pipe_pool_fini(&worker->pipes);
    if (worker->loop != NULL)
        ev_loop_destroy(worker->loop);
    free(worker->dead);
    free(worker->views);
    free(worker->listeners);
    free(worker);
}

static int prepare(struct worker *worker)
{
    const struct conf *conf = worker->proxy->conf;
    slab_init(&worker->client_slab, sizeof(struct client), 4096);
    slab_init(&worker->upstream_slab, sizeof(struct upstream), 1024);
    slab_init(&worker->request_slab, sizeof(struct request), 1024);
    slab_init(&worker->fields_slab, sizeof(struct request_fields), 1024);
    slab_init(&worker->key_slab, keying_size(), 1024);
    h2_memory_init(&worker->h2_memory);
    slab_init(&worker->h2_session_slab, sizeof(struct h2_session), 1024);
    slab_init(&worker->h2_link_slab, sizeof(struct h2_link), 256);
    slab_init(&worker->h2_stream_slab, sizeof(struct h2_stream), 1024);
    buffer_pool_init(&worker->buffers, conf->buffer_bytes);
    worker->buffers.limit_bytes = worker->proxy->memory_bytes / conf->workers;
    memory_init(&worker->memory);
    pipe_pool_init(&worker->pipes, conf->workers);
    LIST_INIT(&worker->clients);
    worker->random = clock_now_us() ^ ((uint64_t)worker->index << 48) ^ (uint64_t)getpid() << 24;
    worker->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    worker->listeners = calloc(conf->n_listeners + 1, sizeof *worker->listeners);
    if (worker->loop == NULL || worker->listeners == NULL)
        return -ENOMEM;
    watch_loop(worker);
    int rc = id_source_seed(&worker->ids);
    return rc == 0 ? begin_views(worker) : rc;
}

/* Signals are control's alone. */
static int start_thread(struct worker *worker)
{
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&worker->thread, NULL, run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return -rc;
    char name[16];
    (void)snprintf(name, sizeof name, "worker-%u", worker->index + 1);
    (void)pthread_setname_np(worker->thread, name);
    return 0;
}

int worker_new(struct proxy *proxy, uint32_t index, const int *fds, struct worker **ret_worker)
{
    struct worker *worker = aligned_alloc(64, (sizeof *worker + 63) / 64 * 64);
    if (worker == NULL)
        return -ENOMEM;
    assert(index < WORKERS_MAX);
    *worker = (struct worker){.proxy = proxy, .index = index, .now_us = clock_now_us()};
    int rc = prepare(worker);
    if (rc != 0) {
        dispose(worker);
        return rc;
    }
    for (size_t i = 0; i < proxy->conf->n_listeners; i++)
        listener_start(&worker->listeners[i], worker, &proxy->conf->listeners[i], fds[i]);
    *ret_worker = worker;
    return 0;
}

void worker_free(struct worker *worker)
{
    close_all(worker);
    dispose(worker);
}

int worker_start(struct proxy *proxy, uint32_t index, const int *fds, struct worker **ret_worker)
{
    struct worker *worker;
    int rc = worker_new(proxy, index, fds, &worker);
    if (rc != 0)
        return rc;
    rc = start_thread(worker);
    if (rc != 0) {
        dispose(worker);
        return rc;
    }
    atomic_store(&proxy->workers[index], worker);
    *ret_worker = worker;
    return 0;
}

void worker_wake(struct worker *worker)
{
    atomic_store(&worker->look_asked, true);
    ev_async_send(worker->loop, &worker->wake);
}

void worker_offer_room(struct proxy *proxy, uint32_t index)
{
    struct worker *worker = atomic_load(&proxy->workers[index]);
    if (worker == NULL)
        return;
    atomic_store(&worker->room_offered, true);
    ev_async_send(worker->loop, &worker->wake);
}

void worker_drain(struct worker *worker)
{
    atomic_store(&worker->drain_asked, true);
    worker_wake(worker);
}

bool worker_is_draining(const struct worker *worker)
{
    return atomic_load(&worker->is_drained);
}

void worker_halt(struct worker *worker)
{
    if (worker == NULL || worker->is_halted)
        return;
    atomic_store(&worker->stop_asked, true);
    worker_wake(worker);
    (void)pthread_join(worker->thread, NULL);
    atomic_store(&worker->proxy->workers[worker->index], NULL);
    worker->is_halted = true;
}

void worker_stop(struct worker *worker)
{
    if (worker == NULL)
        return;
    worker_halt(worker);
    dispose(worker);
}
