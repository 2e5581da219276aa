/*
 * OCSP responses for the certificates of listeners with `ocsp: fetch`: asked for over HTTP, checked
 * and put where handshakes find them. A good one is fetched again at half of what is left of its
 * validity. After a failure it stays until that ends, and the responder is asked again with
 * growing, random waits. One that says "revoked" is an error and not stapled, nor is what was there
 * before, as nginx has it. Control's thread and loop.
 */
#ifndef QUOIT_BALANCER_CONTROL_STAPLING_H
#define QUOIT_BALANCER_CONTROL_STAPLING_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/tls/inbound.h"
#include "conf/conf.h"

struct stapling;

/* inbound as conf->listeners, NULL where one has no TLS. Keeps conf and inbound. Fetching begins
 * with the loop. Returns 0 or -ENOMEM. */
int stapling_start(struct ev_loop *loop, const struct conf *conf, struct inbound *const *inbound,
                   struct stapling **ret_stapling);

/* Before the inbounds are freed. Accepts NULL. */
void stapling_stop(struct stapling *stapling);

/* Now and then: certificates that were read again are asked about at once. Accepts NULL. */
void stapling_look(struct stapling *stapling);

/* How often fetching a response for certificate i of a listener has failed. Accepts NULL. */
uint64_t stapling_failures(const struct stapling *stapling, size_t listener, size_t i);

#endif
