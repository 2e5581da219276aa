/*
 * Why a pick chose whom it chose, as a sentence without its full stop.
 */
#ifndef QUOIT_BALANCER_EXPLAIN_WHY_H
#define QUOIT_BALANCER_EXPLAIN_WHY_H

#include <stddef.h>

#include "balancer/policy/policy.h"

#define WHY_BYTES 640 /* the longest has fewer */

/* For a pick that was made with a trace, into size bytes at to. */
void why_print(const struct pick *pick, char *to, size_t size);

#endif
