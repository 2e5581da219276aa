#include "balancer/acme/acme.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "balancer/acme/errand.h"
#include "balancer/acme/issued.h"
#include "balancer/acme/renewal.h"
#include "balancer/acme/store.h"
#include "discovery/backoff.h"
#include "discovery/curl_loop.h"
#include "discovery/json_memory.h"

#define SECOND_MS 1000u
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

#define NEVER INT64_MAX
/* The clock may be set meanwhile: the timer never waits for longer. */
#define MAX_SLEEP_S 600
/* Between two certificates for the same names, whatever their dates say. */
#define MIN_RENEWAL_S 5
#define MAX_RETRY_AFTER_S (INT64_C(7) * 24 * 3600)
#define ADVICE_FAILED_S 3600
#define MAX_NAMES_TEXT 4096

/* A certificate, and what is planned for it. */
struct item {
    const struct conf_certificate *conf;
    char *names; /* with spaces between */
    struct issued issued;
    bool is_there;             /* issued is what is in the file */
    bool has_failed;           /* the last time */
    int64_t got_s;             /* when this process got it; 0: another one did */
    int64_t due_s;             /* when to get one */
    int64_t advice_s;          /* when to ask for advice */
    struct acme_window window; /* the advice; all zero: none */
    struct backoff refused;    /* by the authority */
    const char *why;           /* it is due */
};

struct acme {
    const struct conf *conf;
    struct ev_loop *loop;
    struct curl_loop *curl;
    struct errand *errand;
    struct errand_wish wish;
    acme_event_fn *on_event;
    void *context;
    struct ev_timer timer;
    struct item *items;
    size_t n_items;
    struct item *current;    /* that the errand is for; NULL: there is none */
    struct backoff troubled; /* the authority cannot be reached, or we cannot ask it */
    int64_t calm_s;          /* nothing is begun before */
    struct acme_counts counts;
    bool is_stopped; /* not begun yet, or over */
};

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

static uint64_t random_bits(void)
{
    uint64_t bits = 0;
    (void)RAND_bytes((unsigned char *)&bits, sizeof bits);
    return bits;
}

static void plan(struct acme *acme);

/* ---- what is in the files */

static void say(struct acme *acme, const struct item *item, struct acme_event event)
{
    if (item != NULL) {
        event.name = item->conf->names[0];
        event.names = item->names;
    }
    acme->on_event(acme->context, &event);
}

static void plan_renewal(struct item *item)
{
    item->due_s = renewal_usual_s(&item->issued);
    item->advice_s = item->issued.id[0] != '\0' ? now_s() : NEVER;
    item->window = (struct acme_window){0};
    item->why = "two thirds of its life are over";
}

/* Reads the item's file. Returns whether there is a good certificate in it. */
static bool look(struct item *item)
{
    char *text = NULL;
    size_t n = 0;
    int rc = store_read(item->conf->cert_file, &text, &n);
    item->why = rc == -ENOENT ? "there is none yet" : "its file cannot be read";
    if (rc == 0)
        rc = issued_read(text, n, item->conf->names, item->conf->n_names, now_s(), &item->issued,
                         &item->why);
    if (text != NULL)
        explicit_bzero(text, n);
    free(text);
    return rc == 0;
}

static void take_file(struct acme *acme, struct item *item)
{
    item->is_there = look(item);
    item->due_s = now_s();
    item->advice_s = NEVER;
    if (item->is_there)
        plan_renewal(item);
    if (store_check(item->conf->cert_file) == -EKEYREJECTED)
        say(acme, item, (struct acme_event){.type = ACME_UNSAFE, .file = item->conf->cert_file});
}

/* ---- one after the other */

static void begin(struct acme *acme, struct item *item, enum errand_kind kind)
{
    acme->current = item;
    acme->wish = (struct errand_wish){.kind = kind,
                                      .names = item->conf->names,
                                      .n_names = item->conf->n_names,
                                      .old_id = item->is_there ? item->issued.id : ""};
    errand_begin(acme->errand, &acme->wish);
}

/* Another process may have renewed it: then that one's work is used. */
static bool is_renewed_already(struct item *item)
{
    struct item looked = *item;
    if (!look(&looked) || looked.issued.not_after_s <= item->issued.not_after_s)
        return false;
    item->issued = looked.issued;
    item->is_there = true;
    plan_renewal(item);
    return item->due_s > now_s();
}

static void get_certificate(struct acme *acme, struct item *item)
{
    if (is_renewed_already(item)) {
        plan(acme);
        return;
    }
    bool is_renewal = store_check(item->conf->cert_file) != -ENOENT;
    if (is_renewal && !item->has_failed)
        say(acme, item, (struct acme_event){.type = ACME_RENEWAL_DUE, .why = item->why});
    begin(acme, item, ERRAND_CERTIFICATE);
}

static int64_t next_s(const struct item *item)
{
    return item->due_s < item->advice_s ? item->due_s : item->advice_s;
}

/* What is missing comes before what is to be renewed. */
static bool is_before(const struct item *a, const struct item *b)
{
    if (a->is_there != b->is_there && next_s(a) <= now_s() && next_s(b) <= now_s())
        return b->is_there;
    return next_s(a) < next_s(b);
}

static struct item *first_due(const struct acme *acme)
{
    struct item *first = &acme->items[0];
    for (size_t i = 1; i < acme->n_items; i++)
        if (is_before(&acme->items[i], first))
            first = &acme->items[i];
    return first;
}

/* When the next thing is begun. */
static int64_t begin_s(const struct acme *acme)
{
    int64_t first_s = next_s(first_due(acme));
    return first_s > acme->calm_s ? first_s : acme->calm_s;
}

/* Begins what is due, or sleeps until something is. */
static void plan(struct acme *acme)
{
    ev_timer_stop(acme->loop, &acme->timer);
    if (acme->is_stopped || acme->current != NULL)
        return;
    int64_t wait_s = begin_s(acme) - now_s();
    if (wait_s > MAX_SLEEP_S)
        wait_s = MAX_SLEEP_S;
    ev_now_update(acme->loop);
    ev_timer_set(&acme->timer, wait_s > 0 ? (double)wait_s : 0, 0);
    ev_timer_start(acme->loop, &acme->timer);
}

static void on_timer(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct acme *acme = timer->data;
    struct item *first = first_due(acme);
    if (begin_s(acme) > now_s())
        plan(acme);
    else if (first->advice_s <= now_s()) /* it may change when it is due */
        begin(acme, first, ERRAND_ADVICE);
    else
        get_certificate(acme, first);
}

/* ---- what came of it */

static void on_account(void *context, const char *url, bool is_new)
{
    say(context, NULL, (struct acme_event){.type = ACME_ACCOUNT, .url = url, .is_new = is_new});
}

static void on_order(void *context, const char *url)
{
    struct acme *acme = context;
    say(acme, acme->current, (struct acme_event){.type = ACME_ORDER, .url = url});
}

static void count(struct acme *acme, const struct item *item, bool is_good)
{
    struct acme_counts *counts = &acme->counts;
    if (item->is_there)
        *(is_good ? &counts->renewals_ok : &counts->renewals_failed) += 1;
    else
        *(is_good ? &counts->orders_ok : &counts->orders_failed) += 1;
}

/* How long until it is tried again: never before the authority says so. */
static int64_t pause_s(struct backoff *backoff, const struct errand_result *result)
{
    int64_t wait_s = backoff_fail(backoff, random_bits()) / SECOND_MS;
    int64_t asked_s =
        result->retry_after_s < MAX_RETRY_AFTER_S ? result->retry_after_s : MAX_RETRY_AFTER_S;
    return asked_s > wait_s ? asked_s : wait_s;
}

/* A refusal is about this certificate, everything else about all of them. */
static void take_failure(struct acme *acme, struct item *item, const struct errand_result *result)
{
    count(acme, item, false);
    item->has_failed = true;
    if (result->end == ERRAND_REFUSED)
        item->due_s = now_s() + pause_s(&item->refused, result);
    else
        acme->calm_s = now_s() + pause_s(&acme->troubled, result);
    say(acme, item,
        (struct acme_event){.type = ACME_FAILED,
                            .url = result->url,
                            .problem = &result->problem,
                            .next_s = result->end == ERRAND_REFUSED ? item->due_s : acme->calm_s});
}

static void reset_backoff(struct item *item)
{
    item->refused = (struct backoff){.min_ms = 3 * MINUTE_MS, .max_ms = 6 * HOUR_MS};
    item->has_failed = false;
}

static void calm_down(struct acme *acme)
{
    acme->troubled = (struct backoff){.min_ms = 5 * SECOND_MS, .max_ms = 10 * MINUTE_MS};
    acme->calm_s = 0;
}

static void take_certificate(struct acme *acme, struct item *item,
                             const struct errand_result *result)
{
    int rc = store_write(item->conf->cert_file, result->pem, result->pem_n);
    if (rc != 0) {
        char words[STORE_WORDS_SIZE];
        struct errand_result failed = {
            .end = ERRAND_REFUSED, .url = item->conf->cert_file, .retry_after_s = -1};
        (void)snprintf(failed.problem.detail, sizeof failed.problem.detail, "%s",
                       store_words(rc, words));
        take_failure(acme, item, &failed);
        return;
    }
    count(acme, item, true);
    reset_backoff(item);
    item->issued = result->issued;
    item->is_there = true;
    item->got_s = now_s();
    plan_renewal(item);
    if (item->due_s < now_s() + MIN_RENEWAL_S)
        item->due_s = now_s() + MIN_RENEWAL_S;
    say(acme, item,
        (struct acme_event){.type = ACME_CERTIFICATE,
                            .file = item->conf->cert_file,
                            .not_after_s = item->issued.not_after_s,
                            .next_s = item->due_s});
}

static void take_advice(struct item *item, const struct errand_result *result)
{
    const struct acme_window *window = &result->window;
    item->advice_s =
        now_s() +
        (result->end == ERRAND_DONE ? renewal_ask_again_s(result->retry_after_s) : ADVICE_FAILED_S);
    bool is_new = result->has_window && memcmp(window, &item->window, sizeof *window) != 0;
    /* What has failed has its time to wait for. */
    if (result->end != ERRAND_DONE || !is_new || item->has_failed)
        return;
    item->window = *window;
    item->due_s = renewal_advised_s(&item->issued, window, item->got_s, random_bits());
    item->why = "the authority advises it";
}

static void on_done(void *context, const struct errand_result *result)
{
    struct acme *acme = context;
    struct item *item = acme->current;
    acme->current = NULL;
    if (result->end == ERRAND_DONE || result->end == ERRAND_REFUSED)
        calm_down(acme);
    if (acme->wish.kind == ERRAND_ADVICE)
        take_advice(item, result);
    else if (result->end == ERRAND_DONE)
        take_certificate(acme, item, result);
    else
        take_failure(acme, item, result);
    plan(acme);
}

/* ---- the beginning and the end */

static const struct item *find_file(const struct acme *acme, const char *file)
{
    for (size_t i = 0; i < acme->n_items; i++)
        if (strcmp(acme->items[i].conf->cert_file, file) == 0)
            return &acme->items[i];
    return NULL;
}

/* All names with a space between, as many as fit. */
static char *join_names(const struct conf_certificate *conf)
{
    char text[MAX_NAMES_TEXT];
    size_t used = 0;
    for (size_t i = 0; i < conf->n_names && used < sizeof text; i++) {
        int n = snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? " " : "", conf->names[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    return strdup(text);
}

static int add_items(struct acme *acme)
{
    size_t most = 0;
    for (size_t i = 0; i < acme->conf->n_listeners; i++)
        most += acme->conf->listeners[i].tls.n_certificates;
    acme->items = calloc(most + 1, sizeof *acme->items);
    if (acme->items == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < acme->conf->n_listeners; i++) {
        const struct conf_tls *tls = &acme->conf->listeners[i].tls;
        for (size_t k = 0; k < tls->n_certificates; k++) {
            const struct conf_certificate *conf = &tls->certificates[k];
            if (conf->n_names == 0 || find_file(acme, conf->cert_file) != NULL)
                continue;
            struct item *item = &acme->items[acme->n_items++];
            item->conf = conf;
            item->names = join_names(conf);
            if (item->names == NULL)
                return -ENOMEM;
            reset_backoff(item);
        }
    }
    return 0;
}

static int start(struct acme *acme, struct challenges *challenges)
{
    const struct errand_observer observer = {
        .context = acme, .account = on_account, .order = on_order, .done = on_done};
    int rc = add_items(acme);
    if (rc == 0)
        rc = curl_loop_new(acme->loop, &acme->curl);
    if (rc == 0)
        rc = errand_new(acme->loop, acme->curl, &acme->conf->acme, challenges, &observer,
                        &acme->errand);
    return rc;
}

int acme_new(const struct conf *conf, struct ev_loop *loop, struct challenges *challenges,
             acme_event_fn *on_event, void *context, struct acme **ret_acme)
{
    assert(conf->acme.is_used);
    json_memory_abort_when_out();
    struct acme *acme = calloc(1, sizeof *acme);
    if (acme == NULL)
        return -ENOMEM;
    acme->conf = conf;
    acme->loop = loop;
    acme->on_event = on_event;
    acme->context = context;
    acme->is_stopped = true;
    calm_down(acme);
    ev_timer_init(&acme->timer, on_timer, 0, 0);
    acme->timer.data = acme;
    int rc = start(acme, challenges);
    if (rc != 0) {
        acme_free(acme);
        return rc;
    }
    *ret_acme = acme;
    return 0;
}

void acme_start(struct acme *acme)
{
    for (size_t i = 0; i < acme->n_items; i++)
        take_file(acme, &acme->items[i]);
    acme->is_stopped = false;
    plan(acme);
}

void acme_free(struct acme *acme)
{
    if (acme == NULL)
        return;
    ev_timer_stop(acme->loop, &acme->timer);
    errand_free(acme->errand);
    curl_loop_free(acme->curl);
    for (size_t i = 0; acme->items != NULL && i < acme->n_items; i++)
        free(acme->items[i].names);
    free(acme->items);
    free(acme);
}

void acme_hurry(struct acme *acme)
{
    for (size_t i = 0; i < acme->n_items; i++)
        if (acme->items[i].has_failed)
            acme->items[i].due_s = now_s();
    calm_down(acme);
    plan(acme);
}

void acme_stop(struct acme *acme)
{
    acme->is_stopped = true;
    ev_timer_stop(acme->loop, &acme->timer);
    errand_stop(acme->errand);
}

struct acme_counts acme_counts(const struct acme *acme)
{
    return acme->counts;
}
