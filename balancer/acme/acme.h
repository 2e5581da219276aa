/*
 * Certificates that quoit gets for itself: which are missing, when each is renewed, and what
 * happens when an authority does not answer or says no. Runs on control's loop.
 *
 * They are got one after the other and put into the files that the configuration has for them;
 * whoever uses these files looks for new ones by itself.
 *
 * What the authority refuses is tried again after a pause of minutes to hours, growing with every
 * refusal, and never before it says so (Retry-After). When it cannot be reached, or something on
 * our side is wrong, nothing is begun for some seconds to minutes.
 */
#ifndef QUOIT_BALANCER_ACME_ACME_H
#define QUOIT_BALANCER_ACME_ACME_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "balancer/acme/answers.h"
#include "balancer/tls/challenges.h"
#include "conf/conf.h"

struct acme;

enum acme_event_type {
    ACME_ACCOUNT,     /* url, is_new */
    ACME_ORDER,       /* name, names, url */
    ACME_CERTIFICATE, /* name, names, file, not_after_s, next_s: it is in its file */
    ACME_FAILED,      /* name, names, url, problem, next_s */
    ACME_RENEWAL_DUE, /* name, names, why */
    ACME_UNSAFE,      /* file: others may read its key */
};

/* Valid during the call only; what the type does not name is zero. Unix times. */
struct acme_event {
    enum acme_event_type type;
    const char *name;  /* the certificate's first */
    const char *names; /* all of them, with a space between */
    const char *url, *file, *why;
    const struct acme_problem *problem;
    int64_t not_after_s;
    int64_t next_s; /* when it is renewed, or tried again */
    bool is_new;
};

typedef void acme_event_fn(void *context, const struct acme_event *event);

struct acme_counts {
    uint64_t orders_ok, orders_failed;     /* for certificates that were not there */
    uint64_t renewals_ok, renewals_failed; /* for those that were */
};

/* For all the certificates of conf, which it keeps, as it does challenges. curl_global_init() comes
 * first. Returns 0 or -ENOMEM. */
int acme_new(const struct conf *conf, struct ev_loop *loop, struct challenges *challenges,
             acme_event_fn *on_event, void *context, struct acme **ret_acme);

/* Ends what is under way. Accepts NULL. */
void acme_free(struct acme *acme);

/* Once, when challenges are answered: looks at the files and gets what is missing. */
void acme_start(struct acme *acme);

/* What has failed is tried again now. */
void acme_hurry(struct acme *acme);

/* Nothing is begun any more, and what is under way ends. */
void acme_stop(struct acme *acme);

struct acme_counts acme_counts(const struct acme *acme);

#endif
