#include "balancer/control/own_certificates.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "balancer/acme/acme.h"
#include "balancer/log/log.h"

#define TIME_SIZE 32

struct own_certificates {
    struct acme *acme;
    struct ev_loop *loop;
    struct certificates *certificates;
    struct metrics_acme counts;
};

static const char *text_of_time(int64_t time_s, char text[TIME_SIZE])
{
    struct tm parts;
    time_t at = (time_t)time_s;
    if (gmtime_r(&at, &parts) == NULL || strftime(text, TIME_SIZE, "%FT%TZ", &parts) == 0)
        text[0] = '\0';
    return text;
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void say_failed(const struct acme_event *event)
{
    char next[TIME_SIZE];
    const struct acme_problem *problem = event->problem;
    log_event(LOG_ERROR, "acme_failed", LOG_STR("name", event->name),
              LOG_STR("names", event->names), LOG_STR("at", event->url),
              LOG_STR("type", or_null(problem->type)), LOG_STR("detail", or_null(problem->detail)),
              LOG_STR("subproblems", or_null(problem->subproblems)),
              LOG_STR("tried_again", text_of_time(event->next_s, next)));
}

static void say_certificate(const struct acme_event *event)
{
    char end[TIME_SIZE], next[TIME_SIZE];
    log_event(LOG_INFO, "acme_certificate", LOG_STR("name", event->name),
              LOG_STR("names", event->names), LOG_STR("file", event->file),
              LOG_STR("not_after", text_of_time(event->not_after_s, end)),
              LOG_STR("renewed", text_of_time(event->next_s, next)));
}

static void on_event(void *context, const struct acme_event *event)
{
    struct own_certificates *own = context;
    switch (event->type) {
    case ACME_ACCOUNT:
        log_event(LOG_INFO, "acme_account", LOG_STR("url", event->url),
                  LOG_STR("state", event->is_new ? "new" : "known"));
        break;
    case ACME_ORDER:
        log_event(LOG_INFO, "acme_order", LOG_STR("name", event->name),
                  LOG_STR("names", event->names), LOG_STR("url", event->url));
        break;
    case ACME_CERTIFICATE:
        say_certificate(event);
        certificates_look(own->certificates, ev_now(own->loop));
        break;
    case ACME_FAILED:
        say_failed(event);
        break;
    case ACME_RENEWAL_DUE:
        log_event(LOG_INFO, "acme_renewal_due", LOG_STR("name", event->name),
                  LOG_STR("names", event->names), LOG_STR("why", event->why));
        break;
    case ACME_UNSAFE:
        log_event(LOG_WARN, "acme_unsafe", LOG_STR("file", event->file),
                  LOG_STR("warning", "others may read or write this file with a private key"));
        break;
    }
}

int own_certificates_new(const struct conf *conf, struct ev_loop *loop,
                         struct certificates *certificates, struct own_certificates **ret_own)
{
    *ret_own = NULL;
    if (!conf->acme.is_used)
        return 0;
    struct own_certificates *own = calloc(1, sizeof *own);
    if (own == NULL)
        return -ENOMEM;
    own->loop = loop;
    own->certificates = certificates;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(own);
        return -ENOMEM;
    }
    int rc = acme_new(conf, loop, certificates_challenges(certificates), on_event, own, &own->acme);
    if (rc != 0) {
        own_certificates_free(own);
        return rc;
    }
    *ret_own = own;
    return 0;
}

void own_certificates_free(struct own_certificates *own)
{
    if (own == NULL)
        return;
    acme_free(own->acme);
    curl_global_cleanup();
    free(own);
}

void own_certificates_start(struct own_certificates *own)
{
    if (own != NULL)
        acme_start(own->acme);
}

void own_certificates_hurry(struct own_certificates *own)
{
    if (own != NULL)
        acme_hurry(own->acme);
}

void own_certificates_stop(struct own_certificates *own)
{
    if (own != NULL)
        acme_stop(own->acme);
}

const struct metrics_acme *own_certificates_counts(struct own_certificates *own)
{
    if (own == NULL)
        return NULL;
    struct acme_counts counts = acme_counts(own->acme);
    own->counts = (struct metrics_acme){.orders_ok = counts.orders_ok,
                                        .orders_failed = counts.orders_failed,
                                        .renewals_ok = counts.renewals_ok,
                                        .renewals_failed = counts.renewals_failed};
    return &own->counts;
}
