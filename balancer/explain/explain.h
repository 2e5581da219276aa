/*
 * Explains where a request would go: the route and pool, the key and its hash, the place in the
 * ring, the candidates in order with what kept each from being chosen, and the choice.
 *
 * The answer comes from what serves requests: the same parser, route table, key, ring and policy,
 * over the pools' current snapshots. Nothing of what workers use is written, so asking does not
 * change where requests go. Where a policy takes turns, or draws, whose turn it is cannot be told.
 * How hot a key is is what all workers together have counted; each worker goes by its own counts.
 *
 * Any thread that may take a pool's snapshot. Needs memory as jansson does (discovery/
 * json_memory.h: it does not run out).
 */
#ifndef QUOIT_BALANCER_EXPLAIN_EXPLAIN_H
#define QUOIT_BALANCER_EXPLAIN_EXPLAIN_H

#include <jansson.h>

#include "balancer/http/route.h"
#include "balancer/pool/pool.h"
#include "conf/conf.h"

/* The balancer that is asked about. */
struct explain_source {
    const struct conf *conf;
    const struct route_table *routes;
    struct pool *pools; /* as conf->pools */
};

/* What is asked; a span with n == 0 is not given. */
struct explain_question {
    struct span request; /* a whole head, "GET / HTTP/1.1\r\n…\r\n\r\n", and the body's content */
    struct span client;  /* the address of the peer that sends it, as text */
    struct span pool;    /* its name, instead of the route's */
    struct span key;     /* instead of the request's */
};

enum explain_outcome {
    EXPLAIN_DONE,     /* also where the explanation is that the request is refused */
    EXPLAIN_MISTAKEN, /* the question makes no sense */
    EXPLAIN_UNKNOWN,  /* there is no pool of this name */
};

/*
 * Answers with a new object. EXPLAIN_DONE: { pool, route, snapshot, algorithm, affinity, request,
 * key, hash, slot, slots, session, key_share, alternatives, in_flight, candidates, way, choice,
 * waits, why }; what does not apply is null. waits: all connections that the choice may have are in
 * use, so the request would wait for one. Otherwise { error }.
 *
 * route is { host, path }, or null if the question named the pool. key is describe_key()'s with
 * { from, source }: hash_key, hash_key_fallback or given, and the kind of key. Candidates are
 * describe_endpoint()'s with { limit, verdict }; a verdict is a word of PICK_VERDICTS (policy.h),
 * or "eligible" where turns are taken. way is a word of PICK_WAYS, or "session" if the pool's
 * cookie names the endpoint; session is { cookie, result } then, result being a word of
 * STICKY_RESULTS (sticky.h). why is a sentence.
 *
 * If no route matches, pool is null and why says so. If there is no request and no key, every
 * endpoint stands as a candidate for a request without a key.
 */
enum explain_outcome explain(const struct explain_source *source,
                             const struct explain_question *question, json_t **ret_answer);

/* The pool of this name; NULL if there is none. */
struct pool *explain_find_pool(const struct explain_source *source, struct span name);

#endif
