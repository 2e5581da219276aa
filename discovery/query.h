/*
 * One HTTP query at a time to a Consul agent, from URL to instance set. Knows libcurl and what an
 * answer means; knows nothing of indexes from one query to the next, of retries or of holds.
 * Runs on the discovery thread.
 */
#ifndef QUOIT_DISCOVERY_QUERY_H
#define QUOIT_DISCOVERY_QUERY_H

#include "discovery/consul_head.h"
#include "discovery/consul_url.h"
#include "discovery/curl_loop.h"
#include "discovery/discovery.h"

/* How a query ended, as far as it decides what to do next. */
enum query_outcome {
    QUERY_GOOD,       /* set and head are there */
    QUERY_FAILED,     /* no answer, a useless one, or 5xx: another agent may do better */
    QUERY_LIMITED,    /* 429: this agent has enough, another has not */
    QUERY_OVERLOADED, /* 503: no other agent can help */
    QUERY_DENIED,     /* 403: the token lacks the right, or is gone */
    QUERY_MISTAKEN,   /* 400: the question itself is wrong */
};

struct query_result {
    enum query_outcome outcome;
    struct consul_head head;
    struct instance_set *set; /* QUERY_GOOD: for the callee to keep or free */
    const char *error;        /* otherwise: a phrase, valid during the call */
};

struct query;

/* Never runs before query_start() has returned. Here the query may be started again or freed. */
typedef void query_done_fn(void *context, const struct query_result *result);

/* consul must outlive the query. Returns 0 or -ENOMEM. */
int query_new(struct curl_loop *curl, const struct conf_consul *consul, query_done_fn *done,
              void *context, struct query **ret_query);

/* Ends a running query without done(). Accepts NULL. */
void query_free(struct query *query);

/*
 * Asks the agent at base; the query must not be running. The deadline follows from the question:
 * a blocking one has its wait, the sixteenth that Consul adds to it, and time to connect and to
 * send. done() follows, unless this returns an error: -ENOMEM, or that of token_read() when there
 * is no earlier token to go on with.
 */
int query_start(struct query *query, const char *base, const struct consul_query *question);

/* Whether the token has changed since the query was started. */
bool query_has_new_token(const struct query *query);

#endif
