/*
 * The balancer as a whole: starts the threads, runs control on the calling thread, drains.
 */
#ifndef QUOIT_BALANCER_CONTROL_SERVE_H
#define QUOIT_BALANCER_CONTROL_SERVE_H

#include "conf/conf.h"

/* Called once on the calling thread when every listener is open and all static pools (and, where
 * Consul answers within two seconds, the discovered ones) are filled. */
typedef void serve_ready_fn(void *context);

/*
 * Serves until SIGTERM or SIGINT has drained it (a second one ends it at once); SIGUSR1 reopens
 * the access log. ready may be NULL. Logs its own errors. Returns a process exit status: 0 after a
 * drain, 1 if it could not start. conf must outlive the call.
 */
int serve_run(const struct conf *conf, serve_ready_fn *ready, void *context);

/* Asks the running serve_run() to drain, from any thread or a signal handler. */
void serve_stop(void);

#endif
