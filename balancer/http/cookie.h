/*
 * The pairs of a Cookie field (RFC 6265 section 4.2.1), read as forgivingly as servers do: what
 * stands between semicolons, without white space around it. Nothing is decoded, and quotes are
 * part of a value.
 */
#ifndef QUOIT_BALANCER_HTTP_COOKIE_H
#define QUOIT_BALANCER_HTTP_COOKIE_H

#include <stdbool.h>

#include "balancer/http/span.h"

struct cookie_pair {
    struct span whole;
    struct span name;
    struct span value; /* empty where there is no '=' */
};

/* Takes the next pair off the front of *rest, a field's value at first; false when there is none
 * left. A pair is never empty. */
bool cookie_next(struct span *rest, struct cookie_pair *ret_pair);

#endif
