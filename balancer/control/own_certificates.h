/*
 * Certificates that quoit gets for itself, as control sees them (acme/acme.h): tells the event log
 * what becomes of them and has new ones put to use. Control's thread.
 */
#ifndef QUOIT_BALANCER_CONTROL_OWN_CERTIFICATES_H
#define QUOIT_BALANCER_CONTROL_OWN_CERTIFICATES_H

#include <ev.h>

#include "balancer/admin/metrics.h"
#include "balancer/control/certificates.h"
#include "conf/conf.h"

struct own_certificates;

/* Keeps all of its arguments. *ret_own is NULL where the configuration has none of them. Returns 0
 * or -ENOMEM. */
int own_certificates_new(const struct conf *conf, struct ev_loop *loop,
                         struct certificates *certificates, struct own_certificates **ret_own);

/* All of these accept NULL. */

void own_certificates_free(struct own_certificates *own);

/* Once workers answer challenges: what is missing is got. */
void own_certificates_start(struct own_certificates *own);

/* What has failed is tried again now. */
void own_certificates_hurry(struct own_certificates *own);

/* Nothing is got any more. */
void own_certificates_stop(struct own_certificates *own);

/* As of now; valid until the next call. NULL: there are none. */
const struct metrics_acme *own_certificates_counts(struct own_certificates *own);

#endif
