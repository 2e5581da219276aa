/*
 *   DIRECTORY ─► ADVICE
 *       │
 *       └─► ACCOUNT ─► ORDER ─┬─► AUTHORIZATION ─► CHALLENGE ─┐
 *         (if need be)        │        ▲ next name │          │
 *                             │        └───────────┴──────────┘
 *                             ├─► VALIDATION ◄─┐ until all names are valid
 *                             │       └────────┘
 *                             └─► POLL ─► FINALIZE ─► POLL ─► CERTIFICATE
 *
 * A step asks (ask) and takes the answer (take), which says what comes next. Errors of the
 * transport and of the authority are the same for all and end the errand.
 */
#include "balancer/acme/errand.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "balancer/acme/account.h"
#include "balancer/acme/jose.h"
#include "balancer/acme/store.h"
#include "balancer/acme/wire.h"
#include "balancer/tls/self_signed.h"

/* How long all of it may take, and how much more for each name. */
#define DEADLINE_S 300.0
#define DEADLINE_NAME_S 10.0
/* Between two looks at what the authority is at. */
#define FIRST_POLL_S 0.5
#define LAST_POLL_S 10.0
#define MAX_RETRY_AFTER_S 60

#define PATH_SIZE 4096

enum step {
    STEP_DIRECTORY,
    STEP_ADVICE,
    STEP_ACCOUNT,
    STEP_ORDER,
    STEP_AUTHORIZATION,
    STEP_CHALLENGE,
    STEP_VALIDATION,
    STEP_POLL,
    STEP_FINALIZE,
    STEP_CERTIFICATE,
};

struct errand {
    struct ev_loop *loop;
    const struct conf_acme *conf;
    struct challenges *challenges;
    struct errand_observer observer;
    struct wire *wire;
    struct ev_timer deadline, pause;

    const struct errand_wish *wish; /* NULL: nothing is under way */
    enum step step;
    double poll_s;
    bool has_made_account; /* or found it */
    bool replaces;         /* whether the order says which certificate it replaces */
    bool is_finalized;     /* the request has been sent */
    size_t index;          /* of the authorization */
    struct acme_directory directory;
    struct acme_order order;
    struct acme_authorization authorization;
    char order_url[ACME_URL_SIZE];
    char advice_url[ACME_URL_SIZE + ISSUED_ID_SIZE + 1];
    char account_file[PATH_SIZE];
    EVP_PKEY *key; /* of the certificate */
};

typedef void ask_fn(struct errand *errand);
typedef void take_fn(struct errand *errand, const struct wire_reply *reply);

static void go(struct errand *errand, enum step step);
static const char *url_of(const struct errand *errand);

/* ---- the end */

void errand_stop(struct errand *errand)
{
    ev_timer_stop(errand->loop, &errand->deadline);
    ev_timer_stop(errand->loop, &errand->pause);
    wire_stop(errand->wire);
    challenges_clear(errand->challenges);
    EVP_PKEY_free(errand->key);
    errand->key = NULL;
    errand->wish = NULL;
}

static void end(struct errand *errand, const struct errand_result *result)
{
    errand_stop(errand);
    errand->observer.done(errand->observer.context, result);
}

/* In words of ours. */
static void fail(struct errand *errand, enum errand_end how, const char *url, const char *text)
{
    struct errand_result result = {.end = how, .url = url, .retry_after_s = -1};
    (void)snprintf(result.problem.detail, sizeof result.problem.detail, "%s", text);
    end(errand, &result);
}

static void fail_here(struct errand *errand, const char *text)
{
    fail(errand, ERRAND_REFUSED, url_of(errand), text);
}

static void fail_problem(struct errand *errand, const struct acme_problem *problem,
                         int64_t retry_after_s)
{
    struct errand_result result = {.end = ERRAND_REFUSED,
                                   .url = url_of(errand),
                                   .problem = *problem,
                                   .retry_after_s = retry_after_s};
    if (problem->type[0] == '\0' && problem->detail[0] == '\0')
        (void)snprintf(result.problem.detail, sizeof result.problem.detail,
                       "the authority gives no reason");
    end(errand, &result);
}

static void fail_file(struct errand *errand, const char *file, int rc)
{
    char words[STORE_WORDS_SIZE];
    fail(errand, ERRAND_BROKEN, file, store_words(rc, words));
}

/* ---- asking */

static void post(struct errand *errand, const char *url, const char *payload)
{
    if (wire_post(errand->wire, url, payload) != 0)
        fail(errand, ERRAND_BROKEN, url, "memory is out, or OpenSSL cannot sign");
}

static void post_json(struct errand *errand, const char *url, json_t *payload)
{
    char *text = json_dumps(payload, JSON_COMPACT);
    json_decref(payload);
    post(errand, url, text);
    free(text);
}

static void get(struct errand *errand, const char *url)
{
    if (wire_get(errand->wire, url) != 0)
        fail(errand, ERRAND_BROKEN, url, "memory is out");
}

/* Asks again after a while: as the authority says, else later and later. */
static void ask_later(struct errand *errand, const struct wire_reply *reply, enum step step)
{
    double wait_s = errand->poll_s;
    errand->poll_s = errand->poll_s < LAST_POLL_S / 1.5 ? errand->poll_s * 1.5 : LAST_POLL_S;
    if (reply->retry_after_s >= 0)
        wait_s = (double)(reply->retry_after_s < MAX_RETRY_AFTER_S ? reply->retry_after_s
                                                                   : MAX_RETRY_AFTER_S);
    if (wait_s < FIRST_POLL_S)
        wait_s = FIRST_POLL_S;
    errand->step = step;
    ev_timer_set(&errand->pause, wait_s, 0);
    ev_timer_start(errand->loop, &errand->pause);
}

/* ---- the directory, and advice */

static void ask_directory(struct errand *errand)
{
    get(errand, errand->conf->directory);
}

static void take_directory(struct errand *errand, const struct wire_reply *reply)
{
    const char *why;
    if (acme_read_directory(reply->body, reply->body_n, &errand->directory, &why) != 0) {
        fail_here(errand, why);
        return;
    }
    wire_set_nonce_url(errand->wire, errand->directory.new_nonce);
    if (errand->directory.renewal_info[0] == '\0')
        errand->replaces = false;
    if (errand->wish->kind == ERRAND_ADVICE)
        go(errand, STEP_ADVICE);
    else
        go(errand, wire_account(errand->wire) != NULL ? STEP_ORDER : STEP_ACCOUNT);
}

static void ask_advice(struct errand *errand)
{
    const char *base = errand->directory.renewal_info;
    size_t n = strlen(base);
    if (n == 0) {
        end(errand, &(struct errand_result){.end = ERRAND_DONE, .retry_after_s = -1});
        return;
    }
    (void)snprintf(errand->advice_url, sizeof errand->advice_url, "%s%s%s", base,
                   base[n - 1] == '/' ? "" : "/", errand->wish->old_id);
    get(errand, errand->advice_url);
}

static void take_advice(struct errand *errand, const struct wire_reply *reply)
{
    struct errand_result result = {
        .end = ERRAND_DONE, .retry_after_s = reply->retry_after_s, .has_window = true};
    const char *why;
    if (acme_read_window(reply->body, reply->body_n, &result.window, &why) != 0)
        fail_here(errand, why);
    else
        end(errand, &result);
}

/* ---- the account */

static void ask_account(struct errand *errand)
{
    const struct conf_acme *conf = errand->conf;
    const char *url = errand->directory.new_account;
    EVP_PKEY *key;
    json_t *payload;
    if (errand->directory.needs_binding && conf->eab_kid == NULL) {
        fail(errand, ERRAND_BROKEN, conf->directory,
             "the authority wants the account bound to one that it knows: acme.eab is missing");
        return;
    }
    int rc = account_key(conf->folder, errand->account_file, &key);
    if (rc != 0) {
        fail_file(errand, errand->account_file, rc);
        return;
    }
    wire_set_key(errand->wire, key);
    EVP_PKEY_free(key);
    rc = account_request(conf, wire_key(errand->wire), url, &payload);
    if (rc != 0)
        fail_file(errand, conf->eab_key_file != NULL ? conf->eab_key_file : "acme.eab.key", rc);
    else
        post_json(errand, url, payload);
}

static void take_account(struct errand *errand, const struct wire_reply *reply)
{
    if (!acme_is_url(reply->location)) {
        fail_here(errand, "the account has no URL");
        return;
    }
    errand->has_made_account = true;
    wire_set_account(errand->wire, reply->location);
    errand->observer.account(errand->observer.context, reply->location, reply->status == 201);
    go(errand, STEP_ORDER);
}

/* ---- the order */

static void ask_order(struct errand *errand)
{
    const struct errand_wish *wish = errand->wish;
    json_t *names = json_array();
    for (size_t i = 0; i < wish->n_names; i++)
        (void)json_array_append_new(
            names, json_pack("{s:s, s:s}", "type", "dns", "value", wish->names[i]));
    json_t *payload = json_pack("{s:o}", "identifiers", names);
    if (errand->replaces)
        (void)json_object_set_new(payload, "replaces", json_string(wish->old_id));
    post_json(errand, errand->directory.new_order, payload);
}

static void take_order_state(struct errand *errand, const struct wire_reply *reply)
{
    struct acme_order *order = &errand->order;
    switch (order->status) {
    case ACME_READY:
        if (errand->is_finalized)
            ask_later(errand, reply, STEP_POLL);
        else
            go(errand, STEP_FINALIZE);
        break;
    case ACME_VALID:
        if (order->certificate[0] != '\0' && errand->is_finalized)
            go(errand, STEP_CERTIFICATE);
        else
            fail_here(errand, "the order is valid, but not by our request");
        break;
    case ACME_INVALID:
        fail_problem(errand, &order->problem, reply->retry_after_s);
        break;
    default:
        ask_later(errand, reply, STEP_POLL);
    }
}

static bool read_order(struct errand *errand, const struct wire_reply *reply)
{
    const char *why;
    if (acme_read_order(reply->body, reply->body_n, &errand->order, &why) == 0)
        return true;
    fail_here(errand, why);
    return false;
}

static void take_order(struct errand *errand, const struct wire_reply *reply)
{
    if (!acme_is_url(reply->location)) {
        fail_here(errand, "the order has no URL");
        return;
    }
    (void)snprintf(errand->order_url, sizeof errand->order_url, "%s", reply->location);
    if (!read_order(errand, reply))
        return;
    errand->observer.order(errand->observer.context, errand->order_url);
    if (errand->order.status == ACME_PENDING)
        go(errand, STEP_AUTHORIZATION);
    else
        take_order_state(errand, reply);
}

static void ask_poll(struct errand *errand)
{
    post(errand, errand->order_url, NULL);
}

static void take_poll(struct errand *errand, const struct wire_reply *reply)
{
    if (read_order(errand, reply))
        take_order_state(errand, reply);
}

/* ---- names */

static const char *challenge_type(const struct conf_acme *conf)
{
    return conf->challenge == CONF_ACME_HTTP_01 ? "http-01" : "tls-alpn-01";
}

static void ask_authorization(struct errand *errand)
{
    post(errand, errand->order.authorizations[errand->index], NULL);
}

static bool read_authorization(struct errand *errand, const struct wire_reply *reply)
{
    const char *why;
    if (acme_read_authorization(reply->body, reply->body_n, challenge_type(errand->conf),
                                &errand->authorization, &why) == 0)
        return true;
    fail_here(errand, why);
    return false;
}

/* Goes on with the next name; after the last one of them from the first, with `after`. */
static void next_name(struct errand *errand, enum step same, enum step after)
{
    bool is_last = ++errand->index == errand->order.n_authorizations;
    if (is_last)
        errand->index = 0;
    go(errand, is_last ? after : same);
}

static void answer_challenge(struct errand *errand)
{
    const struct acme_authorization *authorization = &errand->authorization;
    char thumbprint[JOSE_THUMBPRINT_SIZE], answer[CHALLENGES_ANSWER_SIZE];
    if (jose_thumbprint(wire_key(errand->wire), thumbprint) != 0) {
        fail_file(errand, errand->account_file, -EBADMSG);
        return;
    }
    (void)snprintf(answer, sizeof answer, "%s.%s", authorization->token, thumbprint);
    int rc = errand->conf->challenge == CONF_ACME_HTTP_01
                 ? challenges_add_token(errand->challenges, authorization->token, answer)
                 : challenges_add_name(errand->challenges, authorization->name, answer);
    if (rc != 0)
        fail(errand, ERRAND_BROKEN, url_of(errand), "the challenge cannot be answered");
    else
        go(errand, STEP_CHALLENGE);
}

/* Nothing is proven that was not asked for. */
static bool is_wanted(const struct errand_wish *wish, const char *name)
{
    for (size_t i = 0; i < wish->n_names; i++)
        if (strcasecmp(wish->names[i], name) == 0)
            return true;
    return false;
}

static void take_authorization(struct errand *errand, const struct wire_reply *reply)
{
    const struct acme_authorization *authorization = &errand->authorization;
    if (!read_authorization(errand, reply))
        return;
    if (authorization->status == ACME_VALID)
        next_name(errand, STEP_AUTHORIZATION, STEP_VALIDATION);
    else if (authorization->status != ACME_PENDING)
        fail_problem(errand, &authorization->problem, reply->retry_after_s);
    else if (!is_wanted(errand->wish, authorization->name))
        fail_here(errand, "the authority asks about a name that was not ordered");
    else if (authorization->url[0] == '\0')
        fail_here(errand, "the authority does not offer the configured challenge");
    else
        answer_challenge(errand);
}

static void ask_challenge(struct errand *errand)
{
    post(errand, errand->authorization.url, "{}");
}

static void take_challenge(struct errand *errand, const struct wire_reply *reply)
{
    (void)reply;
    next_name(errand, STEP_AUTHORIZATION, STEP_VALIDATION);
}

static void take_validation(struct errand *errand, const struct wire_reply *reply)
{
    const struct acme_authorization *authorization = &errand->authorization;
    if (!read_authorization(errand, reply))
        return;
    if (authorization->status == ACME_VALID)
        next_name(errand, STEP_VALIDATION, STEP_POLL);
    else if (authorization->status == ACME_INVALID)
        fail_problem(errand, &authorization->problem, reply->retry_after_s);
    else
        ask_later(errand, reply, STEP_VALIDATION);
}

/* ---- the certificate */

static void ask_finalize(struct errand *errand)
{
    bool is_rsa = errand->conf->key_type == CONF_ACME_RSA;
    errand->key = self_signed_key(is_rsa ? SELF_SIGNED_RSA : SELF_SIGNED_ECDSA);
    char *request = errand->key != NULL
                        ? issued_request(errand->key, errand->wish->names, errand->wish->n_names)
                        : NULL;
    if (request == NULL) {
        fail(errand, ERRAND_BROKEN, url_of(errand), "OpenSSL makes no request");
        return;
    }
    post_json(errand, errand->order.finalize, json_pack("{s:s}", "csr", request));
    free(request);
}

static void take_finalize(struct errand *errand, const struct wire_reply *reply)
{
    errand->is_finalized = true;
    errand->poll_s = FIRST_POLL_S;
    take_poll(errand, reply);
}

static void ask_certificate(struct errand *errand)
{
    post(errand, errand->order.certificate, NULL);
}

static void take_certificate(struct errand *errand, const struct wire_reply *reply)
{
    const struct errand_wish *wish = errand->wish;
    const char *why = "memory is out";
    struct errand_result result = {
        .end = ERRAND_DONE, .url = errand->order.certificate, .retry_after_s = -1};
    char *pem = issued_join(reply->body, reply->body_n, errand->key, &result.pem_n);
    result.pem = pem;
    if (pem == NULL || issued_read(pem, result.pem_n, wish->names, wish->n_names,
                                   (int64_t)time(NULL), &result.issued, &why) != 0)
        fail_here(errand, why);
    else
        end(errand, &result);
    if (pem != NULL)
        explicit_bzero(pem, result.pem_n);
    free(pem);
}

/* ---- steps */

static const struct {
    ask_fn *ask;
    take_fn *take;
} steps[] = {
    [STEP_DIRECTORY] = {ask_directory, take_directory},
    [STEP_ADVICE] = {ask_advice, take_advice},
    [STEP_ACCOUNT] = {ask_account, take_account},
    [STEP_ORDER] = {ask_order, take_order},
    [STEP_AUTHORIZATION] = {ask_authorization, take_authorization},
    [STEP_CHALLENGE] = {ask_challenge, take_challenge},
    [STEP_VALIDATION] = {ask_authorization, take_validation},
    [STEP_POLL] = {ask_poll, take_poll},
    [STEP_FINALIZE] = {ask_finalize, take_finalize},
    [STEP_CERTIFICATE] = {ask_certificate, take_certificate},
};

static const char *url_of(const struct errand *errand)
{
    switch (errand->step) {
    case STEP_DIRECTORY:
        return errand->conf->directory;
    case STEP_ADVICE:
        return errand->advice_url;
    case STEP_ACCOUNT:
        return errand->directory.new_account;
    case STEP_ORDER:
        return errand->directory.new_order;
    case STEP_AUTHORIZATION:
    case STEP_VALIDATION:
        return errand->order.authorizations[errand->index];
    case STEP_CHALLENGE:
        return errand->authorization.url;
    case STEP_FINALIZE:
        return errand->order.finalize;
    case STEP_CERTIFICATE:
        return errand->order.certificate;
    default:
        return errand->order_url;
    }
}

static void go(struct errand *errand, enum step step)
{
    errand->step = step;
    steps[step].ask(errand);
}

/* Goes on without what the authority does not like; false: that is no way. Once an errand. */
static bool gives_in(struct errand *errand, const struct acme_problem *problem)
{
    bool is_unknown = acme_problem_is(problem, "accountDoesNotExist");
    if (is_unknown)
        wire_set_account(errand->wire, NULL);
    if (errand->step != STEP_ORDER)
        return false;
    if (is_unknown && !errand->has_made_account) {
        go(errand, STEP_ACCOUNT);
        return true;
    }
    if (errand->replaces &&
        (acme_problem_is(problem, "alreadyReplaced") || acme_problem_is(problem, "malformed"))) {
        errand->replaces = false;
        go(errand, STEP_ORDER);
        return true;
    }
    return false;
}

static void take_refusal(struct errand *errand, const struct wire_reply *reply)
{
    struct acme_problem problem;
    acme_read_problem(reply->body, reply->body_n, &problem);
    if (gives_in(errand, &problem))
        return;
    if (problem.type[0] == '\0')
        (void)snprintf(problem.type, sizeof problem.type, "HTTP status %ld", reply->status);
    struct errand_result result = {.end = reply->status >= 500 ? ERRAND_UNREACHED : ERRAND_REFUSED,
                                   .url = url_of(errand),
                                   .problem = problem,
                                   .retry_after_s = reply->retry_after_s};
    end(errand, &result);
}

static void on_reply(void *context, const struct wire_reply *reply)
{
    struct errand *errand = context;
    if (reply->error != NULL)
        fail(errand, ERRAND_UNREACHED, url_of(errand), reply->error);
    else if (reply->status < 200 || reply->status > 299)
        take_refusal(errand, reply);
    else
        steps[errand->step].take(errand, reply);
}

static void on_pause_over(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct errand *errand = timer->data;
    go(errand, errand->step);
}

static void on_deadline(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct errand *errand = timer->data;
    fail_here(errand, "the authority took too long");
}

int errand_new(struct ev_loop *loop, struct curl_loop *curl, const struct conf_acme *conf,
               struct challenges *challenges, const struct errand_observer *observer,
               struct errand **ret_errand)
{
    struct errand *errand = calloc(1, sizeof *errand);
    if (errand == NULL || wire_new(curl, conf, on_reply, errand, &errand->wire) != 0) {
        free(errand);
        return -ENOMEM;
    }
    errand->loop = loop;
    errand->conf = conf;
    errand->challenges = challenges;
    errand->observer = *observer;
    (void)snprintf(errand->account_file, sizeof errand->account_file, "%s/account.key",
                   conf->folder);
    ev_timer_init(&errand->deadline, on_deadline, 0, 0);
    errand->deadline.data = errand;
    ev_timer_init(&errand->pause, on_pause_over, 0, 0);
    errand->pause.data = errand;
    *ret_errand = errand;
    return 0;
}

void errand_free(struct errand *errand)
{
    if (errand == NULL)
        return;
    errand_stop(errand);
    wire_free(errand->wire);
    free(errand);
}

void errand_begin(struct errand *errand, const struct errand_wish *wish)
{
    assert(errand->wish == NULL);
    errand->wish = wish;
    errand->poll_s = FIRST_POLL_S;
    errand->replaces = wish->kind == ERRAND_CERTIFICATE && wish->old_id[0] != '\0';
    errand->has_made_account = false;
    errand->is_finalized = false;
    errand->index = 0;
    ev_now_update(errand->loop);
    ev_timer_set(&errand->deadline, DEADLINE_S + DEADLINE_NAME_S * (double)wish->n_names, 0);
    ev_timer_start(errand->loop, &errand->deadline);
    errand->step = STEP_DIRECTORY;
    ev_timer_set(&errand->pause, 0, 0);
    ev_timer_start(errand->loop, &errand->pause);
}
