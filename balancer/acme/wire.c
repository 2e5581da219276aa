#include "balancer/acme/wire.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/acme/answers.h"
#include "balancer/acme/jose.h"

#define CONNECT_TIMEOUT_MS 10000L
#define TOTAL_TIMEOUT_MS 60000L
/* How often a POST is sent again because of its nonce. */
#define MAX_NONCE_TRIES 12
#define NONCE_SIZE 256
#define ERROR_SIZE 256

enum phase { PHASE_GET, PHASE_NONCE, PHASE_POST };

struct wire {
    struct curl_loop *curl;
    const struct conf_acme *conf;
    wire_done_fn *done;
    void *context;
    struct curl_transfer transfer;
    struct curl_slist *fields; /* of a POST */
    EVP_PKEY *key;
    char account[ACME_URL_SIZE];
    char nonce_url[ACME_URL_SIZE];
    char nonce[NONCE_SIZE]; /* "": none */
    enum phase phase;
    unsigned n_tries;
    char *url, *payload, *message; /* of the POST; payload may be NULL */
    char *body;
    size_t body_n, body_max;
    bool is_too_large;
    char curl_error[CURL_ERROR_SIZE];
};

/* ---- what comes in */

/* libcurl's write callback: anything but n fails the transfer. */
static size_t on_body(char *data, size_t size, size_t n, void *context)
{
    (void)size; /* always 1 */
    struct wire *wire = context;
    if (n > ACME_MAX_ANSWER_BYTES - wire->body_n) {
        wire->is_too_large = true;
        return 0;
    }
    if (n > wire->body_max - wire->body_n) {
        size_t max = 2 * (wire->body_n + n);
        char *larger = realloc(wire->body, max);
        if (larger == NULL)
            return 0;
        wire->body = larger;
        wire->body_max = max;
    }
    memcpy(wire->body + wire->body_n, data, n);
    wire->body_n += n;
    return n;
}

static const char *field(const struct wire *wire, const char *name)
{
    struct curl_header *found;
    bool is_there =
        curl_easy_header(wire->transfer.easy, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK;
    return is_there ? found->value : "";
}

/* What is not base64url (RFC 8555 section 6.5.1) is no nonce. */
static void take_nonce(struct wire *wire)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *nonce = field(wire, "Replay-Nonce");
    size_t n = strlen(nonce);
    wire->nonce[0] = '\0';
    if (n < NONCE_SIZE && strspn(nonce, digits) == n)
        memcpy(wire->nonce, nonce, n + 1);
}

static void deliver(struct wire *wire, const char *error, long status)
{
    curl_off_t retry_after_s = 0;
    struct wire_reply reply = {.error = error,
                               .status = status,
                               .body = wire->body_n > 0 ? wire->body : "",
                               .body_n = wire->body_n,
                               .location = error == NULL ? field(wire, "Location") : "",
                               .retry_after_s = -1};
    if (error == NULL && field(wire, "Retry-After")[0] != '\0' &&
        curl_easy_getinfo(wire->transfer.easy, CURLINFO_RETRY_AFTER, &retry_after_s) == CURLE_OK)
        reply.retry_after_s = retry_after_s;
    wire->done(wire->context, &reply);
}

static const char *words_of(const struct wire *wire, CURLcode code)
{
    if (wire->is_too_large)
        return "the answer is too large";
    return wire->curl_error[0] != '\0' ? wire->curl_error : curl_easy_strerror(code);
}

static bool is_bad_nonce(const struct wire *wire, long status)
{
    struct acme_problem problem;
    if (status != 400 || wire->nonce[0] == '\0')
        return false;
    acme_read_problem(wire->body, wire->body_n, &problem);
    return acme_problem_is(&problem, "badNonce");
}

/* ---- what goes out */

static int start(struct wire *wire, enum phase phase)
{
    wire->phase = phase;
    wire->body_n = 0;
    wire->is_too_large = false;
    wire->curl_error[0] = '\0';
    return curl_loop_start(wire->curl, &wire->transfer);
}

static int ask_for_nonce(struct wire *wire)
{
    CURL *easy = wire->transfer.easy;
    curl_easy_setopt(easy, CURLOPT_URL, wire->nonce_url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    return start(wire, PHASE_NONCE);
}

static char *sign(struct wire *wire)
{
    json_t *head = json_pack("{s:s, s:s}", "nonce", wire->nonce, "url", wire->url);
    if (wire->account[0] != '\0')
        (void)json_object_set_new(head, "kid", json_string(wire->account));
    else
        (void)json_object_set_new(head, "jwk", jose_jwk(wire->key));
    char *message = jose_sign(wire->key, head, wire->payload);
    json_decref(head);
    return message;
}

static int send_post(struct wire *wire)
{
    CURL *easy = wire->transfer.easy;
    free(wire->message);
    wire->message = sign(wire);
    wire->nonce[0] = '\0'; /* good for one */
    if (wire->message == NULL)
        return -ENOMEM;
    curl_easy_setopt(easy, CURLOPT_URL, wire->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, wire->fields);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, wire->message);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(wire->message));
    return start(wire, PHASE_POST);
}

/* Goes on with a POST: with a nonce, or first for one. */
static void go_on(struct wire *wire)
{
    int rc = wire->nonce[0] != '\0' ? send_post(wire) : ask_for_nonce(wire);
    if (rc != 0)
        deliver(wire, "memory is out", 0);
}

static void on_done(struct curl_transfer *transfer, CURLcode code)
{
    struct wire *wire = transfer->context;
    long status = 0;
    if (code != CURLE_OK) {
        deliver(wire, words_of(wire, code), 0);
        return;
    }
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (wire->phase == PHASE_GET) {
        deliver(wire, NULL, status);
        return;
    }
    take_nonce(wire);
    bool is_nonce = wire->phase == PHASE_NONCE && status < 300 && wire->nonce[0] != '\0';
    bool is_again = wire->phase == PHASE_POST && is_bad_nonce(wire, status) &&
                    ++wire->n_tries < MAX_NONCE_TRIES;
    if (is_nonce || is_again)
        go_on(wire);
    else if (wire->phase == PHASE_NONCE && status < 300)
        deliver(wire, "the answer has no nonce", 0);
    else
        deliver(wire, NULL, status);
}

int wire_get(struct wire *wire, const char *url)
{
    CURL *easy = wire->transfer.easy;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    return start(wire, PHASE_GET);
}

int wire_post(struct wire *wire, const char *url, const char *payload)
{
    assert(!wire->transfer.running && wire->key != NULL && wire->nonce_url[0] != '\0');
    char *url_copy = strdup(url), *payload_copy = payload != NULL ? strdup(payload) : NULL;
    if (url_copy == NULL || (payload != NULL && payload_copy == NULL)) {
        free(url_copy);
        free(payload_copy);
        return -ENOMEM;
    }
    free(wire->url);
    free(wire->payload);
    wire->url = url_copy;
    wire->payload = payload_copy;
    wire->n_tries = 0;
    return wire->nonce[0] != '\0' ? send_post(wire) : ask_for_nonce(wire);
}

/* ---- the beginning and the end */

static void set_up(struct wire *wire)
{
    CURL *easy = wire->transfer.easy;
    bool is_secure = strncmp(wire->conf->directory, "https:", 6) == 0;
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "quoit/" QUOIT_VERSION);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, is_secure ? "https" : "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TOTAL_TIMEOUT_MS);
    /* Else stopping waits for a thread that still resolves a name. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, wire->curl_error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, wire);
    if (wire->conf->ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, wire->conf->ca_file);
}

int wire_new(struct curl_loop *curl, const struct conf_acme *conf, wire_done_fn *done,
             void *context, struct wire **ret_wire)
{
    struct wire *wire = calloc(1, sizeof *wire);
    if (wire == NULL)
        return -ENOMEM;
    wire->curl = curl;
    wire->conf = conf;
    wire->done = done;
    wire->context = context;
    wire->transfer =
        (struct curl_transfer){.easy = curl_easy_init(), .done = on_done, .context = wire};
    wire->fields = curl_slist_append(NULL, "Content-Type: application/jose+json");
    if (wire->transfer.easy == NULL || wire->fields == NULL) {
        wire_free(wire);
        return -ENOMEM;
    }
    set_up(wire);
    *ret_wire = wire;
    return 0;
}

void wire_free(struct wire *wire)
{
    if (wire == NULL)
        return;
    wire_stop(wire);
    curl_easy_cleanup(wire->transfer.easy);
    curl_slist_free_all(wire->fields);
    EVP_PKEY_free(wire->key);
    free(wire->url);
    free(wire->payload);
    free(wire->message);
    free(wire->body);
    free(wire);
}

void wire_stop(struct wire *wire)
{
    curl_loop_stop(wire->curl, &wire->transfer);
}

void wire_set_key(struct wire *wire, EVP_PKEY *key)
{
    (void)EVP_PKEY_up_ref(key);
    EVP_PKEY_free(wire->key);
    wire->key = key;
}

EVP_PKEY *wire_key(const struct wire *wire)
{
    return wire->key;
}

void wire_set_account(struct wire *wire, const char *url)
{
    (void)snprintf(wire->account, sizeof wire->account, "%s", url != NULL ? url : "");
}

const char *wire_account(const struct wire *wire)
{
    return wire->account[0] != '\0' ? wire->account : NULL;
}

void wire_set_nonce_url(struct wire *wire, const char *url)
{
    (void)snprintf(wire->nonce_url, sizeof wire->nonce_url, "%s", url);
}
