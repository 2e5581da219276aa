#include "balancer/control/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/control/address.h"
#include "balancer/log/log.h"

struct resolver {
    resolver_done_fn *done;
    void *context;
    bool *has_names; /* one a pool; discovery's thread alone */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct message_list list; /* under lock */
    bool stops;               /* under lock */
};

static bool is_numeric(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

bool resolver_wants(struct resolver *resolver, const struct discovery_event *event)
{
    bool *has_names = &resolver->has_names[event->pool];
    for (size_t i = 0; event->set != NULL && !*has_names && i < event->set->n; i++)
        *has_names = !is_numeric(event->set->list[i].host);
    return *has_names;
}

/* Puts the first address of its name in the place of instance's host; false if there is none. */
static bool resolve(struct instance *instance)
{
    struct sockaddr_storage address;
    socklen_t n;
    if (is_numeric(instance->host))
        return true;
    if (address_resolve(instance->host, instance->port, &address, &n) != 0)
        return false;
    char text[INET6_ADDRSTRLEN];
    const void *bytes = address.ss_family == AF_INET6
                            ? (const void *)&((struct sockaddr_in6 *)&address)->sin6_addr
                            : (const void *)&((struct sockaddr_in *)&address)->sin_addr;
    char *host = inet_ntop(address.ss_family, bytes, text, sizeof text) ? strdup(text) : NULL;
    if (host == NULL)
        return false;
    free(instance->host);
    instance->host = host;
    return true;
}

static void free_instance(struct instance *instance)
{
    free(instance->datacenter);
    free(instance->node);
    free(instance->service_id);
    free(instance->host);
}

static void resolve_set(struct instance_set *set)
{
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) {
        struct instance *instance = &set->list[i];
        if (resolve(instance)) {
            set->list[n++] = *instance;
            continue;
        }
        log_event(LOG_ERROR, "endpoint_unresolved", LOG_STR("host", instance->host),
                  LOG_STR("service_id", instance->service_id));
        free_instance(instance);
        set->n_rejected++;
    }
    set->n = n;
}

/* Waits for a message; NULL when the resolver stops. */
static struct message *take(struct resolver *resolver)
{
    (void)pthread_mutex_lock(&resolver->lock);
    while (STAILQ_EMPTY(&resolver->list) && !resolver->stops)
        (void)pthread_cond_wait(&resolver->changed, &resolver->lock);
    struct message *message = resolver->stops ? NULL : STAILQ_FIRST(&resolver->list);
    if (message != NULL)
        STAILQ_REMOVE_HEAD(&resolver->list, link);
    (void)pthread_mutex_unlock(&resolver->lock);
    return message;
}

static void *run(void *argument)
{
    struct resolver *resolver = argument;
    struct message *message;
    while ((message = take(resolver)) != NULL) {
        if (message->as.discovery.set != NULL)
            resolve_set(message->as.discovery.set);
        resolver->done(resolver->context, message);
    }
    return NULL;
}

void resolver_submit(struct resolver *resolver, struct message *message)
{
    (void)pthread_mutex_lock(&resolver->lock);
    STAILQ_INSERT_TAIL(&resolver->list, message, link);
    (void)pthread_cond_signal(&resolver->changed);
    (void)pthread_mutex_unlock(&resolver->lock);
}

static void free_resolver(struct resolver *resolver)
{
    struct message *message;
    while ((message = STAILQ_FIRST(&resolver->list)) != NULL) {
        STAILQ_REMOVE_HEAD(&resolver->list, link);
        message_free(message);
    }
    (void)pthread_cond_destroy(&resolver->changed);
    (void)pthread_mutex_destroy(&resolver->lock);
    free(resolver->has_names);
    free(resolver);
}

int resolver_start(size_t n_pools, resolver_done_fn *done, void *context,
                   struct resolver **ret_resolver)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);
    bool *has_names = calloc(n_pools + 1, sizeof *has_names);
    if (resolver == NULL || has_names == NULL) {
        free(resolver);
        free(has_names);
        return -ENOMEM;
    }
    *resolver = (struct resolver){.done = done, .context = context, .has_names = has_names};
    (void)pthread_mutex_init(&resolver->lock, NULL);
    (void)pthread_cond_init(&resolver->changed, NULL);
    STAILQ_INIT(&resolver->list);
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&resolver->thread, NULL, run, resolver);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        free_resolver(resolver);
        return -rc;
    }
    (void)pthread_setname_np(resolver->thread, "resolver");
    *ret_resolver = resolver;
    return 0;
}

void resolver_stop(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    (void)pthread_mutex_lock(&resolver->lock);
    resolver->stops = true;
    (void)pthread_cond_signal(&resolver->changed);
    (void)pthread_mutex_unlock(&resolver->lock);
    (void)pthread_join(resolver->thread, NULL);
    free_resolver(resolver);
}
