#include "balancer/control/certificates.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "balancer/control/address.h"
#include "balancer/control/stapling.h"
#include "balancer/log/log.h"
#include "balancer/tls/challenges.h"
#include "balancer/tls/files.h"
#include "balancer/tls/inbound.h"
#include "balancer/tls/outbound.h"

#define KEY_SIZE 160

struct certificates {
    const struct conf *conf;
    struct inbound **inbound;
    struct outbound **outbound;
    struct stapling *stapling; /* NULL: nothing is fetched */
    size_t n_used;             /* listeners and pools with TLS */
    struct challenges *challenges;
    struct metrics_certificate *list;
    char (*addresses)[ADDRESS_TEXT_SIZE]; /* of the listeners */
};

static void on_report(void *context, enum tls_severity severity, const char *key, const char *file,
                      const char *text)
{
    (void)context;
    if (severity == TLS_WARNING)
        log_event(LOG_WARN, "tls_warning", LOG_STR("key", key), LOG_STR("file", file),
                  LOG_STR("warning", text));
    else
        log_event(LOG_ERROR, "tls_failed", LOG_STR("key", key), LOG_STR("file", file),
                  LOG_STR("error", text));
}

static const struct tls_report logged = {.say = on_report};

static int load_all(struct certificates *all, const struct tls_report *report)
{
    const struct conf *conf = all->conf;
    char key[KEY_SIZE];
    int rc = 0;
    for (size_t i = 0; i < conf->n_listeners; i++) {
        (void)snprintf(key, sizeof key, "listeners.%zu.tls", i);
        if (conf->listeners[i].tls.n_certificates == 0)
            continue;
        all->n_used++;
        int one = inbound_new(&conf->listeners[i].tls, key, report, &all->inbound[i]);
        rc = one != 0 ? one : rc;
        if (one == 0)
            inbound_use_challenges(all->inbound[i], all->challenges);
    }
    for (size_t i = 0; i < conf->n_pools; i++) {
        (void)snprintf(key, sizeof key, "pools.%s.tls", conf->pools[i].name);
        if (!conf->pools[i].tls.is_on)
            continue;
        all->n_used++;
        int one = outbound_new(&conf->pools[i].tls, key, report, &all->outbound[i]);
        rc = one != 0 ? one : rc;
    }
    return rc;
}

static int allocate(struct certificates *all)
{
    const struct conf *conf = all->conf;
    size_t n = 0;
    for (size_t i = 0; i < conf->n_listeners; i++)
        n += conf->listeners[i].tls.n_certificates;
    all->inbound = calloc(conf->n_listeners + 1, sizeof(void *));
    all->outbound = calloc(conf->n_pools + 1, sizeof(void *));
    all->list = calloc(n + 1, sizeof *all->list);
    all->addresses = calloc(conf->n_listeners + 1, sizeof *all->addresses);
    if (all->inbound == NULL || all->outbound == NULL || all->list == NULL ||
        all->addresses == NULL)
        return -ENOMEM;
    if (conf->acme.is_used && (all->challenges = challenges_new()) == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < conf->n_listeners; i++) {
        const struct conf_listener *listener = &conf->listeners[i];
        address_text(listener->host != NULL ? listener->host : "*", listener->port,
                     all->addresses[i]);
    }
    return 0;
}

static int create(const struct conf *conf, const struct tls_report *report,
                  struct certificates **ret_certificates)
{
    struct certificates *all = calloc(1, sizeof *all);
    if (all == NULL)
        return -ENOMEM;
    all->conf = conf;
    int rc = allocate(all);
    if (rc == 0)
        rc = load_all(all, report);
    if (rc != 0) {
        certificates_free(all);
        return rc;
    }
    *ret_certificates = all;
    return 0;
}

int certificates_new(const struct conf *conf, struct certificates **ret_certificates)
{
    return create(conf, &logged, ret_certificates);
}

/* What `quoit check` says. */
struct check {
    const char *path;
    struct conf_errors *errors, *warnings;
};

static void on_checked(void *context, enum tls_severity severity, const char *key, const char *file,
                       const char *text)
{
    const struct check *check = context;
    bool is_error = severity == TLS_ERROR;
    char said[1024];
    (void)snprintf(said, sizeof said, "%s%s%s%s%s",
                   is_error ? "" : "warning: ", file != NULL ? "found \"" : "",
                   file != NULL ? file : "", file != NULL ? "\": " : "", text);
    conf_errors_add_later(is_error ? check->errors : check->warnings, check->path, key, said);
}

int certificates_check(const struct conf *conf, const char *path, struct conf_errors *errors,
                       struct conf_errors *warnings)
{
    struct check check = {.path = path, .errors = errors, .warnings = warnings};
    const struct tls_report report = {.say = on_checked, .context = &check};
    const struct conf_acme *acme = &conf->acme;
    struct certificates *all = NULL;
    int rc = create(conf, &report, &all);
    certificates_free(all);
    if (acme->is_used && acme->ca_file != NULL &&
        !files_have_authorities(acme->ca_file, "acme.ca_file", &report))
        rc = -EINVAL;
    conf_errors_sort(errors);
    conf_errors_sort(warnings);
    return rc;
}

int certificates_fetch(struct certificates *all, struct ev_loop *loop)
{
    bool is_wanted = false;
    for (size_t i = 0; i < all->conf->n_listeners; i++)
        is_wanted = is_wanted || all->conf->listeners[i].tls.fetches_ocsp;
    return is_wanted ? stapling_start(loop, all->conf, all->inbound, &all->stapling) : 0;
}

void certificates_free(struct certificates *all)
{
    if (all == NULL)
        return;
    stapling_stop(all->stapling);
    for (size_t i = 0; all->inbound != NULL && i < all->conf->n_listeners; i++)
        inbound_free(all->inbound[i]);
    for (size_t i = 0; all->outbound != NULL && i < all->conf->n_pools; i++)
        outbound_free(all->outbound[i]);
    challenges_free(all->challenges);
    free(all->inbound);
    free(all->outbound);
    free(all->list);
    free(all->addresses);
    free(all);
}

static void say_reloaded(const char *name, const char *where, int rc)
{
    if (rc == 0)
        log_event(LOG_INFO, "tls_reloaded", LOG_STR(name, where));
    else
        log_event(LOG_ERROR, "tls_kept", LOG_STR(name, where), LOG_ERRNO("error", -rc));
}

static void reload_inbound(struct certificates *all, size_t i)
{
    say_reloaded("listener", all->addresses[i], inbound_load(all->inbound[i], &logged));
}

static void reload_outbound(struct certificates *all, size_t i)
{
    say_reloaded("pool", all->conf->pools[i].name, outbound_load(all->outbound[i], &logged));
}

void certificates_reload(struct certificates *all)
{
    for (size_t i = 0; i < all->conf->n_listeners; i++)
        if (all->inbound[i] != NULL)
            reload_inbound(all, i);
    for (size_t i = 0; i < all->conf->n_pools; i++)
        if (all->outbound[i] != NULL)
            reload_outbound(all, i);
    stapling_look(all->stapling);
}

void certificates_look(struct certificates *all, double now_s)
{
    for (size_t i = 0; i < all->conf->n_listeners; i++) {
        if (all->inbound[i] == NULL)
            continue;
        if (inbound_has_changed(all->inbound[i]))
            reload_inbound(all, i);
        if (inbound_rotate(all->inbound[i], now_s))
            log_event(LOG_INFO, "ticket_keys_rotated", LOG_STR("listener", all->addresses[i]));
    }
    for (size_t i = 0; i < all->conf->n_pools; i++)
        if (all->outbound[i] != NULL && outbound_has_changed(all->outbound[i]))
            reload_outbound(all, i);
    stapling_look(all->stapling);
}

bool certificates_are_used(const struct certificates *all)
{
    return all->n_used > 0;
}

struct challenges *certificates_challenges(const struct certificates *all)
{
    return all->challenges;
}

struct inbound *const *certificates_inbound(const struct certificates *all)
{
    return all->inbound;
}

struct outbound *const *certificates_outbound(const struct certificates *all)
{
    return all->outbound;
}

const struct metrics_certificate *certificates_list(struct certificates *all, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < all->conf->n_listeners; i++) {
        const char *file;
        time_t not_after;
        if (all->inbound[i] == NULL)
            continue;
        for (size_t k = 0; inbound_expiry(all->inbound[i], k, &file, &not_after); k++)
            all->list[n++] = (struct metrics_certificate){
                .listener = all->addresses[i],
                .file = file,
                .not_after = (int64_t)not_after,
                .ocsp_until = staple_until(&inbound_certificate(all->inbound[i], k)->staple),
                .ocsp_failures = stapling_failures(all->stapling, i, k),
            };
    }
    *ret_n = n;
    return all->list;
}
