#include "discovery/query.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/consul_answer.h"
#include "discovery/token.h"

enum {
    BLOCKING_SLACK_MS = 5000, /* to send an answer that was long in coming */
    AT_ONCE_SLACK_MS = 10000, /* to compute and send one that need not wait */
    KEEPALIVE_IDLE_S = 15,    /* a dead path shows while a query blocks */
    KEEPALIVE_INTERVAL_S = 5,
    MAX_ERROR = 256,
    MAX_QUOTE = 120, /* of an error's body */
};

static const char user_agent[] = "quoit";

struct body {
    char *data;
    size_t n, capacity;
    bool too_large;
};

struct query {
    struct curl_loop *curl;
    const struct conf_consul *consul;
    query_done_fn *done;
    void *context;
    const char *meta_key; /* the question's */
    struct curl_transfer transfer;
    struct curl_slist *fields;
    struct body body;
    char token[TOKEN_MAX];
    char curl_error[CURL_ERROR_SIZE];
    char error[MAX_ERROR];
};

static void body_reset(struct body *body)
{
    free(body->data);
    *body = (struct body){.data = NULL};
}

/* libcurl's write callback: anything but n fails the transfer. */
static size_t on_body(char *data, size_t size, size_t n, void *context)
{
    (void)size; /* always 1 */
    struct body *body = context;
    if (n > CONSUL_ANSWER_MAX_BYTES - body->n) {
        body->too_large = true;
        return 0;
    }
    if (n > body->capacity - body->n) {
        size_t capacity = 2 * (body->n + n);
        char *larger = realloc(body->data, capacity);
        if (larger == NULL)
            return 0;
        body->data = larger;
        body->capacity = capacity;
    }
    memcpy(body->data + body->n, data, n);
    body->n += n;
    return n;
}

static void set_tls(CURL *easy, const struct conf_consul *consul)
{
    if (consul->ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, consul->ca_file);
    if (consul->cert_file != NULL)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, consul->cert_file);
    if (consul->key_file != NULL)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, consul->key_file);
}

/* What stays the same for all queries. */
static void set_up(struct query *query)
{
    CURL *easy = query->transfer.easy;
    curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not even one from the environment */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)query->consul->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_INTERVAL_S);
    /* Else stopping waits for a thread that still resolves a name. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, query->curl_error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &query->body);
    set_tls(easy, query->consul);
}

static void read_head(CURL *easy, struct consul_head *ret_head)
{
    const char *values[CONSUL_N_FIELDS] = {NULL};
    for (size_t i = 0; i < CONSUL_N_FIELDS; i++) {
        struct curl_header *field;
        if (curl_easy_header(easy, consul_head_fields[i], 0, CURLH_HEADER, -1, &field) == CURLHE_OK)
            values[i] = field->value;
    }
    consul_head_read(values, ret_head);
}

static void judge_transfer(struct query *query, CURLcode code, struct query_result *result)
{
    result->outcome = QUERY_FAILED;
    if (query->body.too_large)
        snprintf(query->error, sizeof query->error, "the answer is larger than %lu MiB",
                 CONSUL_ANSWER_MAX_BYTES >> 20);
    else if (query->curl_error[0] != '\0')
        snprintf(query->error, sizeof query->error, "%.*s", MAX_ERROR - 1, query->curl_error);
    else
        snprintf(query->error, sizeof query->error, "%s", curl_easy_strerror(code));
}

/* Consul puts its reason in the body: the first line of it, made safe for a log. */
static void judge_status(struct query *query, long status, struct query_result *result)
{
    switch (status) {
    case 400:
        result->outcome = QUERY_MISTAKEN;
        break;
    case 403:
        result->outcome = QUERY_DENIED;
        break;
    case 429:
        result->outcome = QUERY_LIMITED;
        break;
    case 503:
        result->outcome = QUERY_OVERLOADED;
        break;
    default:
        result->outcome = QUERY_FAILED;
    }
    char quote[MAX_QUOTE + 1];
    size_t n = 0;
    for (; n < MAX_QUOTE && n < query->body.n && query->body.data[n] != '\n'; n++) {
        char c = query->body.data[n];
        quote[n] = c;
        if (c < ' ' || c > '~')
            quote[n] = '?';
    }
    quote[n] = '\0';
    snprintf(query->error, sizeof query->error, "HTTP %ld%s%s", status, n > 0 ? ": " : "", quote);
}

static void judge_answer(struct query *query, struct query_result *result)
{
    const char *why = "";
    result->outcome = QUERY_FAILED;
    if (consul_answer_parse(query->body.data, query->body.n, query->meta_key, &result->set, &why) !=
        0) {
        snprintf(query->error, sizeof query->error, "%s", why);
        return;
    }
    result->outcome = QUERY_GOOD;
    read_head(query->transfer.easy, &result->head);
    result->set->index = result->head.index;
}

static void on_done(struct curl_transfer *transfer, CURLcode code)
{
    struct query *query = transfer->context;
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    struct query_result result = {.error = query->error};
    if (code != CURLE_OK)
        judge_transfer(query, code, &result);
    else if (status != 200)
        judge_status(query, status, &result);
    else
        judge_answer(query, &result);
    body_reset(&query->body);
    query->done(query->context, &result);
}

int query_new(struct curl_loop *curl, const struct conf_consul *consul, query_done_fn *done,
              void *context, struct query **ret_query)
{
    struct query *query = calloc(1, sizeof *query);
    if (query == NULL)
        return -ENOMEM;
    *query = (struct query){.curl = curl, .consul = consul, .done = done, .context = context};
    query->transfer = (struct curl_transfer){.done = on_done, .context = query};
    query->transfer.easy = curl_easy_init();
    if (query->transfer.easy == NULL) {
        free(query);
        return -ENOMEM;
    }
    set_up(query);
    *ret_query = query;
    return 0;
}

void query_free(struct query *query)
{
    if (query == NULL)
        return;
    curl_loop_stop(query->curl, &query->transfer);
    curl_easy_cleanup(query->transfer.easy);
    curl_slist_free_all(query->fields);
    body_reset(&query->body);
    explicit_bzero(query->token, sizeof query->token);
    free(query);
}

/* A token file that cannot be read just now (it is being replaced) leaves the token as it was. */
static int update_token(struct query *query)
{
    int error = token_read(query->consul, query->token);
    if (error != 0 && query->token[0] == '\0')
        return error;
    curl_slist_free_all(query->fields);
    query->fields = NULL;
    if (query->token[0] != '\0') {
        char field[TOKEN_MAX + 32];
        snprintf(field, sizeof field, "X-Consul-Token: %s", query->token);
        query->fields = curl_slist_append(NULL, field);
        explicit_bzero(field, sizeof field);
        if (query->fields == NULL)
            return -ENOMEM;
    }
    curl_easy_setopt(query->transfer.easy, CURLOPT_HTTPHEADER, query->fields);
    return 0;
}

static long deadline_ms(const struct query *query, const struct consul_query *question)
{
    long connect_ms = query->consul->connect_timeout_ms;
    if (question->index == 0)
        return connect_ms + AT_ONCE_SLACK_MS;
    return (long)question->wait_ms + question->wait_ms / 16 + connect_ms + BLOCKING_SLACK_MS;
}

int query_start(struct query *query, const char *base, const struct consul_query *question)
{
    assert(!query->transfer.running);
    CURL *easy = query->transfer.easy;
    int error = update_token(query);
    if (error != 0)
        return error;
    char *url = consul_url_build(base, question);
    if (url == NULL)
        return -ENOMEM;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, url);
    free(url);
    if (code != CURLE_OK)
        return -ENOMEM;
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, deadline_ms(query, question));
    query->curl_error[0] = '\0';
    query->meta_key = question->meta_key;
    body_reset(&query->body);
    return curl_loop_start(query->curl, &query->transfer);
}

bool query_has_new_token(const struct query *query)
{
    char token[TOKEN_MAX];
    bool is_new = token_read(query->consul, token) == 0 && strcmp(token, query->token) != 0;
    explicit_bzero(token, sizeof token);
    return is_new;
}
