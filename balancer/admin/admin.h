/*
 * The admin listener: a small HTTP/1.1 server on control's loop, for operators and scrapers.
 *
 * GET or HEAD of /metrics, /healthz (the process runs), /readyz (it serves: 200, or 503 with the
 * reason), / (a list of these), and the JSON API (api.h). Nothing here blocks or waits for a
 * client: whole answers are built in memory and written as the client takes them, one request of a
 * connection a loop turn. Bounded: at most 64 connections (the one that has been quiet longest
 * gives way to a new one), 32 KiB heads, 30 s for each request to arrive and for each answer to be
 * taken.
 */
#ifndef QUOIT_BALANCER_ADMIN_ADMIN_H
#define QUOIT_BALANCER_ADMIN_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/admin/metrics.h"
#include "balancer/explain/explain.h"
#include "conf/conf.h"

struct ev_loop;
struct admin;

/* What the pages are made of; called on control's loop. */
struct admin_source {
    void *context;
    void (*metrics)(void *context, struct metrics_source *ret_source);
    /* Whether ready; *ret_why is a phrase ("draining", "pool images has no endpoint") when not. */
    bool (*ready)(void *context, const char **ret_why);
    /* What the API tells of; NULL: there is no API. */
    void (*explain)(void *context, struct explain_source *ret_source);
    double patience_s; /* instead of the 30 s above; 0: these */
};

/* Opens the listener on loop. Returns 0 or -errno. conf and source are copied. */
int admin_start(struct ev_loop *loop, const struct conf_listener *conf,
                const struct admin_source *source, struct admin **ret_admin);

/* The port listened on: the configured one, or the kernel's choice for 0. */
uint16_t admin_port(const struct admin *admin);

/* Closes the listener and all connections; accepts NULL. */
void admin_stop(struct admin *admin);

#endif
