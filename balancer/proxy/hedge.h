/*
 * Hedging: a second attempt beside one that has been silent for `retry.hedge`. Whichever endpoint
 * answers first serves the request; the other attempt is ended.
 *
 * The attempt that was there before stands aside: its request is sent, and it waits for its first
 * byte while the new one is the request's upstream as ever. If it answers first it takes that place
 * back, and it does so when the new one fails. Only idempotent requests without a body that are not
 * tied to one endpoint are hedged, as one of the pool's `retries` and within its budget.
 */
#ifndef QUOIT_BALANCER_PROXY_HEDGE_H
#define QUOIT_BALANCER_PROXY_HEDGE_H

#include "balancer/proxy/request.h"

/* The moment for a second attempt beside the one that begins now; 0: there will be none. */
uint64_t hedge_moment(const struct request *request);

/* That moment has come: sets the attempt aside and begins another, if there can be one. Returns the
 * next step. */
enum step hedge_begin(struct request *request);

/* The attempt that had been set aside is the only one again. Returns the next step. */
enum step hedge_resume(struct request *request);

/* Ends the attempt aside, if there is one. */
void hedge_drop(struct request *request);

/* The same because the other attempt answers, which is counted. */
void hedge_settle(struct request *request);

/* The connection aside has been read: there are bytes, or an end. Returns the next step, or the
 * same; the caller runs the client afterwards. */
enum step hedge_on_io(struct request *request);

/* Its deadline has come. */
void hedge_on_deadline(struct request *request, enum reason reason);

#endif
