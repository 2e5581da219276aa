#include "balancer/control/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/control/address.h"
#include "balancer/log/log.h"
#include "discovery/instance_set.h"

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

/* Writes the host's first address as text; false if it has none. */
static bool resolve(const struct instance *instance, char ret_text[INET6_ADDRSTRLEN])
{
    struct sockaddr_storage address;
    socklen_t n;
    if (address_resolve(instance->host, instance->port, &address, &n) != 0)
        return false;
    const void *bytes = address.ss_family == AF_INET6
                            ? (const void *)&((struct sockaddr_in6 *)&address)->sin6_addr
                            : (const void *)&((struct sockaddr_in *)&address)->sin_addr;
    return inet_ntop(address.ss_family, bytes, ret_text, INET6_ADDRSTRLEN) != NULL;
}

/* The same set with addresses for names; instances without one are left out. NULL: no memory. */
static struct instance_set *resolve_set(const struct instance_set *set)
{
    struct instance *list = calloc(set->n + 1, sizeof *list);
    char(*texts)[INET6_ADDRSTRLEN] = calloc(set->n + 1, sizeof *texts);
    struct instance_set *resolved = NULL;
    size_t n = 0;
    for (size_t i = 0; list != NULL && texts != NULL && i < set->n; i++) {
        list[n] = set->list[i];
        if (is_numeric(list[n].host)) {
            n++;
        } else if (resolve(&list[n], texts[i])) {
            list[n++].host = texts[i];
        } else {
            log_event(LOG_ERROR, "endpoint_unresolved", LOG_STR("host", set->list[i].host),
                      LOG_STR("service_id", set->list[i].service_id));
        }
    }
    if (list != NULL && texts != NULL)
        resolved = instance_set_build(list, n);
    if (resolved != NULL) {
        resolved->index = set->index;
        resolved->n_rejected = set->n_rejected + (uint32_t)(set->n - n);
    }
    free(list);
    free(texts);
    return resolved;
}

/* When memory is out the names stay: control finds them unusable and says so. */
static void resolve_event(struct discovery_event *event)
{
    struct instance_set *resolved = event->set != NULL ? resolve_set(event->set) : NULL;
    if (resolved == NULL)
        return;
    instance_set_free(event->set);
    event->set = resolved;
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
        resolve_event(&message->as.discovery);
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
