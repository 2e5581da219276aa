#include "balancer/proxy/session.h"

#include "balancer/http/cookie.h"
#include "balancer/pool/sticky.h"
#include "balancer/proxy/head.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/upstream.h"

static const struct conf_sticky *conf_of(const struct request *r)
{
    return &r->pool->sticky;
}

static bool has_sessions(const struct request *r)
{
    return r->pool->sticky.name != NULL;
}

static bool holds_own(const struct request *r, struct span field)
{
    struct span name = span_of(conf_of(r)->name);
    struct cookie_pair pair;
    while (cookie_next(&field, &pair)) {
        if (span_equal(pair.name, name))
            return true;
    }
    return false;
}

/* ---- to the endpoint ---- */

void session_prepare(struct request *r)
{
    if (!has_sessions(r) || !conf_of(r)->strip)
        return;
    struct h1_lines *lines = &r->head.lines;
    for (uint32_t i = 0; i < lines->n_fields; i++) {
        struct h1_field *field = &lines->fields[i];
        if (field->id == H1_COOKIE)
            field->is_hop = holds_own(r, h1_field_value(field, r->message));
    }
}

struct endpoint *session_pick(struct request *r, const struct pick *pick)
{
    const struct member *member;
    r->session = sticky_ask(pick, &r->head.lines, r->message, &member);
    return r->session == STICKY_HIT ? member->endpoint : NULL;
}

static void add_others(struct head *head, const struct request *r, struct span rest)
{
    struct span name = span_of(conf_of(r)->name);
    struct cookie_pair pair;
    bool is_first = true;
    while (cookie_next(&rest, &pair)) {
        if (span_equal(pair.name, name))
            continue;
        head_add(head, is_first ? SPAN("Cookie: ") : SPAN("; "));
        head_add(head, pair.whole);
        is_first = false;
    }
    if (!is_first)
        head_add(head, SPAN("\r\n"));
}

void session_add_cookies(struct head *head, const struct request *r)
{
    if (!has_sessions(r) || !conf_of(r)->strip)
        return;
    const struct h1_lines *lines = &r->head.lines;
    for (uint32_t i = 0; i < lines->n_fields; i++) {
        const struct h1_field *field = &lines->fields[i];
        if (field->id == H1_COOKIE && field->is_hop)
            add_others(head, r, h1_field_value(field, r->message));
    }
}

/* ---- to the client ---- */

static void add_attributes(struct head *head, const struct conf_sticky *conf)
{
    static const char *const same_site[] = {
        [CONF_SAME_SITE_NONE] = "; SameSite=None",
        [CONF_SAME_SITE_LAX] = "; SameSite=Lax",
        [CONF_SAME_SITE_STRICT] = "; SameSite=Strict",
    };
    head_add(head, SPAN("; Path="));
    head_add(head, span_of(conf->path));
    if (conf->domain != NULL) {
        head_add(head, SPAN("; Domain="));
        head_add(head, span_of(conf->domain));
    }
    if (conf->max_age_ms != 0) {
        head_add(head, SPAN("; Max-Age="));
        head_add_u64(head, conf->max_age_ms / 1000);
    }
    if (conf->secure)
        head_add(head, SPAN("; Secure"));
    if (conf->http_only)
        head_add(head, SPAN("; HttpOnly"));
    head_add(head, span_of(same_site[conf->same_site]));
}

void session_add_set_cookie(struct head *head, const struct request *r)
{
    if (!has_sessions(r) || r->session == STICKY_HIT)
        return;
    const char *value = r->upstream->endpoint->cookie;
    if (value[0] == '\0')
        return;
    head_add(head, SPAN("Set-Cookie: "));
    head_add(head, span_of(conf_of(r)->name));
    head_add(head, SPAN("="));
    head_add(head, (struct span){(const uint8_t *)value, STICKY_VALUE_LEN});
    add_attributes(head, conf_of(r));
    head_add(head, SPAN("\r\n"));
}

/* ---- the end ---- */

void session_count(const struct request *r, struct pool_stats *stats)
{
    if (!has_sessions(r) || r->n_attempts == 0)
        return;
    counter *const counters[] = {
        [STICKY_MISS] = &stats->sticky_misses,     [STICKY_HIT] = &stats->sticky_hits,
        [STICKY_UNKNOWN] = &stats->sticky_unknown, [STICKY_DOWN] = &stats->sticky_moved,
        [STICKY_TRIED] = &stats->sticky_moved,
    };
    counter_add(counters[r->session], 1);
}
