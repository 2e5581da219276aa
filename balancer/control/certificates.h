/*
 * All that is read from files for TLS, of listeners and pools: loaded at the start, again on SIGHUP
 * and when a file changes, and told of in the event log. Control's thread.
 */
#ifndef QUOIT_BALANCER_CONTROL_CERTIFICATES_H
#define QUOIT_BALANCER_CONTROL_CERTIFICATES_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/admin/metrics.h"
#include "conf/conf.h"
#include "conf/load.h"

struct certificates;
struct challenges;
struct ev_loop;

/* Loads everything; keeps conf. Returns 0, or -errno when something is no good, which the event log
 * says. */
int certificates_new(const struct conf *conf, struct certificates **ret_certificates);

/* For `quoit check`: loads everything once, the authorities of acme.ca_file too, and appends what
 * is no good to errors and what is only doubtful to warnings, each with its place in the file at
 * path, which conf was read from. Returns 0 or -errno. */
int certificates_check(const struct conf *conf, const char *path, struct conf_errors *errors,
                       struct conf_errors *warnings);

/* Begins to fetch OCSP responses, where that is asked for. Returns 0 or -ENOMEM. */
int certificates_fetch(struct certificates *certificates, struct ev_loop *loop);

/* No session may be left. Accepts NULL. */
void certificates_free(struct certificates *certificates);

/* Loads everything again; what is no good stays as it was. */
void certificates_reload(struct certificates *certificates);

/* Now and then: loads again what has changed, rotates the keys of session tickets; now_s is a
 * monotonic clock. */
void certificates_look(struct certificates *certificates, double now_s);

/* Whether there is anything to look after. */
bool certificates_are_used(const struct certificates *certificates);

/* What proves to authorities that names are ours; NULL: no certificate is got by ACME. */
struct challenges *certificates_challenges(const struct certificates *certificates);

/* As conf->listeners and conf->pools; NULL where one has no TLS. */
struct inbound *const *certificates_inbound(const struct certificates *certificates);
struct outbound *const *certificates_outbound(const struct certificates *certificates);

/* The listeners' certificates, as of now; valid until the next call of any of these. */
const struct metrics_certificate *certificates_list(struct certificates *certificates,
                                                    size_t *ret_n);

#endif
