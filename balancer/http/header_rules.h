/*
 * Which fields of a head are dropped and which are added, as the operator says (conf's
 * conf_header_rules): the listener's rules first, then the route's, which see what the listener's
 * have made of the head. Names have no case, and an underscore in one is a hyphen: else a client's
 * X_Internal would be taken for the X-Internal that is set or removed. Pure.
 */
#ifndef QUOIT_BALANCER_HTTP_HEADER_RULES_H
#define QUOIT_BALANCER_HTTP_HEADER_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/http/h1.h"
#include "balancer/http/span.h"
#include "conf/conf.h"

/* Those for heads that go one way; either may be NULL. */
struct header_rules {
    const struct conf_header_rules *listener, *route;
};

/* Whether a field that a head comes with is dropped, because it is removed or set. */
bool header_rules_drop(const struct header_rules *rules, struct span name);

/* Marks the fields that are dropped as hop by hop. */
void header_rules_mark(const struct header_rules *rules, struct h1_lines *lines,
                       const uint8_t *message);

/* The next pair to be added to the head; *at is 0 at first. NULL: that was the last one. */
const struct conf_pair *header_rules_next(const struct header_rules *rules, size_t *at);

#endif
