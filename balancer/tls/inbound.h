/*
 * A listener's TLS: its certificates, who may connect, and the keys of its session tickets.
 *
 * Control makes it, loads its files again and rotates its keys; workers take sessions from it. What
 * was loaded together is one set, counted by its connections: a new set takes the place of the old
 * one for new connections, and the old one goes with the last of its own.
 */
#ifndef QUOIT_BALANCER_TLS_INBOUND_H
#define QUOIT_BALANCER_TLS_INBOUND_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "balancer/tls/certificate.h"
#include "balancer/tls/report.h"
#include "conf/conf.h"

struct challenges;
struct inbound;
struct inbound_set;

/* Loads all files; key is the option that conf stands for ("listeners.0.tls"). Keeps conf. Where a
 * certificate that quoit gets for itself is not there yet a self-signed one is. Returns 0, -ENOMEM,
 * or -EINVAL when the files are no good, which report has been told then. */
int inbound_new(const struct conf_tls *conf, const char *key, const struct tls_report *report,
                struct inbound **ret_inbound);

/* Control, before there are workers: handshakes that are challenges of theirs are answered so;
 * challenges must outlive inbound. */
void inbound_use_challenges(struct inbound *inbound, struct challenges *challenges);

/* No session may be left. Accepts NULL. */
void inbound_free(struct inbound *inbound);

/* Control: loads all files again. When they are no good everything stays as it is. Returns as
 * inbound_new() does. */
int inbound_load(struct inbound *inbound, const struct tls_report *report);

/* Control: whether a file has changed since they were loaded, or since loading was tried. */
bool inbound_has_changed(const struct inbound *inbound);

/* Control: rotates the ticket keys when it is time; now_s is a monotonic clock. Returns whether it
 * did. */
bool inbound_rotate(struct inbound *inbound, double now_s);

/* Control: certificate number i: its file, and the end of its validity. False: there is none. */
bool inbound_expiry(const struct inbound *inbound, size_t i, const char **ret_file,
                    time_t *ret_not_after);

/* Control: certificate number i, until the next inbound_load(). NULL: there is none. Only its
 * staple may be changed. */
struct certificate *inbound_certificate(const struct inbound *inbound, size_t i);

/* Any thread: a session on the server's side, and the set it belongs to: a reference, to be given
 * back after SSL_free(). NULL when memory is out. */
SSL *inbound_open(struct inbound *inbound, struct inbound_set **ret_set);

void inbound_set_unref(struct inbound_set *set); /* accepts NULL */

#endif
