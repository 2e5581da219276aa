#include "balancer/explain/explain.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "balancer/explain/bytes.h"
#include "balancer/explain/describe.h"
#include "balancer/explain/key_words.h"
#include "balancer/explain/why.h"
#include "balancer/http/cidr.h"
#include "balancer/http/cookie.h"
#include "balancer/http/key.h"
#include "balancer/http/path.h"
#include "balancer/policy/policy.h"
#include "balancer/policy/sticky.h"

/* Candidates that are listed; a pick looks at more only where nearly all are unusable. */
#define MAX_LISTED 1000u

#define NAME_BYTES 96

/* One explanation in the making. */
struct asking {
    const struct explain_source *source;
    const struct explain_question *question;
    json_t *answer;
    struct span client;
    char client_text[INET6_ADDRSTRLEN];
    struct h1_request head; /* of question->request, if there is one */
    struct h1_field fields[H1_MAX_FIELDS];
    struct pool *pool;
    const struct conf_route *route; /* NULL: the question named the pool */
    struct snapshot *snapshot;
    struct span key;
    struct key_room room;
    struct key_body body;
    const struct conf_key *key_conf; /* where the key comes from; NULL: the question */
    struct pick pick;
    struct pick_trace trace;
};

static json_t *text(const char *string)
{
    return bytes_to_json(span_of(string), NULL);
}

static void put(struct asking *asking, const char *name, json_t *value)
{
    json_object_set_new(asking->answer, name, value);
}

static enum explain_outcome refuse(struct asking *asking, enum explain_outcome outcome,
                                   const char *format, ...) __attribute__((format(printf, 3, 4)));

static enum explain_outcome refuse(struct asking *asking, enum explain_outcome outcome,
                                   const char *format, ...)
{
    char error[WHY_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, sizeof error, format, arguments);
    va_end(arguments);
    json_object_clear(asking->answer);
    put(asking, "error", text(error));
    return outcome;
}

static void conclude(struct asking *asking, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void conclude(struct asking *asking, const char *format, ...)
{
    char why[WHY_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    put(asking, "why", text(why));
}

/* ---- the request and its pool ---- */

/* The peer's address in its canonical form, as keys have it. */
static enum explain_outcome read_client(struct asking *asking)
{
    struct ip ip;
    char shown[NAME_BYTES];
    if (asking->question->client.n == 0)
        return EXPLAIN_DONE;
    if (!ip_parse(asking->question->client, &ip)) {
        bytes_print(asking->question->client, shown, sizeof shown);
        return refuse(asking, EXPLAIN_MISTAKEN, "the client %s is no IP address", shown);
    }
    asking->client =
        (struct span){(uint8_t *)asking->client_text, ip_print(&ip, asking->client_text)};
    return EXPLAIN_DONE;
}

static struct span part(const struct asking *asking, struct h1_range range)
{
    return (struct span){asking->question->request.p + range.at, range.n};
}

static enum explain_outcome read_request(struct asking *asking)
{
    const struct conf_client *client = &asking->source->conf->client;
    const struct h1_limits limits = {.head_bytes = client->max_head_bytes,
                                     .target_bytes = client->max_target_bytes,
                                     .fields = client->max_fields};
    struct span request = asking->question->request;
    h1_request_init(&asking->head, asking->fields);
    if (request.n == 0)
        return EXPLAIN_DONE;
    switch (h1_request_parse(&asking->head, &limits, request.p, request.n)) {
    case H1_DONE:
        put(asking, "request",
            json_pack("{s:o, s:o, s:o}", "method",
                      bytes_to_json(part(asking, asking->head.method_text), NULL), "target",
                      bytes_to_json(part(asking, asking->head.target), NULL), "authority",
                      bytes_to_json(part(asking, asking->head.authority), NULL)));
        return EXPLAIN_DONE;
    case H1_ERROR:
        return refuse(asking, EXPLAIN_MISTAKEN,
                      "the request is no valid HTTP/1.1: quoit answers %u (%s)",
                      reason_status(asking->head.reason), reason_word(asking->head.reason));
    default:
        return refuse(asking, EXPLAIN_MISTAKEN, "the request's head does not end");
    }
}

struct pool *explain_find_pool(const struct explain_source *source, struct span name)
{
    for (size_t i = 0; i < source->conf->n_pools; i++) {
        if (span_equal(name, span_of(source->conf->pools[i].name)))
            return &source->pools[i];
    }
    return NULL;
}

static enum explain_outcome find_named_pool(struct asking *asking)
{
    char name[NAME_BYTES];
    asking->pool = explain_find_pool(asking->source, asking->question->pool);
    if (asking->pool != NULL)
        return EXPLAIN_DONE;
    bytes_print(asking->question->pool, name, sizeof name);
    return refuse(asking, EXPLAIN_UNKNOWN, "there is no pool %s", name);
}

/* By the path's normal form, as the data path looks it up. */
static const struct conf_route *look_up_route(const struct asking *asking)
{
    struct span authority = part(asking, asking->head.authority);
    struct span path = part(asking, asking->head.path);
    if (path.n == 0 || path.p[0] != '/')
        return route_find(asking->source->routes, authority, path);
    uint8_t *room = malloc(path.n);
    if (room == NULL)
        abort();
    struct span normal = {room, path_normalize(path, room)};
    const struct conf_route *route = route_find(asking->source->routes, authority, normal);
    free(room);
    return route;
}

static enum explain_outcome find_routed_pool(struct asking *asking)
{
    asking->route = look_up_route(asking);
    if (asking->route == NULL) {
        conclude(asking, "no route matches its host and path: quoit answers %u (%s)",
                 reason_status(REASON_NO_ROUTE), reason_word(REASON_NO_ROUTE));
        return EXPLAIN_DONE;
    }
    asking->pool = &asking->source->pools[asking->route->pool];
    return EXPLAIN_DONE;
}

static enum explain_outcome find_pool(struct asking *asking)
{
    if (asking->question->pool.n > 0)
        return find_named_pool(asking);
    if (asking->question->request.n > 0)
        return find_routed_pool(asking);
    if (asking->source->conf->n_pools != 1)
        return refuse(asking, EXPLAIN_MISTAKEN,
                      "a key alone does not say which pool; name one, or give a request");
    asking->pool = &asking->source->pools[0];
    return EXPLAIN_DONE;
}

/* ---- the key ---- */

/* What is known of the body, which stands behind the head, for the fields of it that are keys. */
static void read_body(struct asking *asking, const struct conf_key *conf)
{
    struct span request = asking->question->request;
    struct span body = {request.p + asking->head.head_n, request.n - asking->head.head_n};
    uint32_t max = asking->pool->conf->key_body_bytes;
    bool is_cut = body.n > max;
    key_body_begin(&asking->body, conf, &asking->head, request.p);
    key_body_feed(&asking->body, (struct span){body.p, is_cut ? max : body.n});
    if (is_cut)
        key_body_give_up(&asking->body);
    else
        key_body_end(&asking->body);
}

/* The one place that knows how keys are taken out of requests. */
static bool extract_key(struct asking *asking, const struct conf_key *conf)
{
    const struct explain_question *question = asking->question;
    if (question->request.n == 0)
        return false;
    if (conf->n_body_fields > 0)
        read_body(asking, conf);
    const struct key_input input = {
        .request = &asking->head,
        .message = question->request.p,
        .peer = asking->client,
        .trust = &asking->source->conf->client,
        .body = conf->n_body_fields > 0 ? &asking->body : NULL,
    };
    if (!key_extract(conf, &input, &asking->room, &asking->key))
        return false;
    asking->key_conf = conf;
    return true;
}

static bool find_key(struct asking *asking)
{
    const struct conf_pool *conf = asking->pool->conf;
    if (!policy_for(conf->algorithm)->uses_key)
        return false;
    asking->key = asking->question->key;
    return asking->key.n > 0 || extract_key(asking, &conf->key) ||
           extract_key(asking, &conf->key_fallback);
}

static json_t *key_source(const struct conf_key *key)
{
    char *words = key_words(key);
    json_t *json = words != NULL ? text(words) : json_null();
    free(words);
    return json;
}

static void put_key(struct asking *asking)
{
    const struct conf_pool *conf = asking->pool->conf;
    json_t *json = describe_key(asking->key, false);
    const struct conf_key *key = asking->key_conf;
    json_object_set_new(json, "from",
                        json_string(key == NULL         ? "given"
                                    : key == &conf->key ? "hash_key"
                                                        : "hash_key_fallback"));
    json_object_set_new(json, "source", key != NULL ? key_source(key) : json_null());
    put(asking, "key", json);
    put(asking, "hash", hash_to_json(asking->pick.hash));
    if (asking->snapshot->ring == NULL)
        return;
    uint32_t n_slots;
    uint32_t slot = ring_slot(asking->snapshot->ring, asking->pick.hash, &n_slots);
    put(asking, "slot", slot != RING_NONE ? json_integer(slot) : json_null());
    put(asking, "slots", json_integer(n_slots));
    put(asking, "key_share", json_real(asking->pick.key_share));
}

/* ---- the session ---- */

/* Asks the pool's cookies in one field until one of them names a member. */
static enum sticky_result ask_cookies(const struct asking *asking, struct span field,
                                      const struct member **ret_member)
{
    struct span name = span_of(asking->pool->conf->sticky.name);
    struct cookie_pair pair;
    enum sticky_result result = STICKY_MISS;
    while (*ret_member == NULL && cookie_next(&field, &pair)) {
        if (span_equal(pair.name, name))
            result = sticky_resolve(&asking->pick, pair.value, ret_member);
    }
    return result;
}

/* The member that the request's session is at, if it may go there; else NULL. */
static const struct member *find_session(struct asking *asking)
{
    const struct conf_sticky *conf = &asking->pool->conf->sticky;
    const struct h1_lines *lines = &asking->head.lines;
    const struct member *member = NULL;
    enum sticky_result result = STICKY_MISS;
    if (conf->name == NULL)
        return NULL;
    for (uint32_t i = 0; i < lines->n_fields && member == NULL; i++) {
        struct span value = h1_field_value(&lines->fields[i], asking->question->request.p);
        enum sticky_result now =
            lines->fields[i].id == H1_COOKIE ? ask_cookies(asking, value, &member) : STICKY_MISS;
        result = now != STICKY_MISS ? now : result;
    }
    put(asking, "session",
        json_pack("{s:o, s:s}", "cookie", text(conf->name), "result", sticky_word(result)));
    return result == STICKY_HIT ? member : NULL;
}

/* ---- the candidates ---- */

static json_t *describe_candidate(const struct asking *asking,
                                  const struct pick_candidate *candidate, const char *verdict)
{
    json_t *json = describe_endpoint(&asking->snapshot->members[candidate->member]);
    json_object_set_new(json, "in_flight", json_integer(candidate->in_flight));
    json_object_set_new(json, "limit",
                        isfinite(candidate->limit) ? json_real(candidate->limit) : json_null());
    json_object_set_new(json, "verdict", json_string(verdict));
    return json;
}

/* Where turns are taken or all are compared: everybody, with what keeps some from it. chosen is
 * NULL where it cannot be told. */
static json_t *list_members(const struct asking *asking, const struct endpoint *chosen)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < asking->snapshot->n && i < MAX_LISTED; i++) {
        const struct member *member = &asking->snapshot->members[i];
        struct pick_candidate candidate = {.member = i};
        struct pick_trace trace = {.max = 1, .candidates = &candidate};
        struct pick pick = asking->pick;
        pick.trace = &trace;
        const char *verdict = "eligible";
        if (!pick_allows(&pick, member))
            verdict = pick_verdict_word(candidate.verdict);
        else if (member->endpoint == chosen)
            verdict = pick_verdict_word(PICK_VERDICT_CHOSEN);
        candidate.in_flight = endpoint_in_flight(member->endpoint);
        candidate.limit = INFINITY;
        json_array_append_new(list, describe_candidate(asking, &candidate, verdict));
    }
    return list;
}

static json_t *list_candidates(const struct asking *asking)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < asking->trace.n; i++) {
        const struct pick_candidate *candidate = &asking->trace.candidates[i];
        json_array_append_new(
            list, describe_candidate(asking, candidate, pick_verdict_word(candidate->verdict)));
    }
    return list;
}

/* ---- all of it ---- */

/* Whether another pick in the same moment would choose the same. */
static bool is_foretold(const struct asking *asking)
{
    return asking->trace.way != PICK_TURN ||
           asking->pool->conf->algorithm == CONF_ALGORITHM_LEAST_REQUESTS;
}

static void put_choice(struct asking *asking, const struct endpoint *endpoint)
{
    uint32_t max = asking->pool->conf->max_connections;
    put(asking, "choice",
        json_pack("{s:o, s:o}", "id", text(endpoint->id), "address", text(endpoint->address)));
    put(asking, "waits", json_boolean(max != 0 && !endpoint_has_room(endpoint, max)));
}

static void choose_by_session(struct asking *asking, const struct member *member)
{
    json_t *candidate = describe_endpoint(member);
    json_object_set_new(candidate, "limit", json_null());
    json_object_set_new(candidate, "verdict", json_string(pick_verdict_word(PICK_VERDICT_CHOSEN)));
    put(asking, "candidates", json_pack("[o]", candidate));
    put(asking, "way", json_string("session"));
    put_choice(asking, member->endpoint);
    conclude(asking, "the cookie %s keeps its session there", asking->pool->conf->sticky.name);
}

/* One with room for a connection, if there is one that the request may go to; as the data path does
 * it (proxy/attempt.c). */
static struct endpoint *pick_with_room(struct asking *asking)
{
    const struct conf_pool *conf = asking->pool->conf;
    struct pick *pick = &asking->pick;
    bool may_avoid_full = !pick->has_key || conf->affinity == CONF_AFFINITY_CACHE;
    pick->max_connections = may_avoid_full ? conf->max_connections : 0;
    struct endpoint *endpoint = policy_pick(pick);
    if (endpoint != NULL || pick->max_connections == 0)
        return endpoint;
    pick->max_connections = 0;
    return policy_pick(pick);
}

static void choose_by_policy(struct asking *asking)
{
    struct pick_candidate candidates[MAX_LISTED];
    asking->trace = (struct pick_trace){.max = MAX_LISTED, .candidates = candidates};
    asking->pick.trace = &asking->trace;
    const struct endpoint *endpoint = pick_with_room(asking);
    if (!is_foretold(asking))
        endpoint = NULL;
    put(asking, "alternatives", json_integer(asking->trace.alternatives));
    put(asking, "candidates",
        asking->trace.way == PICK_TURN ? list_members(asking, endpoint) : list_candidates(asking));
    put(asking, "way", json_string(pick_way_word(asking->trace.way)));
    if (endpoint != NULL)
        put_choice(asking, endpoint);
    char why[WHY_BYTES];
    why_print(&asking->pick, why, sizeof why);
    put(asking, "why", text(why));
}

static json_t *describe_route(const struct conf_route *route)
{
    if (route == NULL)
        return json_null();
    return json_pack("{s:o, s:o}", "host", route->host != NULL ? text(route->host) : json_null(),
                     "path", text(route->path));
}

static void explain_in_pool(struct asking *asking)
{
    const struct conf_pool *conf = asking->pool->conf;
    asking->snapshot = pool_acquire(asking->pool);
    asking->pick = (struct pick){.snapshot = asking->snapshot,
                                 .has_key = find_key(asking),
                                 .in_flight = pool_in_flight(asking->pool)};
    put(asking, "pool", text(conf->name));
    put(asking, "route", describe_route(asking->route));
    put(asking, "algorithm", json_string(policy_for(conf->algorithm)->name));
    put(asking, "affinity",
        json_string(conf->affinity == CONF_AFFINITY_CACHE ? "cache" : "strict"));
    put(asking, "snapshot", json_integer((json_int_t)asking->snapshot->number));
    put(asking, "in_flight", json_integer(asking->pick.in_flight));
    if (asking->pick.has_key) {
        asking->pick.hash =
            ring_key_hash(&asking->pool->ring_options, asking->key.p, asking->key.n);
        asking->pick.key_share = pool_key_share(asking->pool, asking->pick.hash);
        put_key(asking);
    }
    const struct member *own = find_session(asking);
    if (own != NULL)
        choose_by_session(asking, own);
    else
        choose_by_policy(asking);
    snapshot_unref(asking->snapshot);
}

/* An answer with every member, in the order in which they are read. */
static json_t *empty_answer(void)
{
    static const char *const names[] = {
        "pool",       "route", "snapshot", "algorithm", "affinity",  "request",      "key",
        "hash",       "slot",  "slots",    "session",   "key_share", "alternatives", "in_flight",
        "candidates", "way",   "choice",   "waits",     "why"};
    json_t *answer = json_object();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        json_object_set_new(answer, names[i], json_null());
    return answer;
}

enum explain_outcome explain(const struct explain_source *source,
                             const struct explain_question *question, json_t **ret_answer)
{
    struct asking asking = {.source = source, .question = question, .answer = empty_answer()};
    enum explain_outcome outcome = read_client(&asking);
    if (outcome == EXPLAIN_DONE)
        outcome = read_request(&asking);
    if (outcome == EXPLAIN_DONE)
        outcome = find_pool(&asking);
    if (outcome == EXPLAIN_DONE && asking.pool != NULL)
        explain_in_pool(&asking);
    *ret_answer = asking.answer;
    return outcome;
}
