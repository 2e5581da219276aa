#include "discovery/discovery.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>

#include "discovery/json_memory.h"
#include "discovery/watch.h"

enum {
    /* Consul takes 200 connections from one address, and closes further ones with a 429. Half of
     * them leaves room for a second balancer and for other tools on this machine. */
    MAX_QUERIES = 100,
    /* With more watches than that they take turns; each turn is short then. */
    CROWDED_WAIT_MS = 2000,
    /* So many watches start at once, the others spread over two seconds. */
    START_AT_ONCE = 20,
    START_SPREAD_MS = 2000,
};

struct discovery {
    struct watch_host host;
    struct watch **watches;
    size_t n_watches;
    struct ev_async stop;
    pthread_t thread;
    bool has_thread;
};

static void on_stop(struct ev_loop *loop, struct ev_async *async, int revents)
{
    (void)async;
    (void)revents;
    ev_break(loop, EVBREAK_ALL);
}

static uint32_t start_delay_ms(size_t i, size_t n)
{
    if (i < START_AT_ONCE)
        return 0;
    return (uint32_t)((i - START_AT_ONCE + 1) * START_SPREAD_MS / (n - START_AT_ONCE));
}

static void *run(void *context)
{
    struct discovery *self = context;
    for (size_t i = 0; i < self->n_watches; i++)
        watch_start(self->watches[i], start_delay_ms(i, self->n_watches));
    ev_run(self->host.loop, 0);
    return NULL;
}

static size_t count_services(const struct conf *conf)
{
    size_t n = 0;
    for (size_t i = 0; i < conf->n_pools; i++)
        n += conf->pools[i].service.name != NULL;
    return n;
}

static int add_watches(struct discovery *self, const struct conf *conf)
{
    self->watches = calloc(count_services(conf) + 1, sizeof(struct watch *));
    if (self->watches == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < conf->n_pools; i++) {
        if (conf->pools[i].service.name == NULL)
            continue;
        int error = watch_new(&self->host, &conf->pools[i], i, &self->watches[self->n_watches]);
        if (error != 0)
            return error;
        self->n_watches++;
    }
    return 0;
}

static int set_up(struct discovery *self, const struct conf *conf)
{
    struct watch_host *host = &self->host;
    host->loop = ev_loop_new(EVFLAG_AUTO);
    if (host->loop == NULL)
        return -ENOMEM;
    int error = curl_loop_new(host->loop, &host->curl);
    if (error != 0)
        return error;
    ev_async_init(&self->stop, on_stop);
    ev_async_start(host->loop, &self->stop);
    if (getrandom(&host->random, sizeof host->random, 0) != (ssize_t)sizeof host->random)
        return -EIO;
    error = add_watches(self, conf);
    if (error != 0)
        return error;
    host->n_slots = MAX_QUERIES;
    host->wait_ms = host->consul->wait_ms;
    if (self->n_watches > MAX_QUERIES && host->wait_ms > CROWDED_WAIT_MS)
        host->wait_ms = CROWDED_WAIT_MS;
    curl_loop_limit(host->curl, MAX_QUERIES, 0);
    return 0;
}

/* The thread inherits the mask: signals are for the main thread alone. */
static int start_thread(struct discovery *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&self->thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return -error;
    self->has_thread = true;
    pthread_setname_np(self->thread, "discovery");
    return 0;
}

static void tear_down(struct discovery *self)
{
    for (size_t i = 0; i < self->n_watches; i++)
        watch_free(self->watches[i]);
    free(self->watches);
    curl_loop_free(self->host.curl);
    if (self->host.loop != NULL) {
        ev_async_stop(self->host.loop, &self->stop);
        ev_loop_destroy(self->host.loop);
    }
    free(self);
    curl_global_cleanup();
}

int discovery_start(const struct conf *conf, discovery_observer_fn *observer, void *context,
                    struct discovery **ret_discovery)
{
    json_memory_abort_when_out();
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    struct discovery *self = calloc(1, sizeof *self);
    if (self == NULL) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    self->host =
        (struct watch_host){.consul = &conf->consul, .observer = observer, .context = context};
    TAILQ_INIT(&self->host.queue);
    int error = set_up(self, conf);
    if (error == 0 && self->n_watches > 0)
        error = start_thread(self);
    if (error != 0) {
        tear_down(self);
        return error;
    }
    *ret_discovery = self;
    return 0;
}

void discovery_stop(struct discovery *discovery)
{
    if (discovery == NULL)
        return;
    if (discovery->has_thread) {
        ev_async_send(discovery->host.loop, &discovery->stop);
        pthread_join(discovery->thread, NULL);
    }
    tear_down(discovery);
}
