/*
 * A small HTTP/1.1 origin for the demo: says its name and how often it has seen a path.
 *
 * Each has a thread of its own with a poll loop and listens on a free loopback port. Bounded: at
 * most 128 connections; it counts its first 1024 paths.
 */
#ifndef QUOIT_BALANCER_CLI_DEMO_ORIGIN_H
#define QUOIT_BALANCER_CLI_DEMO_ORIGIN_H

#include <stdint.h>

struct demo_origin;

/* Starts one; name is copied. Returns 0 or -errno. */
int demo_origin_start(const char *name, struct demo_origin **ret_origin);

uint16_t demo_origin_port(const struct demo_origin *origin);
const char *demo_origin_name(const struct demo_origin *origin);

/* Closes its connections and joins its thread; accepts NULL. */
void demo_origin_stop(struct demo_origin *origin);

#endif
