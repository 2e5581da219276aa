/*
 * Whether a request may be tried again: by the rule of what has happened (http/reason.h), by what
 * its pool asks for (conf_retry), and within the pool's budget.
 *
 * A retry is in flight from when it takes its place in the budget to the request's end. A request
 * that no endpoint can have seen yet, or that leaves one that is known to be down, adds no load to
 * what was meant to be there and needs no place.
 */
#ifndef QUOIT_BALANCER_PROXY_RETRY_H
#define QUOIT_BALANCER_PROXY_RETRY_H

#include "balancer/proxy/request.h"

/* What the attempt under way, or the one that has just ended, died of: whether it is harmless to
 * make another one, and wanted. Says nothing about where to, or how many were made. */
bool retry_is_harmless(const struct request *request, enum reason reason);
bool retry_is_wanted(const struct request *request, enum reason reason);

/* A place in the budget, where reason needs one; the request keeps it. Counts what is refused. */
bool retry_take_place(struct request *request, enum reason reason);

/* At the request's end. */
void retry_give_back(struct request *request);

#endif
