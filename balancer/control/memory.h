/*
 * How much memory there is for relay buffers.
 */
#ifndef QUOIT_BALANCER_CONTROL_MEMORY_H
#define QUOIT_BALANCER_CONTROL_MEMORY_H

#include <stdint.h>

#include "conf/conf.h"

/* What memory_limit comes to, in bytes; 0: no limit. `auto` is half of what the process may use,
 * which is the machine's memory or a cgroup's (version 2) share of it, but never too little to run.
 */
uint64_t memory_budget(const struct conf *conf);

/* The least of the limits that hold for a cgroup: its own, and those of the groups around it. path
 * is as in /proc/self/cgroup ("/system.slice/quoit.service"), root where the hierarchy is mounted.
 * UINT64_MAX: there is none. */
uint64_t memory_of_cgroup(const char *root, const char *path);

#endif
