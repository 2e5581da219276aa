/*
 *   any thread ── add, remove ─► table, orders (under the lock) ── ev_async ─► health thread
 *                                                                     takes one order after another
 *
 * An order is the target itself, queued: to start it or, once removed, to stop and free it. So
 * removing needs no memory. The health thread alone frees targets, and never within a callback of
 * the target's own probe.
 */
#include "health/health.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "health/target.h"

enum { BUCKETS = 4096 }; /* cookies are counted up: they fall evenly */

LIST_HEAD(target_list, target);
STAILQ_HEAD(target_queue, target);

struct health {
    struct target_host host;
    struct ev_async wake;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows, and the targets' first fields */
    bool is_stopping;
    struct target_queue orders;
    struct target_list table[BUCKETS]; /* the targets that are not removed */
};

static struct target_list *bucket_of(struct health *health, uint64_t cookie)
{
    return &health->table[cookie % BUCKETS];
}

/* Under the lock. */
static struct target *find(struct health *health, uint64_t cookie)
{
    struct target *target;
    LIST_FOREACH(target, bucket_of(health, cookie), bucket)
    {
        if (target->cookie == cookie)
            return target;
    }
    return NULL;
}

/* Under the lock. */
static void give_order(struct health *health, struct target *target)
{
    if (target->is_queued)
        return;
    target->is_queued = true;
    STAILQ_INSERT_TAIL(&health->orders, target, order);
}

/* The next target to look at, and whether it was removed; NULL: there is none. */
static struct target *take_order(struct health *health, bool *ret_removed)
{
    pthread_mutex_lock(&health->lock);
    struct target *target = STAILQ_FIRST(&health->orders);
    if (target != NULL) {
        STAILQ_REMOVE_HEAD(&health->orders, order);
        target->is_queued = false;
        *ret_removed = target->is_removed;
    }
    pthread_mutex_unlock(&health->lock);
    return target;
}

static void discard(struct target *target)
{
    target_stop(target);
    target_free(target);
}

static bool is_stopping(struct health *health)
{
    pthread_mutex_lock(&health->lock);
    bool stopping = health->is_stopping;
    pthread_mutex_unlock(&health->lock);
    return stopping;
}

static void on_wake(struct ev_loop *loop, struct ev_async *wake, int events)
{
    struct health *health = wake->data;
    struct target *target;
    bool removed = false;
    (void)events;
    while ((target = take_order(health, &removed)) != NULL) {
        if (removed)
            discard(target);
        else
            target_start(target, &health->host);
    }
    if (is_stopping(health))
        ev_break(loop, EVBREAK_ALL);
}

static void *run(void *context)
{
    struct health *health = context;
    ev_run(health->host.probes.loop, 0);
    return NULL;
}

/* Signals are control's: the thread inherits a mask that blocks them all. */
static int start_thread(struct health *health)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&health->thread, NULL, run, health);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_setname_np(health->thread, "health");
    return -error;
}

static int set_up(struct health *health)
{
    struct target_host *host = &health->host;
    host->probes.loop = ev_loop_new(EVFLAG_AUTO);
    if (host->probes.loop == NULL)
        return -ENOMEM;
    int error = curl_loop_new(host->probes.loop, &host->probes.curl);
    if (error != 0)
        return error;
    if (getrandom(&host->random, sizeof host->random, 0) != (ssize_t)sizeof host->random)
        return -EIO;
    ev_async_init(&health->wake, on_wake);
    health->wake.data = health;
    ev_async_start(host->probes.loop, &health->wake);
    return start_thread(health);
}

static void discard_all(struct health *health)
{
    struct target *target;
    bool removed;
    for (removed = false; (target = take_order(health, &removed)) != NULL; removed = false)
        if (removed)
            discard(target);
    for (size_t i = 0; i < BUCKETS; i++) {
        while ((target = LIST_FIRST(&health->table[i])) != NULL) {
            LIST_REMOVE(target, bucket);
            discard(target);
        }
    }
}

/* No thread runs. */
static void tear_down(struct health *health)
{
    discard_all(health);
    curl_loop_free(health->host.probes.curl);
    if (health->host.probes.loop != NULL)
        ev_loop_destroy(health->host.probes.loop);
    pthread_mutex_destroy(&health->lock);
    free(health);
    curl_global_cleanup();
}

int health_start(health_observer_fn *observer, void *context, struct health **ret_health)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    struct health *health = calloc(1, sizeof *health);
    if (health == NULL) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    health->host.observer = observer;
    health->host.context = context;
    pthread_mutex_init(&health->lock, NULL);
    STAILQ_INIT(&health->orders);
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_INIT(&health->table[i]);
    int error = set_up(health);
    if (error != 0) {
        tear_down(health);
        return error;
    }
    *ret_health = health;
    return 0;
}

int health_add(struct health *health, uint64_t cookie, const struct conf_check *check,
               const struct sockaddr *address, socklen_t address_len)
{
    struct target *target;
    int error = target_new(cookie, check, address, address_len, &target);
    if (error != 0)
        return error;
    pthread_mutex_lock(&health->lock);
    assert(find(health, cookie) == NULL);
    LIST_INSERT_HEAD(bucket_of(health, cookie), target, bucket);
    give_order(health, target);
    pthread_mutex_unlock(&health->lock);
    ev_async_send(health->host.probes.loop, &health->wake);
    return 0;
}

void health_remove(struct health *health, uint64_t cookie)
{
    pthread_mutex_lock(&health->lock);
    struct target *target = find(health, cookie);
    if (target != NULL) {
        LIST_REMOVE(target, bucket);
        target->is_removed = true;
        give_order(health, target);
    }
    pthread_mutex_unlock(&health->lock);
    ev_async_send(health->host.probes.loop, &health->wake);
}

void health_stop(struct health *health)
{
    if (health == NULL)
        return;
    pthread_mutex_lock(&health->lock);
    health->is_stopping = true;
    pthread_mutex_unlock(&health->lock);
    ev_async_send(health->host.probes.loop, &health->wake);
    pthread_join(health->thread, NULL);
    tear_down(health);
}
