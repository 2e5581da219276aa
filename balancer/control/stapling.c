#include "balancer/control/stapling.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "balancer/log/log.h"
#include "balancer/tls/ocsp.h"
#include "discovery/backoff.h"
#include "discovery/curl_loop.h"

enum {
    MIN_WAIT_MS = 1000, /* after a failure */
    MAX_WAIT_MS = 60 * 60 * 1000,
    CONNECT_TIMEOUT_MS = 5000,
    TIMEOUT_MS = 10000,
    MAX_ERROR = 64,
};

/* A certificate of a listener, and what is asked about it. */
struct subject {
    struct stapling *all;
    size_t listener, number;
    X509 *leaf;   /* a reference; NULL: not looked at yet */
    X509 *issuer; /* a reference; NULL: nobody is asked */
    uint8_t *request;
    struct curl_transfer transfer;
    struct ev_timer timer; /* until the next request */
    uint8_t *answer;       /* OCSP_MAX_BYTES of room while the transfer runs */
    size_t answer_n;
    bool is_too_large;
    struct backoff backoff;
    uint64_t failures;
};

struct stapling {
    struct ev_loop *loop;
    const struct conf *conf;
    struct inbound *const *inbound;
    struct curl_loop *curl;
    struct curl_slist *fields;
    struct subject *subjects;
    size_t n;
};

static struct certificate *certificate_of(const struct subject *subject)
{
    return inbound_certificate(subject->all->inbound[subject->listener], subject->number);
}

static const char *file_of(const struct subject *subject)
{
    const struct conf_listener *listener = &subject->all->conf->listeners[subject->listener];
    return listener->tls.certificates[subject->number].cert_file;
}

static void wait_s(struct subject *subject, double seconds)
{
    ev_timer_stop(subject->all->loop, &subject->timer);
    ev_timer_set(&subject->timer, seconds, 0);
    ev_timer_start(subject->all->loop, &subject->timer);
}

/* Whether its file has been read again since. As long as the reference is held, no other
 * certificate can be where this one is. */
static bool is_outdated(const struct subject *subject)
{
    return subject->leaf != certificate_of(subject)->leaf;
}

/* ---- answers */

static void wait_after_failure(struct subject *subject)
{
    uint64_t random = 0;
    /* Without randomness the wait is the shortest one. */
    (void)!getrandom(&random, sizeof random, 0);
    wait_s(subject, backoff_fail(&subject->backoff, random) / 1000.0);
}

static void fail(struct subject *subject, const char *why)
{
    time_t until = staple_until(&certificate_of(subject)->staple), now = time(NULL);
    bool is_missed = until <= now && ocsp_must_staple(subject->leaf);
    subject->failures++;
    wait_after_failure(subject);
    log_event(is_missed ? LOG_ERROR : LOG_WARN, "ocsp_failed", LOG_STR("file", file_of(subject)),
              LOG_STR("error", why), LOG_I64("stapled_for_s", until > now ? until - now : 0),
              LOG_STR("hint", is_missed ? "clients expect a response with this one" : NULL));
}

static void take_revocation(struct subject *subject, const char *why)
{
    staple_clear(&certificate_of(subject)->staple);
    subject->failures++;
    wait_after_failure(subject);
    log_event(LOG_ERROR, "ocsp_revoked", LOG_STR("file", file_of(subject)), LOG_STR("error", why));
}

static void accept_answer(struct subject *subject, time_t now, time_t until)
{
    struct staple *staple = &certificate_of(subject)->staple;
    if (staple_set(staple, subject->answer, subject->answer_n, until) != 0) {
        fail(subject, "no memory");
        return;
    }
    subject->backoff.n_failures = 0;
    wait_s(subject, (double)ocsp_refresh_after(now, until));
    log_event(LOG_INFO, "ocsp_fetched", LOG_STR("file", file_of(subject)),
              LOG_I64("valid_for_s", until - now));
}

static void judge_answer(struct subject *subject)
{
    time_t now = time(NULL);
    struct ocsp_verdict verdict =
        ocsp_judge(subject->leaf, subject->issuer, subject->answer, subject->answer_n, now);
    switch (verdict.status) {
    case OCSP_STATUS_GOOD:
        accept_answer(subject, now, verdict.until);
        break;
    case OCSP_STATUS_REVOKED:
        take_revocation(subject, verdict.why);
        break;
    default:
        fail(subject, verdict.why);
    }
}

/* libcurl's write callback: anything but n fails the transfer. */
static size_t on_body(char *data, size_t size, size_t n, void *context)
{
    (void)size; /* always 1 */
    struct subject *subject = context;
    if (n > OCSP_MAX_BYTES - subject->answer_n) {
        subject->is_too_large = true;
        return 0;
    }
    memcpy(subject->answer + subject->answer_n, data, n);
    subject->answer_n += n;
    return n;
}

static void on_done(struct curl_transfer *transfer, CURLcode code)
{
    struct subject *subject = transfer->context;
    long status = 0;
    char error[MAX_ERROR];
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)snprintf(error, sizeof error, "HTTP %ld", status);
    if (is_outdated(subject))
        wait_s(subject, 0);
    else if (subject->is_too_large)
        fail(subject, "the answer is larger than any OCSP response");
    else if (code != CURLE_OK)
        fail(subject, curl_easy_strerror(code));
    else if (status != 200)
        fail(subject, error);
    else
        judge_answer(subject);
    free(subject->answer);
    subject->answer = NULL;
}

/* ---- requests */

static void forget(struct subject *subject)
{
    ev_timer_stop(subject->all->loop, &subject->timer);
    curl_loop_stop(subject->all->curl, &subject->transfer);
    X509_free(subject->leaf);
    X509_free(subject->issuer);
    OPENSSL_free(subject->request);
    free(subject->answer);
    subject->leaf = subject->issuer = NULL;
    subject->request = subject->answer = NULL;
}

static void on_timer(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct subject *subject = timer->data;
    if (is_outdated(subject)) {
        stapling_look(subject->all);
        return;
    }
    subject->answer_n = 0;
    subject->is_too_large = false;
    subject->answer = malloc(OCSP_MAX_BYTES);
    if (subject->answer != NULL && curl_loop_start(subject->all->curl, &subject->transfer) == 0)
        return;
    free(subject->answer);
    subject->answer = NULL;
    fail(subject, "no memory");
}

/* False when memory is out. */
static bool prepare(struct subject *subject, const struct certificate *certificate)
{
    CURL *easy = subject->transfer.easy;
    X509 *issuer = ocsp_issuer(certificate->leaf, certificate->chain);
    char *url = ocsp_responder(certificate->leaf);
    size_t n = ocsp_request(certificate->leaf, issuer, &subject->request);
    bool is_done = url != NULL && n > 0 && curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
                   curl_easy_setopt(easy, CURLOPT_POSTFIELDS, subject->request) == CURLE_OK &&
                   curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)n) == CURLE_OK;
    OPENSSL_free(url);
    (void)X509_up_ref(issuer);
    subject->issuer = issuer;
    return is_done;
}

static void take_certificate(struct subject *subject, const struct certificate *certificate)
{
    forget(subject);
    (void)X509_up_ref(certificate->leaf);
    subject->leaf = certificate->leaf;
    subject->backoff.n_failures = 0;
    if (ocsp_obstacle(certificate->leaf, certificate->chain) != NULL)
        return; /* was told when it was loaded */
    if (prepare(subject, certificate))
        wait_s(subject, 0);
    else
        forget(subject); /* until the next look */
}

void stapling_look(struct stapling *all)
{
    for (size_t i = 0; all != NULL && i < all->n; i++) {
        struct subject *subject = &all->subjects[i];
        if (is_outdated(subject))
            take_certificate(subject, certificate_of(subject));
    }
}

uint64_t stapling_failures(const struct stapling *all, size_t listener, size_t number)
{
    for (size_t i = 0; all != NULL && i < all->n; i++)
        if (all->subjects[i].listener == listener && all->subjects[i].number == number)
            return all->subjects[i].failures;
    return 0;
}

/* ---- start and stop */

static int set_up(struct subject *subject)
{
    CURL *easy = subject->transfer.easy = curl_easy_init();
    if (easy == NULL)
        return -ENOMEM;
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "quoit");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not even one from the environment */
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    /* Else stopping waits for a thread that still resolves a name. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, subject->all->fields);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, subject);
    return 0;
}

static int add_subject(struct stapling *all, size_t listener, size_t number)
{
    struct subject *subject = &all->subjects[all->n++];
    *subject = (struct subject){
        .all = all,
        .listener = listener,
        .number = number,
        .backoff = {.min_ms = MIN_WAIT_MS, .max_ms = MAX_WAIT_MS},
    };
    subject->transfer.done = on_done;
    subject->transfer.context = subject;
    ev_timer_init(&subject->timer, on_timer, 0, 0);
    subject->timer.data = subject;
    return set_up(subject);
}

static int add_listener(struct stapling *all, size_t listener)
{
    const struct conf_tls *tls = &all->conf->listeners[listener].tls;
    int rc = 0;
    for (size_t i = 0; tls->fetches_ocsp && rc == 0 && i < tls->n_certificates; i++)
        if (tls->certificates[i].ocsp_file == NULL)
            rc = add_subject(all, listener, i);
    return rc;
}

static int allocate(struct stapling *all)
{
    size_t n = 0;
    for (size_t i = 0; i < all->conf->n_listeners; i++)
        n += all->conf->listeners[i].tls.n_certificates;
    all->subjects = calloc(n + 1, sizeof *all->subjects);
    all->fields = curl_slist_append(NULL, "Content-Type: application/ocsp-request");
    if (all->subjects == NULL || all->fields == NULL)
        return -ENOMEM;
    return curl_loop_new(all->loop, &all->curl);
}

int stapling_start(struct ev_loop *loop, const struct conf *conf, struct inbound *const *inbound,
                   struct stapling **ret_stapling)
{
    struct stapling *all = calloc(1, sizeof *all);
    if (all == NULL)
        return -ENOMEM;
    *all = (struct stapling){.loop = loop, .conf = conf, .inbound = inbound};
    int rc = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? allocate(all) : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < conf->n_listeners; i++)
        rc = add_listener(all, i);
    if (rc != 0) {
        stapling_stop(all);
        return rc;
    }
    stapling_look(all);
    *ret_stapling = all;
    return 0;
}

void stapling_stop(struct stapling *all)
{
    if (all == NULL)
        return;
    for (size_t i = 0; i < all->n; i++) {
        forget(&all->subjects[i]);
        curl_easy_cleanup(all->subjects[i].transfer.easy);
    }
    curl_loop_free(all->curl);
    curl_slist_free_all(all->fields);
    free(all->subjects);
    free(all);
    curl_global_cleanup();
}
