/*
 * Cookie affinity of a request: the endpoint that its cookie names, the Set-Cookie of its answer,
 * and its Cookie fields without the cookie where endpoints are not to see it.
 */
#ifndef QUOIT_BALANCER_PROXY_SESSION_H
#define QUOIT_BALANCER_PROXY_SESSION_H

struct endpoint;
struct head;
struct pick;
struct pool_stats;
struct request;

/* Once, when the request has its pool: marks the Cookie fields that are not forwarded as they are,
 * because they hold a cookie that the pool strips. */
void session_prepare(struct request *request);

/* The endpoint that the request's cookie asks for (no reference taken), and may have now; NULL: the
 * policy is to choose. Of several cookies of the name the first that names an endpoint counts.
 * Keeps the result in the request. */
struct endpoint *session_pick(struct request *request, const struct pick *pick);

/* Adds the fields that session_prepare() marked, each without the pool's cookie. */
void session_add_cookies(struct head *head, const struct request *request);

/* Adds Set-Cookie for the endpoint that answers, unless the request's cookie names it already. */
void session_add_set_cookie(struct head *head, const struct request *request);

/* Counts what came of the cookie of a request that is over. */
void session_count(const struct request *request, struct pool_stats *stats);

#endif
