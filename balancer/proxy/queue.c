#include "balancer/proxy/queue.h"

#include <assert.h>

#include "balancer/proxy/client.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/worker.h"

void queue_init(struct request_queue *queue)
{
    *queue = (struct request_queue){.is_due = false};
    TAILQ_INIT(&queue->requests);
}

static struct pool_local *local_of(const struct request *r)
{
    return &r->view->pool->locals[request_worker(r)->index];
}

static void set_due(struct worker *worker, struct pool_view *view)
{
    view->queue.is_due = true;
    worker->has_due_queue = true;
}

/* ---- who waits where: written by each worker for itself, read by all ---- */

/*
 * Sequentially consistent, as is the endpoint's count: whoever finds no room and then waits has
 * written so before it looks for room once more, and whoever gives room back looks for those who
 * wait afterwards. One of the two sees the other.
 */
static void add(_Atomic uint32_t *own, int32_t n)
{
    atomic_store(own, atomic_load_explicit(own, memory_order_relaxed) + (uint32_t)n);
}

/* A request that was tried somewhere may not want just the room that there is. */
static _Atomic uint32_t *counter_of(const struct request *r)
{
    if (r->waits_for != NULL)
        return &r->waits_for->locals[request_worker(r)->index].waiting;
    return r->n_tried == 0 ? &local_of(r)->waiting_any : &local_of(r)->waiting_tried;
}

/* How many of one worker's would take room at endpoint for certain. */
static uint32_t takers(const struct pool *pool, const struct endpoint *endpoint, uint32_t worker)
{
    return atomic_load(&endpoint->locals[worker].waiting) +
           atomic_load(&pool->locals[worker].waiting_any);
}

static uint32_t takers_elsewhere(const struct pool *pool, const struct endpoint *endpoint,
                                 uint32_t worker)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < pool->n_locals; i++)
        sum += i != worker ? takers(pool, endpoint, i) : 0;
    return sum;
}

static void wake_others(const struct worker *worker, const struct pool *pool)
{
    for (uint32_t i = 0; i < pool->n_locals; i++) {
        if (i != worker->index && atomic_load(&pool->locals[i].waiting) > 0)
            worker_offer_room(worker->proxy, i);
    }
}

/* ---- room ---- */

/* Nobody overtakes who stands in the queue for the same room. */
static bool has_older(const struct request *r, const struct endpoint *endpoint)
{
    return r->queued_us == 0 && takers(r->view->pool, endpoint, request_worker(r)->index) > 0;
}

bool queue_take_room(struct request *r, struct endpoint *endpoint)
{
    uint32_t max = r->pool->max_connections;
    return max == 0 || (!has_older(r, endpoint) && endpoint_take_room(endpoint, max));
}

void queue_give_room(struct request *r, struct endpoint *endpoint)
{
    if (r->pool->max_connections == 0)
        return;
    struct worker *worker = request_worker(r);
    const struct pool *pool = r->view->pool;
    endpoint_give_room(endpoint);
    uint32_t own = takers(pool, endpoint, worker->index);
    uint32_t others = takers_elsewhere(pool, endpoint, worker->index);
    bool is_ours = others == 0 || worker_random(worker) % (own + others) < own;
    if (is_ours)
        set_due(worker, r->view);
    if (!is_ours || own == 0)
        wake_others(worker, pool);
}

/* ---- the queue ---- */

bool queue_admits(struct request *r, struct endpoint *endpoint)
{
    uint32_t n = atomic_load_explicit(&local_of(r)->waiting, memory_order_relaxed);
    if (r->queued_us == 0 && n >= r->pool->queue)
        return false;
    r->waits_for = endpoint;
    return true;
}

static struct pick everything(const struct request *r)
{
    return (struct pick){.snapshot = r->view->snapshot, .tried = r->tried, .n_tried = r->n_tried};
}

/* Some endpoint has room; or none can be used at all, which is worth telling at once. */
static bool may_go_anywhere(const struct request *r)
{
    const struct snapshot *snapshot = r->view->snapshot;
    struct pick pick = everything(r);
    bool is_hopeless = true;
    for (uint32_t i = 0; i < snapshot->n; i++) {
        if (!pick_allows(&pick, &snapshot->members[i]))
            continue;
        if (endpoint_has_room(snapshot->members[i].endpoint, r->pool->max_connections))
            return true;
        is_hopeless = false;
    }
    return is_hopeless;
}

/* Whether it is worth choosing an endpoint anew. */
static bool may_go(const struct request *r)
{
    if (r->waits_for == NULL)
        return may_go_anywhere(r);
    return r->queued_in != r->view->generation || !endpoint_is_usable(r->waits_for) ||
           endpoint_has_room(r->waits_for, r->pool->max_connections);
}

/* One that has lost the race for the room it was called for keeps its place. */
static void insert(struct request_list *list, struct request *r)
{
    struct request *before = r->queued_us != 0 ? TAILQ_FIRST(list) : NULL;
    while (before != NULL && before->queued_us <= r->queued_us)
        before = TAILQ_NEXT(before, queue_link);
    if (before != NULL)
        TAILQ_INSERT_BEFORE(before, r, queue_link);
    else
        TAILQ_INSERT_TAIL(list, r, queue_link);
}

void queue_enter(struct request *r)
{
    struct worker *worker = request_worker(r);
    insert(&r->view->queue.requests, r);
    if (r->queued_us == 0)
        r->queued_us = worker_now_us(worker);
    r->queued_in = r->view->generation;
    r->is_called = false;
    if (r->waits_for != NULL)
        (void)endpoint_ref(r->waits_for);
    add(&local_of(r)->waiting, 1);
    add(counter_of(r), 1);
    if (may_go(r))
        set_due(worker, r->view);
}

void queue_leave(struct request *r)
{
    struct worker *worker = request_worker(r);
    TAILQ_REMOVE(&r->view->queue.requests, r, queue_link);
    add(&local_of(r)->waiting, -1);
    add(counter_of(r), -1);
    endpoint_unref(r->waits_for);
    r->waits_for = NULL;
    if (r->is_called)
        return;
    /* Room may have been left to it alone. */
    set_due(worker, r->view);
    wake_others(worker, r->view->pool);
}

void queue_count_wait(struct request *r)
{
    if (r->queued_us == 0)
        return;
    uint64_t waited_us = worker_now_us(request_worker(r)) - r->queued_us;
    histogram_add(&local_of(r)->stats.queue_wait, waited_us);
    r->queued_us = 0;
}

static void call(struct request *r)
{
    r->is_called = true;
    client_run(r->client);
}

/* Once one that would go anywhere cannot go, none of those behind it can. */
static void run_queue(struct pool_view *view, uint32_t n)
{
    bool is_full = false;
    struct request *r = TAILQ_FIRST(&view->queue.requests);
    for (; r != NULL && n > 0; n--) {
        struct request *next = TAILQ_NEXT(r, queue_link);
        bool goes_anywhere = r->waits_for == NULL && r->n_tried == 0;
        if (goes_anywhere && is_full) {
            r = next;
            continue;
        }
        if (may_go(r))
            call(r);
        else
            is_full = is_full || goes_anywhere;
        r = next;
    }
}

void queue_run(struct worker *worker)
{
    if (!worker->has_due_queue)
        return;
    worker->has_due_queue = false;
    for (size_t i = 0; i < worker->proxy->conf->n_pools; i++) {
        struct pool_view *view = &worker->views[i];
        if (!view->queue.is_due)
            continue;
        view->queue.is_due = false;
        run_queue(view, atomic_load(&view->pool->locals[worker->index].waiting));
    }
}

void queue_look(struct worker *worker)
{
    for (size_t i = 0; i < worker->proxy->conf->n_pools; i++) {
        if (!TAILQ_EMPTY(&worker->views[i].queue.requests))
            set_due(worker, &worker->views[i]);
    }
}
