/*
 * How many descriptors the process may open, and how they are shared out.
 */
#ifndef QUOIT_BALANCER_CONTROL_DESCRIPTORS_H
#define QUOIT_BALANCER_CONTROL_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

/*
 * Raises the soft limit to the hard one. Before any thread or loop is there: libev ends the process
 * when it gets no descriptor. False, and the event log says so, when there are too few of them for
 * this configuration to run at all.
 */
bool descriptors_prepare(const struct conf *conf);

/* How many clients may be connected at once, by the configuration and by the descriptors: unless
 * told otherwise half of those that quoit does not need itself, since a request needs two. */
uint32_t descriptors_max_clients(const struct conf *conf);

#endif
