/*
 * Which ring a pool's configuration asks for: the one place that knows both words for it.
 */
#ifndef QUOIT_BALANCER_POOL_RING_CHOICE_H
#define QUOIT_BALANCER_POOL_RING_CHOICE_H

#include <stdbool.h>

#include "conf/conf.h"
#include "hashring/ring.h"

/* False, and nothing written, for an algorithm without a ring. */
bool ring_choice(const struct conf_pool *conf, struct ring_options *ret_options);

/* Whether two rings of these options are laid out and hash keys alike. */
bool ring_choice_is_same(const struct ring_options *a, const struct ring_options *b);

#endif
