/*
 * A pool's TLS: how connections to its endpoints begin, and whom they trust.
 *
 * Control makes it and loads its files again; workers take sessions from it.
 */
#ifndef QUOIT_BALANCER_TLS_OUTBOUND_H
#define QUOIT_BALANCER_TLS_OUTBOUND_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "balancer/tls/report.h"
#include "conf/conf.h"

struct outbound;

/* Loads all files; key is the option that conf stands for ("pools.web.tls"). Keeps conf. Returns 0,
 * -ENOMEM, or -EINVAL when the files are no good, which report has been told then. */
int outbound_new(const struct conf_pool_tls *conf, const char *key, const struct tls_report *report,
                 struct outbound **ret_outbound);

/* Accepts NULL. */
void outbound_free(struct outbound *outbound);

/* Control: loads all files again. When they are no good everything stays as it is. Returns as
 * outbound_new() does. */
int outbound_load(struct outbound *outbound, const struct tls_report *report);

/* Control: whether a file has changed since they were loaded, or since loading was tried. */
bool outbound_has_changed(const struct outbound *outbound);

/* What the endpoint may choose from (RFC 7301). */
enum outbound_protocols { OUTBOUND_HTTP_1, OUTBOUND_HTTP_2, OUTBOUND_BOTH };

/*
 * Any thread: a session on the client's side with the endpoint at address ("host:port", the host
 * perhaps in brackets). The session in *resumable (NULL: none) is tried again, and the newest one
 * is kept there: the slot is the thread's own, and lives as long as the session does. NULL when
 * memory is out.
 */
SSL *outbound_open(struct outbound *outbound, const char *address,
                   enum outbound_protocols protocols, void **resumable);

#define OUTBOUND_NAME_SIZE 256

/* The name that the endpoint at address must prove to have; "": it is asked for by its address. */
void outbound_name(const struct conf_pool_tls *conf, const char *address,
                   char ret_name[OUTBOUND_NAME_SIZE]);

/* Frees what a slot holds; accepts NULL. */
void outbound_forget(void *resumable);

#endif
