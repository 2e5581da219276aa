/*
 * The pools as a configuration would have them served, without serving: for `explain`, `ring` and
 * `plan`. Static endpoints are there, names are looked up, and Consul is asked once for the pools
 * that follow a service. Nothing listens, and nothing is probed: states are what Consul says.
 */
#ifndef QUOIT_BALANCER_CONTROL_PREVIEW_H
#define QUOIT_BALANCER_CONTROL_PREVIEW_H

#include "balancer/explain/explain.h"
#include "conf/conf.h"

struct preview;

#define PREVIEW_WHY_BYTES 512

/*
 * Makes the pools of conf, which must outlive them and in which checks and ramps are switched off;
 * blocks until Consul has answered for each, for at most timeout_s. A host name that is not found
 * is logged, and its endpoint left out, as by `quoit serve`. Returns 0, or -errno with a phrase for
 * the operator in ret_why. The process's log is set to errors only. Main thread.
 */
int preview_new(struct conf *conf, double timeout_s, struct preview **ret_preview,
                char ret_why[PREVIEW_WHY_BYTES]);

/* What explain() is asked with; lives as long as the preview. */
const struct explain_source *preview_source(const struct preview *preview);

void preview_free(struct preview *preview); /* accepts NULL */

#endif
