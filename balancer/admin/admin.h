/*
 * The admin listener: a small HTTP/1.1 server on control's loop, for operators and scrapers.
 *
 * GET /metrics, /healthz (the process runs), /readyz (it serves: 200, or 503 with the reason).
 * Bounded: at most 64 connections, 8 KiB heads, 30 s idle; whole answers are built in memory.
 */
#ifndef QUOIT_BALANCER_ADMIN_ADMIN_H
#define QUOIT_BALANCER_ADMIN_ADMIN_H

#include <stdbool.h>

#include "balancer/admin/metrics.h"
#include "conf/conf.h"

struct ev_loop;
struct admin;

/* What the pages are made of; called on control's loop. */
struct admin_source {
    void *context;
    void (*metrics)(void *context, struct metrics_source *ret_source);
    /* Whether ready; *ret_why is a phrase ("draining", "pool images has no endpoint") when not. */
    bool (*ready)(void *context, const char **ret_why);
};

/* Opens the listener on loop. Returns 0 or -errno. conf and source are copied. */
int admin_start(struct ev_loop *loop, const struct conf_listener *conf,
                const struct admin_source *source, struct admin **ret_admin);

/* Closes the listener and all connections; accepts NULL. */
void admin_stop(struct admin *admin);

#endif
