/*
 * Which route a request takes: the most specific one that its host and path match.
 *
 * Immutable once built, so any thread may read it. It refers to the routes it was built from, which
 * must outlive it.
 *
 * Hosts are compared without port and trailing dot, in any case. First come the routes of exactly
 * this host, then those of the longest "*.suffix" (any number of labels in place of the star, at
 * least one), then those of any host. Among the routes of one host the longest path prefix wins.
 * When no path of a host matches, the next less specific host is asked.
 *
 * Paths are compared in their normal form (path.h): a prefix matches on the border of a segment, so
 * "/img" takes "/img" and "/img/a" but not "/images". "/" matches every request.
 */
#ifndef QUOIT_BALANCER_HTTP_ROUTE_H
#define QUOIT_BALANCER_HTTP_ROUTE_H

#include "balancer/http/span.h"
#include "conf/conf.h"

struct route_table;

/* Of two routes with the same host and path the first one is taken. Never NULL. */
struct route_table *route_table_new(const struct conf_route *routes, size_t n_routes);

/* Accepts NULL. */
void route_table_free(struct route_table *table);

/*
 * The route of a request with this authority (host with perhaps a port, as in struct h1_request)
 * and path in its normal form; NULL if there is none. Does not allocate.
 */
const struct conf_route *route_find(const struct route_table *table, struct span authority,
                                    struct span path);

#endif
