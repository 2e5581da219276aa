/*
 * Host names in discovered sets become addresses, on a thread of its own, because a lookup may
 * block for seconds and neither discovery nor control may.
 *
 * Only events of pools whose sets hold names pass through here, and from the first such set on all
 * events of that pool do, so that their order stays. Names are looked up once per set; one that
 * does not resolve leaves its instance out.
 */
#ifndef QUOIT_BALANCER_CONTROL_RESOLVER_H
#define QUOIT_BALANCER_CONTROL_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/control/message.h"

/* Gets each message back, in order of submission; on the resolver's thread. */
typedef void resolver_done_fn(void *context, struct message *message);

struct resolver;

/* Starts the thread. Returns 0 or -errno. */
int resolver_start(size_t n_pools, resolver_done_fn *done, void *context,
                   struct resolver **ret_resolver);

/* Whether this event must go through resolver_submit(). Discovery's thread alone. */
bool resolver_wants(struct resolver *resolver, const struct discovery_event *event);

/* Takes message over until `done` gets it. */
void resolver_submit(struct resolver *resolver, struct message *message);

/* Drops what waits and joins the thread; a lookup under way is waited for. Accepts NULL. */
void resolver_stop(struct resolver *resolver);

#endif
