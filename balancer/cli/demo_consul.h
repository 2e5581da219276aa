/*
 * The demo's origins as instances of a Consul service, at a local agent.
 */
#ifndef QUOIT_BALANCER_CLI_DEMO_CONSUL_H
#define QUOIT_BALANCER_CLI_DEMO_CONSUL_H

#include "balancer/cli/demo_origin.h"

#define DEMO_SERVICE "quoit-demo"

/*
 * Registers origin at the agent ("http://127.0.0.1:8500"), with a TCP check that makes Consul
 * forget it a minute after the demo was killed. Blocks for at most five seconds. Returns 0, or
 * -EIO after it has printed why.
 */
int demo_consul_register(const char *agent, const struct demo_origin *origin);

/*
 * Waits until the agent lists origin as healthy: a registration takes a moment to reach Consul's
 * catalog. Blocks for at most ten seconds. Returns 0, or -EIO after it has printed why.
 */
int demo_consul_await(const char *agent, const struct demo_origin *origin);

/* Takes it back; failures are printed. */
void demo_consul_deregister(const char *agent, const struct demo_origin *origin);

#endif
