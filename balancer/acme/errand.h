/*
 * One thing to be had from an authority: a certificate, from the account to the signed chain (RFC
 * 8555 section 7), or its advice on when to renew one (RFC 9773). Asynchronous, on the loop of its
 * curl_loop; each has a deadline, and so has every wait in it.
 *
 * The account's key is made where there is none, and kept in the configured folder.
 */
#ifndef QUOIT_BALANCER_ACME_ERRAND_H
#define QUOIT_BALANCER_ACME_ERRAND_H

#include <ev.h>

#include "balancer/acme/answers.h"
#include "balancer/acme/issued.h"
#include "balancer/tls/challenges.h"
#include "conf/conf.h"
#include "discovery/curl_loop.h"

struct errand;

enum errand_kind { ERRAND_CERTIFICATE, ERRAND_ADVICE };

/* What is wanted; must stay until the errand has ended. */
struct errand_wish {
    enum errand_kind kind;
    char *const *names; /* of the certificate that is wanted */
    size_t n_names;
    const char *old_id; /* of the one that it replaces, or that advice is wanted for; "": none */
};

enum errand_end {
    ERRAND_DONE,
    ERRAND_UNREACHED, /* no answer came from the authority, or one that says it is in trouble */
    ERRAND_REFUSED,   /* it said no */
    ERRAND_BROKEN,    /* something on our side is wrong */
};

/* Valid during the call only. */
struct errand_result {
    enum errand_end end;
    const char *url;             /* what was asked last, or the file that is no good */
    struct acme_problem problem; /* why it is not done */
    int64_t retry_after_s;       /* -1: the authority has not said */
    const char *pem;             /* as issued_join() makes it */
    size_t pem_n;
    struct issued issued;
    bool has_window;           /* whether the authority gives advice at all */
    struct acme_window window; /* of ERRAND_ADVICE */
};

struct errand_observer {
    void *context;
    void (*account)(void *context, const char *url, bool is_new);
    void (*order)(void *context, const char *url);
    /* The end; another errand may begin here. */
    void (*done)(void *context, const struct errand_result *result);
};

/* For one errand after the other. Keeps conf, challenges and observer. Returns 0 or -ENOMEM. */
int errand_new(struct ev_loop *loop, struct curl_loop *curl, const struct conf_acme *conf,
               struct challenges *challenges, const struct errand_observer *observer,
               struct errand **ret_errand);

/* End what is under way without a word. errand_free() accepts NULL. */
void errand_stop(struct errand *errand);
void errand_free(struct errand *errand);

/* Begins; nothing may be under way. No observer is called before it returns. */
void errand_begin(struct errand *errand, const struct errand_wish *wish);

#endif
