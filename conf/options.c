#include <string.h>

#include "conf/conf.h"
#include "conf/option.h"

/* Ranges that many options share. */
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

/* The field, the structure it is in, and its width. */
#define AT(structure, field)                                                                       \
    .offset = offsetof(struct structure, field), .size = sizeof(((struct structure *)0)->field)
/* A pointer to entries and their count. */
#define ENTRIES(structure, field, count)                                                           \
    .offset = offsetof(struct structure, field),                                                   \
    .count_offset = offsetof(struct structure, count),                                             \
    .entry_size = sizeof(*((struct structure *)0)->field)
#define RANGE(low, high) .min = (low), .max = (high)

static const char *const algorithms[] = {
    [CONF_ALGORITHM_HASH] = "hash",
    [CONF_ALGORITHM_RING] = "ring",
    [CONF_ALGORITHM_ROUND_ROBIN] = "round_robin",
    [CONF_ALGORITHM_LEAST_REQUESTS] = "least_requests",
    [CONF_ALGORITHM_RANDOM_TWO] = "random_two",
    [CONF_ALGORITHM_NGINX] = "nginx",
    [CONF_ALGORITHM_LIBMEMCACHED] = "libmemcached",
    [CONF_ALGORITHM_LIBMEMCACHED_MD5] = "libmemcached_md5",
    [CONF_ALGORITHM_LIBMEMCACHED_WEIGHTED] = "libmemcached_weighted",
    [CONF_ALGORITHM_LIBMEMCACHED_SPY] = "libmemcached_spy",
    [CONF_ALGORITHM_HAPROXY] = "haproxy",
    [CONF_ALGORITHM_ENVOY_MAGLEV] = "envoy_maglev",
    [CONF_ALGORITHM_ENVOY_RING] = "envoy_ring",
    [CONF_ALGORITHM_JUMP] = "jump",
    NULL,
};
static const char *const haproxy_hashes[] = {
    [CONF_HAPROXY_SDBM] = "sdbm",
    [CONF_HAPROXY_DJB2] = "djb2",
    [CONF_HAPROXY_WT6] = "wt6",
    [CONF_HAPROXY_CRC32] = "crc32",
    NULL,
};
static const char *const affinities[] = {
    [CONF_AFFINITY_AUTO] = "auto",
    [CONF_AFFINITY_CACHE] = "cache",
    [CONF_AFFINITY_STRICT] = "strict",
    NULL,
};
static const char *const check_types[] = {[CONF_CHECK_NONE] = "none",
                                          [CONF_CHECK_HTTP] = "http",
                                          [CONF_CHECK_TCP] = "tcp",
                                          [CONF_CHECK_GRPC] = "grpc",
                                          NULL};
static const char *const initials[] = {
    [CONF_INITIAL_UP] = "up", [CONF_INITIAL_DOWN] = "down", NULL};
static const char *const same_sites[] = {
    [CONF_SAME_SITE_NONE] = "none",
    [CONF_SAME_SITE_LAX] = "lax",
    [CONF_SAME_SITE_STRICT] = "strict",
    NULL,
};
static const char *const warnings[] = {[false] = "skip", [true] = "use", NULL};
static const char *const send_proxies[] = {
    [CONF_SEND_PROXY_OFF] = "off", [CONF_SEND_PROXY_V1] = "v1", [CONF_SEND_PROXY_V2] = "v2", NULL};
static const char *const http2_words[] = {
    [CONF_HTTP2_OFF] = "off", [CONF_HTTP2_ON] = "on", [CONF_HTTP2_ONLY] = "only", NULL};
static const char *const listener_http2_words[] = {
    [CONF_HTTP2_OFF] = "off",
    [CONF_HTTP2_ON] = "on",
    [CONF_HTTP2_ONLY] = "only",
    [CONF_HTTP2_AGREED] = "agreed",
    NULL,
};
static const char *const forwarded_families[] = {
    [CONF_FORWARDED_NONE] = "none",
    [CONF_FORWARDED_X] = "x_forwarded",
    [CONF_FORWARDED_RFC7239] = "forwarded",
    [CONF_FORWARDED_BOTH] = "both",
    NULL,
};
static const char *const forwarded_modes[] = {[CONF_FORWARDED_REPLACE] = "replace",
                                              [CONF_FORWARDED_APPEND] = "append",
                                              [CONF_FORWARDED_PASS] = "pass",
                                              NULL};
static const char *const request_id_modes[] = {[CONF_REQUEST_ID_OFF] = "off",
                                               [CONF_REQUEST_ID_PASS] = "pass",
                                               [CONF_REQUEST_ID_CREATE] = "create",
                                               NULL};
static const char *const traceparents[] = {[CONF_TRACEPARENT_OFF] = "off",
                                           [CONF_TRACEPARENT_PASS] = "pass",
                                           [CONF_TRACEPARENT_START] = "start",
                                           NULL};
static const char *const log_levels[] = {
    [CONF_LOG_DEBUG] = "debug",
    [CONF_LOG_INFO] = "info",
    [CONF_LOG_WARN] = "warn",
    [CONF_LOG_ERROR] = "error",
    NULL,
};
static const char *const log_formats[] = {[CONF_LOG_TEXT] = "text", [CONF_LOG_JSON] = "json", NULL};
static const char *const access_formats[] = {
    [CONF_ACCESS_JSON] = "json", [CONF_ACCESS_COMBINED] = "combined", NULL};

static const char *const tls_versions[] = {[CONF_TLS_1_2] = "1.2", [CONF_TLS_1_3] = "1.3", NULL};
static const char *const ocsp_words[] = {[false] = "off", [true] = "fetch", NULL};
static const char *const acme_challenges[] = {
    [CONF_ACME_TLS_ALPN_01] = "tls-alpn-01", [CONF_ACME_HTTP_01] = "http-01", NULL};
static const char *const acme_keys[] = {[CONF_ACME_ECDSA] = "ecdsa", [CONF_ACME_RSA] = "rsa", NULL};
static const char *const client_auths[] = {[CONF_CLIENT_AUTH_NONE] = "none",
                                           [CONF_CLIENT_AUTH_OPTIONAL] = "optional",
                                           [CONF_CLIENT_AUTH_REQUIRED] = "required",
                                           NULL};

/* In the order of the reference. A section stands before its options. */
const struct conf_option conf_options[] = {
    {.key = "", .type = &conf_type_section, .meaning = "The whole file."},
    {.key = "workers",
     .type = &conf_type_workers,
     AT(conf, workers),
     RANGE(1, 256),
     .fallback = "auto",
     .meaning = "Worker threads, each with its own event loop and its own listening sockets. "
                "`auto` takes one for each processor that the process may use."},
    {.key = "buffer_size",
     .type = &conf_type_size,
     AT(conf, buffer_bytes),
     RANGE(8 * KIB, 16 * MIB),
     .fallback = "32k",
     .meaning =
         "Size of a relay buffer; a request in progress has one for each direction. It must "
         "hold a request head and 4k more. While long bodies flow, the buffer read into grows "
         "to 256k. An idle connection has none."},
    {.key = "memory_limit",
     .type = &conf_type_auto_size,
     AT(conf, memory_bytes),
     RANGE(0, UINT64_C(1) << 50),
     .fallback = "auto",
     .meaning = "What all relay buffers may take together. Each worker has an equal share. While "
                "three quarters of it are in use the worker takes neither connections nor "
                "requests, while all of it is in use no responses; they wait in the kernel, and "
                "so do those who send them. What waits longer than the deadline of what it waits "
                "for ends in `memory_limit`. Buffers count while bytes are in them; a request "
                "under way may go a little over the limit to get on. `auto` is half of the "
                "memory that the process may use, 0 is no limit."},
    {.key = "take_over",
     .type = &conf_type_bool,
     AT(conf, take_over),
     .fallback = "false",
     .meaning = "Whether the listeners' addresses may be in use by another quoit of the same "
                "user, which this one is to replace: the kernel spreads new connections over both "
                "until the first one has drained. Without it an address in use is an error."},
    {.key = "drain_timeout",
     .type = &conf_type_duration,
     AT(conf, drain_ms),
     RANGE(1, 24 * HOUR),
     .fallback = "30s",
     .meaning = "How long a termination signal waits for requests in progress; what still runs "
                "then is cut off."},
    {.key = "traceparent",
     .type = &conf_type_word,
     AT(conf, traceparent),
     .words = traceparents,
     .fallback = "pass",
     .meaning = "W3C Trace Context. `pass` passes a valid `traceparent` and its `tracestate` on as "
                "they came and drops invalid ones; `start` also begins a trace, marked as "
                "sampled, for a request that has no valid one; `off` treats them like any other "
                "field. The trace's id stands in the access log."},

    {.key = "listeners",
     .type = &conf_type_list,
     ENTRIES(conf, listeners, n_listeners),
     .shorthand = "address",
     .is_required = true,
     .meaning = "Where clients connect. A single entry may stand without a list."},
    {.key = "listeners.N.address",
     .type = &conf_type_listen,
     AT(conf_listener, host),
     .is_required = true,
     .meaning = "The address to listen on. Without a host it is all addresses, IPv6 and IPv4."},
    {.key = "listeners.N.backlog",
     .type = &conf_type_number,
     AT(conf_listener, backlog),
     RANGE(1, 65535),
     .fallback = "4096",
     .meaning = "Connections that may wait to be accepted, for each worker. The kernel lowers it "
                "to net.core.somaxconn."},
    {.key = "listeners.N.proxy_protocol",
     .type = &conf_type_bool,
     AT(conf_listener, proxy_protocol),
     .fallback = "false",
     .meaning = "Whether every connection begins with a header of the PROXY protocol, version 1 or "
                "2, which says who the client is. It is taken from `client.trusted_proxies` only; "
                "connections from other addresses, and those that begin otherwise, are closed."},
    {.key = "listeners.N.defer_accept",
     .type = &conf_type_bool,
     AT(conf_listener, defer_accept),
     .fallback = "false",
     .meaning = "Whether the kernel keeps a new connection until its first bytes are there "
                "(TCP_DEFER_ACCEPT). With short connections this saves a third of the work. A "
                "client that says nothing is taken after about a second, and its deadlines begin "
                "then; one that has said nothing yet when quoit ends is reset."},
    {.key = "listeners.N.http2",
     .type = &conf_type_word,
     AT(conf_listener, http2),
     .words = listener_http2_words,
     .fallback = "agreed",
     .meaning = "Whether HTTP/2 is spoken with clients. `agreed`: with those that agree on it in "
                "the handshake of TLS (`listeners.N.tls.alpn`). `on`: also with those that begin "
                "with it without that (prior knowledge, h2c). `only`: nothing else is spoken."},
    {.key = "listeners.N.max_connections",
     .type = &conf_type_number,
     AT(conf_listener, max_connections),
     RANGE(0, 16 * MIB),
     .fallback = "0",
     .meaning = "Client connections of this listener in all workers together; more are closed at "
                "once. 0 is no limit but `client.max_connections`."},

    {.key = "listeners.N.request_headers",
     .type = &conf_type_section,
     AT(conf_listener, request_headers),
     .meaning = "What becomes of the header fields of requests that came here, before the route's "
                "rules: see [header rules](manual.md#header-rules)."},
    {.key = "listeners.N.request_headers.remove",
     .type = &conf_type_field_names,
     ENTRIES(conf_listener, request_headers.remove, request_headers.n_remove),
     .meaning = "Fields that are dropped."},
    {.key = "listeners.N.request_headers.set",
     .type = &conf_type_field_values,
     ENTRIES(conf_listener, request_headers.set, request_headers.n_set),
     .meaning = "Fields in place of all that have their names."},
    {.key = "listeners.N.request_headers.add",
     .type = &conf_type_field_values,
     ENTRIES(conf_listener, request_headers.add, request_headers.n_add),
     .meaning = "Fields beside those that have their names."},
    {.key = "listeners.N.response_headers",
     .type = &conf_type_section,
     AT(conf_listener, response_headers),
     .meaning = "The same for responses, quoit's own included."},
    {.key = "listeners.N.response_headers.remove",
     .type = &conf_type_field_names,
     ENTRIES(conf_listener, response_headers.remove, response_headers.n_remove),
     .meaning = "Fields that are dropped."},
    {.key = "listeners.N.response_headers.set",
     .type = &conf_type_field_values,
     ENTRIES(conf_listener, response_headers.set, response_headers.n_set),
     .meaning = "Fields in place of all that have their names."},
    {.key = "listeners.N.response_headers.add",
     .type = &conf_type_field_values,
     ENTRIES(conf_listener, response_headers.add, response_headers.n_add),
     .meaning = "Fields beside those that have their names."},
    {.key = "listeners.N.redirect_https",
     .type = &conf_type_bool,
     AT(conf_listener, redirect_https),
     .fallback = "false",
     .meaning = "Whether every request is answered 308 with the same address in https, by the host "
                "that it names."},
    {.key = "listeners.N.redirect_https_port",
     .type = &conf_type_number,
     AT(conf_listener, redirect_port),
     RANGE(1, 65535),
     .fallback = "443",
     .meaning = "The port of https in that answer."},
    {.key = "listeners.N.tls",
     .type = &conf_type_section,
     AT(conf_listener, tls),
     .meaning = "Makes it a listener for https. Files are read again when they change and on "
                "SIGHUP; new ones that are no good leave the old ones in use. See "
                "[TLS](manual.md#tls)."},
    {.key = "listeners.N.tls.certificates",
     .type = &conf_type_list,
     ENTRIES(conf_listener, tls.certificates, tls.n_certificates),
     .shorthand = "cert",
     .meaning = "The certificates. A client gets those for the name that it asks for: one with "
                "that very name, else one with `*.` in place of its first label. Of two with the "
                "same name and different kinds of keys, ECDSA and RSA, it gets what it can use. "
                "The first is the default for other names and for clients that name none."},
    {.key = "listeners.N.tls.certificates.N.cert",
     .type = &conf_type_text,
     AT(conf_certificate, cert_file),
     .meaning = "File with the certificate and, behind it, those that lead to its root (PEM)."},
    {.key = "listeners.N.tls.certificates.N.key",
     .type = &conf_type_text,
     AT(conf_certificate, key_file),
     .meaning = "File with its private key (PEM). Without it, the key is in `cert`."},
    {.key = "listeners.N.tls.certificates.N.ocsp",
     .type = &conf_type_text,
     AT(conf_certificate, ocsp_file),
     .meaning = "File with an OCSP response for it (DER), which clients that ask for one get while "
                "it is valid."},
    {.key = "listeners.N.tls.certificates.N.acme",
     .type = &conf_type_acme_names,
     ENTRIES(conf_certificate, names, n_names),
     .meaning = "Instead of `cert`: the names of one certificate that quoit gets and renews by "
                "itself, as the section `acme` says."},
    {.key = "listeners.N.tls.ocsp",
     .type = &conf_type_word,
     AT(conf_listener, tls.fetches_ocsp),
     .words = ocsp_words,
     .fallback = "off",
     .meaning = "`fetch`: certificates without an OCSP response of their own get one from the "
                "responder that they name, again at half of what is left of its validity. The "
                "issuer must stand behind the certificate in its file."},
    {.key = "listeners.N.tls.acme",
     .type = &conf_type_acme_names,
     ENTRIES(conf_listener, tls.acme_names, tls.n_acme_names),
     .meaning = "The names of one certificate that quoit gets and renews by itself, as the section "
                "`acme` says; the short form of one more entry in `certificates`. The first name "
                "is that of its file."},
    {.key = "listeners.N.tls.strict_sni",
     .type = &conf_type_bool,
     AT(conf_listener, tls.strict_sni),
     .fallback = "false",
     .meaning = "Whether a client that names none of the certificates' names is refused."},
    {.key = "listeners.N.tls.alpn",
     .type = &conf_type_alpn,
     ENTRIES(conf_listener, tls.alpn, tls.n_alpn),
     .meaning = "The protocols that clients may agree on, the best one first. Without it `h2` and "
                "`http/1.1`."},
    {.key = "listeners.N.tls.min_version",
     .type = &conf_type_word,
     AT(conf_listener, tls.min_version),
     .words = tls_versions,
     .fallback = "1.2",
     .meaning = "The oldest version of TLS that clients may use."},
    {.key = "listeners.N.tls.max_version",
     .type = &conf_type_word,
     AT(conf_listener, tls.max_version),
     .words = tls_versions,
     .fallback = "1.3",
     .meaning = "The newest one."},
    {.key = "listeners.N.tls.ciphers",
     .type = &conf_type_text,
     AT(conf_listener, tls.ciphers),
     .fallback = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
     .meaning = "Ciphers of TLS 1.2, as OpenSSL names them, in the order of preference: the "
                "default is Mozilla's intermediate one without DHE."},
    {.key = "listeners.N.tls.cipher_suites",
     .type = &conf_type_text,
     AT(conf_listener, tls.cipher_suites),
     .fallback = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
     .meaning = "Cipher suites of TLS 1.3."},
    {.key = "listeners.N.tls.curves",
     .type = &conf_type_text,
     AT(conf_listener, tls.curves),
     .fallback = "X25519:prime256v1:secp384r1",
     .meaning = "Groups for the key exchange, in the order of preference."},
    {.key = "listeners.N.tls.handshake_timeout",
     .type = &conf_type_duration,
     AT(conf_listener, tls.handshake_ms),
     RANGE(1, 1 * HOUR),
     .fallback = "10s",
     .meaning = "How long a handshake may take, from the new connection to its end."},
    {.key = "listeners.N.tls.tickets",
     .type = &conf_type_bool,
     AT(conf_listener, tls.has_tickets),
     .fallback = "true",
     .meaning = "Whether clients get session tickets, with which they come back for a fraction of "
                "a handshake's cost."},
    {.key = "listeners.N.tls.ticket_file",
     .type = &conf_type_text,
     AT(conf_listener, tls.ticket_file),
     .meaning = "File with keys for the tickets, 80 random bytes each as nginx has them, for a "
                "fleet that shares them: the first makes tickets, the others still open them. "
                "Without it the keys are random, and no other process opens the tickets."},
    {.key = "listeners.N.tls.ticket_rotation",
     .type = &conf_type_duration,
     AT(conf_listener, tls.ticket_rotation_ms),
     RANGE(1 * SECOND, 168 * HOUR),
     .fallback = "12h",
     .meaning = "How long a random ticket key makes tickets; for as long again it opens them. "
                "Tickets are good for that long, with a `ticket_file` too, and so are sessions in "
                "`session_cache`."},
    {.key = "listeners.N.tls.session_cache",
     .type = &conf_type_number,
     AT(conf_listener, tls.n_cached_sessions),
     RANGE(0, 16 * MIB),
     .fallback = "0",
     .meaning = "Sessions kept in memory, for all workers, of clients that know no tickets, or of "
                "all with `tickets: false`; the oldest make room. Each takes one to two KiB. A "
                "reload forgets them. 0: none. Not together with `client_auth`."},
    {.key = "listeners.N.tls.client_auth",
     .type = &conf_type_word,
     AT(conf_listener, tls.client_auth),
     .words = client_auths,
     .fallback = "none",
     .meaning = "Whether clients are asked for a certificate: with `optional` they may have none, "
                "but not a bad one."},
    {.key = "listeners.N.tls.client_ca_file",
     .type = &conf_type_text,
     AT(conf_listener, tls.client_ca_file),
     .meaning = "File with the certificates that those of clients are checked against (PEM)."},
    {.key = "listeners.N.tls.client_crl_file",
     .type = &conf_type_text,
     AT(conf_listener, tls.client_crl_file),
     .meaning = "File with the revocation lists of all of these authorities (PEM). Without it "
                "nothing is checked for revocation."},

    {.key = "admin",
     .type = &conf_type_section,
     AT(conf, admin),
     .shorthand = "address",
     .meaning = "The listener for operators and scrapers: `/metrics`, `/healthz`, `/readyz`. "
                "Without this section there is none. It has no access control of its own: keep it "
                "on a private address."},
    {.key = "admin.address",
     .type = &conf_type_listen,
     AT(conf, admin),
     .is_required = true,
     .meaning = "The address of the admin listener."},
    {.key = "admin.backlog",
     .type = &conf_type_number,
     AT(conf, admin.backlog),
     RANGE(1, 65535),
     .fallback = "64",
     .meaning = "Connections that may wait to be accepted on the admin listener."},

    {.key = "client",
     .type = &conf_type_section,
     AT(conf, client),
     .meaning = "Limits and deadlines towards clients, the same for all listeners."},
    {.key = "client.header_timeout",
     .type = &conf_type_duration,
     AT(conf, client.header_timeout_ms),
     RANGE(1, 24 * HOUR),
     .fallback = "10s",
     .meaning = "From the first byte of a request to its complete head, and from a new connection "
                "to its first byte. Ends in 408."},
    {.key = "client.keepalive_timeout",
     .type = &conf_type_duration,
     AT(conf, client.keepalive_timeout_ms),
     RANGE(1, 24 * HOUR),
     .fallback = "60s",
     .meaning = "How long a connection may be idle between two requests before it is closed."},
    {.key = "client.body_timeout",
     .type = &conf_type_duration,
     AT(conf, client.body_timeout_ms),
     RANGE(1, 24 * HOUR),
     .fallback = "30s",
     .meaning = "How long a request body may stand still. Ends in 408."},
    {.key = "client.min_body_rate",
     .type = &conf_type_size,
     AT(conf, client.min_body_rate),
     RANGE(0, 1024 * MIB),
     .fallback = "256b",
     .meaning = "Bytes a second of a request body that a client must send on average over "
                "`client.body_timeout`, else 408. Only time in which quoit waits for the client "
                "counts, not that in which the endpoint takes no more. 0 turns it off: for "
                "request bodies that are streams of rare events."},
    {.key = "client.send_timeout",
     .type = &conf_type_duration,
     AT(conf, client.send_timeout_ms),
     RANGE(1, 24 * HOUR),
     .fallback = "30s",
     .meaning = "How long a client may take no byte of its response, while there are some for "
                "it, before it is cut off."},
    {.key = "client.min_send_rate",
     .type = &conf_type_size,
     AT(conf, client.min_send_rate),
     RANGE(0, 1024 * MIB),
     .fallback = "256b",
     .meaning = "Bytes a second of a response that a client must take on average over "
                "`client.send_timeout`, else it is cut off. Only time in which quoit waits for "
                "the client counts, not that in which the endpoint sends nothing. 0 turns it "
                "off."},
    {.key = "client.max_head_size",
     .type = &conf_type_size,
     AT(conf, client.max_head_bytes),
     RANGE(1 * KIB, 1 * MIB),
     .fallback = "16k",
     .meaning = "Request line and header fields together. More is answered 431."},
    {.key = "client.max_target_size",
     .type = &conf_type_size,
     AT(conf, client.max_target_bytes),
     RANGE(64, 1 * MIB),
     .fallback = "8k",
     .meaning = "The target of a request, path and query. More is answered 414."},
    {.key = "client.max_fields",
     .type = &conf_type_number,
     AT(conf, client.max_fields),
     RANGE(1, 256),
     .fallback = "100",
     .meaning = "Header fields of a request. More are answered 431."},
    {.key = "client.http2_max_streams",
     .type = &conf_type_number,
     AT(conf, client.http2_max_streams),
     RANGE(1, 10000),
     .fallback = "128",
     .meaning = "Requests under way at a time on one HTTP/2 connection. More are refused "
                "(`REFUSED_STREAM`) to a client that has not heard of it, else an error."},
    {.key = "client.http2_window",
     .type = &conf_type_size,
     AT(conf, client.http2_window_bytes),
     RANGE(64 * KIB, 64 * MIB),
     .fallback = "256k",
     .meaning = "What a client may send of one request body over HTTP/2 before the endpoint has "
                "taken it; all streams of a connection together may have four times as much. A "
                "client that is far away sends faster with more."},
    {.key = "client.max_body_size",
     .type = &conf_type_size,
     AT(conf, client.max_body_bytes),
     RANGE(0, UINT64_C(1) << 50),
     .fallback = "0",
     .meaning = "A request body. More is answered 413. 0 is no limit: bodies are streamed, never "
                "stored."},
    {.key = "client.max_connections",
     .type = &conf_type_number,
     AT(conf, client.max_connections),
     RANGE(0, 16 * MIB),
     .fallback = "0",
     .meaning =
         "Client connections of all workers together. For one more an idle one is closed, or "
         "itself if its worker finds none. 0 takes half of the descriptors that the process "
         "may open: as many are left for endpoints."},
    {.key = "client.max_connections_per_address",
     .type = &conf_type_auto_number,
     AT(conf, client.max_connections_per_address),
     RANGE(0, 16 * MIB),
     .fallback = "auto",
     .meaning = "Client connections from one IPv4 address, or one IPv6 network of 64 bits, in all "
                "workers together; more are closed at once. `client.trusted_proxies` may have any "
                "number. `auto` is half of all connections, so that no address can take them "
                "all, 0 is no limit."},
    {.key = "client.max_requests",
     .type = &conf_type_number,
     AT(conf, client.max_requests),
     RANGE(0, UINT32_MAX),
     .fallback = "10000",
     .meaning = "Requests on one connection; the last one's response says `Connection: close`, on "
                "an HTTP/2 connection a GOAWAY frame does. 0 is no limit."},

    {.key = "client.trusted_proxies",
     .type = &conf_type_cidrs,
     ENTRIES(conf, client.trusted_proxies, client.n_trusted_proxies),
     .meaning = "Addresses of the proxies in front of quoit. Only what these say in "
                "X-Forwarded-For is believed: the client is the last address in it that is not "
                "one of theirs. Without it the client is always who has connected."},

    {.key = "client.subject_header",
     .type = &conf_type_field,
     AT(conf, client.subject_header),
     RANGE(1, 64),
     .meaning = "The field that tells endpoints the subject of a client's certificate (RFC 2253). "
                "Fields of that name in a request are removed, whoever sends them."},
    {.key = "client.fingerprint_header",
     .type = &conf_type_field,
     AT(conf, client.fingerprint_header),
     RANGE(1, 64),
     .meaning = "The same for its fingerprint, SHA-256 in hexadecimal digits."},
    {.key = "client.explain_header",
     .type = &conf_type_field,
     AT(conf, client.explain_header),
     RANGE(1, 64),
     .meaning = "A request that carries this field gets a response field of the same name that "
                "says why it went to its endpoint: key, hash, slot, candidates and choice. "
                "Endpoints do not see the field. It tells of the pool's insides, so set "
                "`explain_token` unless all clients may know. Without it nothing is explained."},
    {.key = "client.explain_token",
     .type = &conf_type_secret,
     AT(conf, client.explain_token),
     .meaning = "What the value of `explain_header` must be; without it any value will do."},

    {.key = "forwarded_headers",
     .type = &conf_type_section,
     AT(conf, forwarded),
     .meaning = "How endpoints learn who the client is. What untrusted clients say in such fields, "
                "of either family, is always removed."},
    {.key = "forwarded_headers.family",
     .type = &conf_type_word,
     AT(conf, forwarded.family),
     .words = forwarded_families,
     .fallback = "x_forwarded",
     .meaning = "The fields that are set: `x_forwarded` is X-Forwarded-For, -Proto, -Host and "
                "-Port, `forwarded` is Forwarded (RFC 7239)."},
    {.key = "forwarded_headers.mode",
     .type = &conf_type_word,
     AT(conf, forwarded.mode),
     .words = forwarded_modes,
     .fallback = "append",
     .meaning = "What becomes of the fields of a peer in `client.trusted_proxies`. `append` "
                "continues X-Forwarded-For and Forwarded, and keeps the peer's X-Forwarded-Proto, "
                "-Host and -Port; `replace` treats it as any client; `pass` leaves its fields as "
                "they are and adds none."},

    {.key = "request_id",
     .type = &conf_type_section,
     AT(conf, request_id),
     .shorthand = "mode",
     .meaning = "A name for every request, for endpoints and the access log."},
    {.key = "request_id.mode",
     .type = &conf_type_word,
     AT(conf, request_id.mode),
     .words = request_id_modes,
     .fallback = "pass",
     .meaning = "`pass` passes on what the client calls it (1 to 128 letters, digits and "
                "`!#$%&'*+-.^_|~/:=@`), else creates a name of 32 hexadecimal digits; `create` "
                "always creates one; `off` treats the field like any other."},
    {.key = "request_id.header",
     .type = &conf_type_field,
     AT(conf, request_id.header),
     RANGE(1, 64),
     .fallback = "X-Request-Id",
     .meaning = "The field that carries it."},
    {.key = "request_id.to_client",
     .type = &conf_type_bool,
     AT(conf, request_id.to_client),
     .fallback = "false",
     .meaning = "Whether responses carry it too, in place of the endpoint's own field of that "
                "name."},

    {.key = "consul",
     .type = &conf_type_section,
     AT(conf, consul),
     .meaning = "How services are looked up. Only pools with a `service` use it."},
    {.key = "consul.address",
     .type = &conf_type_urls,
     ENTRIES(conf, consul.addresses, consul.n_addresses),
     .fallback = "http://127.0.0.1:8500",
     .meaning = "The Consul agents to ask, tried in order. The local agent is the best choice."},
    {.key = "consul.token",
     .type = &conf_type_secret,
     AT(conf, consul.token),
     .meaning = "ACL token. It needs `service:read` and `node:read` for what is looked up."},
    {.key = "consul.token_file",
     .type = &conf_type_text,
     AT(conf, consul.token_file),
     .meaning = "File with the ACL token, read anew before each query, so that a token can be "
                "replaced without a restart. Not together with `token`."},
    {.key = "consul.ca_file",
     .type = &conf_type_text,
     AT(conf, consul.ca_file),
     .meaning = "File with the certificates that an agent's certificate is checked against (PEM). "
                "Without it the system's are used."},
    {.key = "consul.cert_file",
     .type = &conf_type_text,
     AT(conf, consul.cert_file),
     .meaning = "File with our own certificate for the agent (PEM). Goes with `key_file`."},
    {.key = "consul.key_file",
     .type = &conf_type_text,
     AT(conf, consul.key_file),
     .meaning = "File with the private key of `cert_file` (PEM)."},
    {.key = "consul.wait",
     .type = &conf_type_duration,
     AT(conf, consul.wait_ms),
     RANGE(1 * SECOND, 10 * MINUTE),
     .fallback = "60s",
     .meaning =
         "How long a blocking query may wait for a change. Changes are seen at once whatever "
         "it is."},
    {.key = "consul.connect_timeout",
     .type = &conf_type_duration,
     AT(conf, consul.connect_timeout_ms),
     RANGE(1, 10 * MINUTE),
     .fallback = "2s",
     .meaning = "How long connecting to an agent may take before the next one is tried."},
    {.key = "consul.stale",
     .type = &conf_type_bool,
     AT(conf, consul.stale),
     .fallback = "true",
     .meaning = "Whether any Consul server may answer, not only the leader. Discovery then goes on "
                "while the servers elect one."},
    {.key = "consul.max_stale",
     .type = &conf_type_duration,
     AT(conf, consul.max_stale_ms),
     RANGE(0, 24 * HOUR),
     .fallback = "10s",
     .meaning = "An answer from a server that has been out of touch with the leader for longer is "
                "asked for again from the leader."},
    {.key = "consul.hold",
     .type = &conf_type_duration,
     AT(conf, consul.hold_ms),
     RANGE(0, 24 * HOUR),
     .fallback = "30s",
     .meaning =
         "How long Consul must affirm that a service has no instances before a pool that had "
         "some becomes empty. 0 believes the first answer."},
    {.key = "consul.backoff_min",
     .type = &conf_type_duration,
     AT(conf, consul.backoff_min_ms),
     RANGE(1, 10 * MINUTE),
     .fallback = "250ms",
     .meaning = "The pause after a first failed query; each further one doubles it, with jitter."},
    {.key = "consul.backoff_max",
     .type = &conf_type_duration,
     AT(conf, consul.backoff_max_ms),
     RANGE(1, 1 * HOUR),
     .fallback = "30s",
     .meaning = "The longest pause between failing queries. At least `backoff_min`."},

    {.key = "acme",
     .type = &conf_type_section,
     AT(conf, acme),
     .meaning = "Certificates that quoit gets and renews by itself from an authority that speaks "
                "ACME (RFC 8555), for the names in `listeners.N.tls.acme`. See "
                "[Certificates on their own](manual.md#certificates-on-their-own)."},
    {.key = "acme.agree_to_terms",
     .type = &conf_type_bool,
     AT(conf, acme.agree_to_terms),
     .fallback = "false",
     .meaning = "Whether you agree to the authority's terms of service. Must be `true`: without it "
                "there are no certificates."},
    {.key = "acme.contact",
     .type = &conf_type_acme_contacts,
     ENTRIES(conf, acme.contacts, acme.n_contacts),
     .meaning = "Where the authority may write to about the certificates. Some demand one."},
    {.key = "acme.directory",
     .type = &conf_type_acme_url,
     AT(conf, acme.directory),
     .fallback = "https://acme-v02.api.letsencrypt.org/directory",
     .meaning = "The authority's directory. Another one means other certificates: what came from "
                "the one before stays in the storage, unused. For trials there is "
                "`https://acme-staging-v02.api.letsencrypt.org/directory`."},
    {.key = "acme.ca_file",
     .type = &conf_type_text,
     AT(conf, acme.ca_file),
     .meaning = "File with the certificates that the directory's own is checked against (PEM). "
                "Without it the system's are used."},
    {.key = "acme.challenge",
     .type = &conf_type_word,
     AT(conf, acme.challenge),
     .words = acme_challenges,
     .fallback = "tls-alpn-01",
     .meaning = "How the authority is shown that a name is ours. `tls-alpn-01`: it connects to the "
                "name's port 443, which must lead to a listener with TLS. `http-01`: to its port "
                "80, which must lead to a listener without."},
    {.key = "acme.key_type",
     .type = &conf_type_word,
     AT(conf, acme.key_type),
     .words = acme_keys,
     .fallback = "ecdsa",
     .meaning = "The kind of key that certificates get: `ecdsa` is P-256, `rsa` has 2048 bits. A "
                "change counts from the next renewal on."},
    {.key = "acme.storage",
     .type = &conf_type_text,
     AT(conf, acme.storage),
     .fallback = "/var/lib/quoit/acme",
     .meaning = "Folder for the account's key and the certificates with their keys. It is made "
                "where it is not there, for its owner alone."},
    {.key = "acme.eab",
     .type = &conf_type_section,
     AT(conf, acme),
     .meaning = "Binds the account to one that the authority knows already (external account "
                "binding), which some demand. It gives out both values."},
    {.key = "acme.eab.kid",
     .type = &conf_type_acme_kid,
     AT(conf, acme.eab_kid),
     .is_required = true,
     .meaning = "The key's identifier."},
    {.key = "acme.eab.key",
     .type = &conf_type_base64url,
     AT(conf, acme.eab_key),
     .meaning = "The key, in base64url. Not together with `key_file`."},
    {.key = "acme.eab.key_file",
     .type = &conf_type_text,
     AT(conf, acme.eab_key_file),
     .meaning = "File with the key, in base64url, read when an account is made."},

    {.key = "log", .type = &conf_type_section, AT(conf, log), .meaning = "What is written down."},
    {.key = "log.level",
     .type = &conf_type_word,
     AT(conf, log.level),
     .words = log_levels,
     .fallback = "info",
     .meaning = "The least important events that are logged."},
    {.key = "log.format",
     .type = &conf_type_word,
     AT(conf, log.format),
     .words = log_formats,
     .fallback = "text",
     .meaning = "Format of the event log, which goes to standard error: an event name and "
                "key=value pairs, or the same as a JSON object a line."},
    {.key = "log.access",
     .type = &conf_type_text,
     AT(conf, log.access_file),
     .meaning = "File of the access log, one line a request; `-` is standard output. Without it "
                "there is no access log."},
    {.key = "log.access_format",
     .type = &conf_type_word,
     AT(conf, log.access_format),
     .words = access_formats,
     .fallback = "json",
     .meaning = "Format of the access log: a JSON object a line, or the combined format of web "
                "servers with quoit's own fields behind."},

    {.key = "routes",
     .type = &conf_type_list,
     ENTRIES(conf, routes, n_routes),
     .meaning = "Which pool takes a request. The most specific host wins, then the longest path. "
                "A request without a route is answered 404. With a single pool and no routes all "
                "requests go there."},
    {.key = "routes.N.host",
     .type = &conf_type_route_host,
     AT(conf_route, host),
     .meaning = "Host of the request, without port and in any case. `*.example.com` stands for all "
                "names below example.com. Without it the route takes any host."},
    {.key = "routes.N.path",
     .type = &conf_type_path,
     AT(conf_route, path),
     .fallback = "/",
     .meaning = "Beginning of the request's path, in whole segments: `/img` takes `/img` and "
                "`/img/a`, not `/images`."},
    {.key = "routes.N.pool",
     .type = &conf_type_text,
     AT(conf_route, pool_name),
     .is_required = true,
     .meaning = "Name of the pool."},
    {.key = "routes.N.request_headers",
     .type = &conf_type_section,
     AT(conf_route, request_headers),
     .meaning = "What becomes of the header fields of requests, after the listener's rules: see "
                "[header rules](manual.md#header-rules)."},
    {.key = "routes.N.request_headers.remove",
     .type = &conf_type_field_names,
     ENTRIES(conf_route, request_headers.remove, request_headers.n_remove),
     .meaning = "Fields that are dropped."},
    {.key = "routes.N.request_headers.set",
     .type = &conf_type_field_values,
     ENTRIES(conf_route, request_headers.set, request_headers.n_set),
     .meaning = "Fields in place of all that have their names."},
    {.key = "routes.N.request_headers.add",
     .type = &conf_type_field_values,
     ENTRIES(conf_route, request_headers.add, request_headers.n_add),
     .meaning = "Fields beside those that have their names."},
    {.key = "routes.N.response_headers",
     .type = &conf_type_section,
     AT(conf_route, response_headers),
     .meaning = "The same for responses, quoit's own to these requests included."},
    {.key = "routes.N.response_headers.remove",
     .type = &conf_type_field_names,
     ENTRIES(conf_route, response_headers.remove, response_headers.n_remove),
     .meaning = "Fields that are dropped."},
    {.key = "routes.N.response_headers.set",
     .type = &conf_type_field_values,
     ENTRIES(conf_route, response_headers.set, response_headers.n_set),
     .meaning = "Fields in place of all that have their names."},
    {.key = "routes.N.response_headers.add",
     .type = &conf_type_field_values,
     ENTRIES(conf_route, response_headers.add, response_headers.n_add),
     .meaning = "Fields beside those that have their names."},

    {.key = "pools",
     .type = &conf_type_map,
     ENTRIES(conf, pools, n_pools),
     .is_required = true,
     .meaning = "The groups of endpoints that requests are spread over. A name is made of letters, "
                "digits, `_`, `.` and `-`. A pool has static `endpoints`, a `service`, or both."},
    {.key = "pools.NAME.endpoints",
     .type = &conf_type_list,
     ENTRIES(conf_pool, endpoints, n_endpoints),
     .shorthand = "address",
     .meaning = "Static endpoints. An entry is an address or a map."},
    {.key = "pools.NAME.endpoints.N.address",
     .type = &conf_type_endpoint,
     AT(conf_endpoint, host),
     .is_required = true,
     .meaning = "Where the endpoint listens. A name is resolved once, at the start."},
    {.key = "pools.NAME.endpoints.N.id",
     .type = &conf_type_text,
     AT(conf_endpoint, id),
     .meaning =
         "Its name in the hash and in the pool, instead of its address and port: what another "
         "program's configuration calls it when keys shall stay where that program put them, "
         "such as `backend.example.com` or `unix:/run/a.sock` for nginx, or a name that "
         "outlives its address."},
    {.key = "pools.NAME.endpoints.N.weight",
     .type = &conf_type_decimal,
     AT(conf_endpoint, weight),
     RANGE(0, 65536),
     .fallback = "1",
     .meaning = "Its share of the requests in relation to the others' weights. 0 gives it no new "
                "requests."},
    {.key = "pools.NAME.service",
     .type = &conf_type_section,
     AT(conf_pool, service),
     .shorthand = "name",
     .meaning = "The Consul service whose instances are endpoints of the pool."},
    {.key = "pools.NAME.service.name",
     .type = &conf_type_text,
     AT(conf_pool, service.name),
     .is_required = true,
     .meaning = "Name of the service."},
    {.key = "pools.NAME.service.datacenter",
     .type = &conf_type_text,
     AT(conf_pool, service.datacenter),
     .meaning = "Consul datacenter. Without it, the agent's own."},
    {.key = "pools.NAME.service.tag",
     .type = &conf_type_text,
     AT(conf_pool, service.tag),
     .meaning = "Only instances with this tag."},
    {.key = "pools.NAME.service.filter",
     .type = &conf_type_text,
     AT(conf_pool, service.filter),
     .meaning = "Only instances for which this Consul filter expression holds."},
    {.key = "pools.NAME.service.warning",
     .type = &conf_type_word,
     AT(conf_pool, service.use_warning),
     .words = warnings,
     .fallback = "use",
     .meaning = "Instances that Consul has in state warning: `use` them with their warning weight, "
                "or `skip` them."},
    {.key = "pools.NAME.algorithm",
     .type = &conf_type_word,
     AT(conf_pool, algorithm),
     .words = algorithms,
     .fallback = "hash",
     .meaning = "How an endpoint is chosen. `hash` and `ring` hash a key of the request "
                "consistently, so that equal keys meet the same endpoint and a change of the pool "
                "moves only the keys it must: `hash` by a table of slots, `ring` by virtual nodes "
                "on a circle. `round_robin` takes turns by weight, `least_requests` takes the "
                "endpoint with the fewest requests in progress for its weight, `random_two` the "
                "better of two random ones. The others hash as the programs they are named for, "
                "key for key, so that caches stay warm when balancing moves here; see "
                "[hashing.md](hashing.md)."},
    {.key = "pools.NAME.hash_key",
     .type = &conf_type_key,
     AT(conf_pool, key),
     .fallback = "path",
     .meaning = "What is hashed: a part of the request, such as its `path` without the query, its "
                "`uri` with it or the `client`'s address; or a template that joins several parts "
                "and text. `none` goes round robin. Every source and filter is described in "
                "[Keys](manual.md#keys)."},
    {.key = "pools.NAME.hash_key_fallback",
     .type = &conf_type_key,
     AT(conf_pool, key_fallback),
     .fallback = "client",
     .meaning = "What is hashed when a request lacks the `hash_key`."},
    {.key = "pools.NAME.hash_key_body",
     .type = &conf_type_size,
     AT(conf_pool, key_body_bytes),
     RANGE(64, 1 * MIB),
     .fallback = "8k",
     .meaning = "How much of a request's body is waited for and looked through when a key has "
                "`json:` or `form:` fields. A field that is not complete in it is lacking. It has "
                "its place in a `buffer_size` beside a whole request head."},
    {.key = "pools.NAME.identity",
     .type = &conf_type_identity,
     AT(conf_pool, identity),
     .fallback = "address",
     .meaning =
         "What an endpoint's place in the hash hangs on: its `address` and port; the datacenter, "
         "node and ID of its Consul `service`; or what its service metadata has under a key, "
         "`meta:shard` for example. With the last two an instance keeps its keys when it comes "
         "back at another address. An instance without the key, or with a value that another one "
         "has too, goes by its address, with a warning. Static endpoints have only the address, or "
         "their `id`."},
    {.key = "pools.NAME.affinity",
     .type = &conf_type_word,
     AT(conf_pool, affinity),
     .words = affinities,
     .fallback = "auto",
     .meaning = "What a key's endpoint means. `cache`: its best place; while that endpoint is over "
                "its bound, or the key is so hot that it would load it too much, the key's next "
                "endpoints take part. `strict`: its only place as long as that endpoint is up, as "
                "sessions need it. `auto` is `cache` for `hash` and `ring`, and `strict` for the "
                "algorithms of other programs."},
    {.key = "pools.NAME.balance_factor",
     .type = &conf_type_decimal,
     AT(conf_pool, balance_factor),
     RANGE(0, 1000),
     .fallback = "1.5",
     .meaning = "Bounded load: an endpoint takes a request by hash while it has fewer in flight "
                "than this many times its fair share of the pool's, plus `balance_slack`. 0 sets "
                "no bound; 1.25 with a slack of 0 is HAProxy's `hash-balance-factor 125`. Only "
                "with affinity `cache`."},
    {.key = "pools.NAME.balance_slack",
     .type = &conf_type_decimal,
     AT(conf_pool, balance_slack),
     RANGE(0, 1000),
     .fallback = "3",
     .meaning = "So many times the square root of its fair share an endpoint may have in flight "
                "on top of `balance_factor`: what chance alone puts there, so that keys do not "
                "leave their caches while few requests are in flight."},
    {.key = "pools.NAME.hot_key_share",
     .type = &conf_type_decimal,
     AT(conf_pool, hot_key_share),
     RANGE(0, 1000),
     .fallback = "0.05",
     .meaning = "A key that brings more than this part of one endpoint's fair load is hot: it is "
                "served by as many of its endpoints as it has such parts, the one with the fewest "
                "requests in flight each time. 0 knows no hot keys. Only with affinity `cache`."},
    {.key = "pools.NAME.slots",
     .type = &conf_type_power,
     AT(conf_pool, slots),
     RANGE(1u << 10, 1u << 22),
     .fallback = "262144",
     .meaning = "Size of the slot table of `hash`. At least a hundred for each endpoint keep the "
                "shares even."},
    {.key = "pools.NAME.points",
     .type = &conf_type_number,
     AT(conf_pool, points),
     RANGE(1, 65536),
     .fallback = "160",
     .meaning = "Virtual nodes of `ring` for an endpoint of weight 1."},
    {.key = "pools.NAME.haproxy_hash",
     .type = &conf_type_word,
     AT(conf_pool, compat.haproxy_hash),
     .words = haproxy_hashes,
     .fallback = "sdbm",
     .meaning = "How `haproxy` hashes keys: the function of HAProxy's `hash-type consistent`."},
    {.key = "pools.NAME.haproxy_avalanche",
     .type = &conf_type_bool,
     AT(conf_pool, compat.haproxy_avalanche),
     .fallback = "true",
     .meaning = "Whether `haproxy` mixes the hash of a key once more. HAProxy does for `hash-type "
                "consistent` alone and where `avalanche` stands behind the function, and does not "
                "for a function alone."},
    {.key = "pools.NAME.table_size",
     .type = &conf_type_prime,
     AT(conf_pool, compat.table_size),
     RANGE(2, 5000011),
     .fallback = "65537",
     .meaning = "Size of the table of `envoy_maglev`: Envoy's `table_size`."},
    {.key = "pools.NAME.min_ring",
     .type = &conf_type_number,
     AT(conf_pool, compat.min_ring),
     RANGE(1, 8388608),
     .fallback = "1024",
     .meaning = "Least number of points of `envoy_ring`, all endpoints together: Envoy's "
                "`minimum_ring_size`."},
    {.key = "pools.NAME.seed",
     .type = &conf_type_number,
     AT(conf_pool, seed),
     RANGE(0, UINT64_MAX),
     .fallback = "0",
     .meaning =
         "Mixed into every hash of `hash` and `ring`. Balancers that shall agree on who owns "
         "a key need the same one."},
    {.key = "pools.NAME.ramp",
     .type = &conf_type_duration,
     AT(conf_pool, ramp_ms),
     RANGE(0, 24 * HOUR),
     .fallback = "0",
     .meaning =
         "How long an endpoint takes to come to its weight, step by step, when it is new, back "
         "after an outage at least as long, or has another weight in Consul; and to give its keys "
         "up when its weight becomes 0 or Consul has it in maintenance. Its keys come with its "
         "weight, so that caches fill gradually. 0 is at once. Not for the algorithms of other "
         "programs, whose layout is theirs."},
    {.key = "pools.NAME.retries",
     .type = &conf_type_number,
     AT(conf_pool, retries),
     RANGE(0, 15),
     .fallback = "2",
     .meaning = "Further attempts, each at another endpoint, when one fails before it can have "
                "processed the request, or for idempotent methods before it has answered."},
    {.key = "pools.NAME.retry",
     .type = &conf_type_section,
     AT(conf_pool, retry),
     .meaning = "When and how further attempts are made; `retries` says how many. See [Failures "
                "and retries](manual.md#failures-and-retries)."},
    {.key = "pools.NAME.retry.on",
     .type = &conf_type_retry_on,
     ENTRIES(conf_pool, retry.on, retry.n_on),
     .fallback = "failure",
     .meaning =
         "What is tried again: `connect` (no connection in time, or no way to the endpoint), "
         "`refused` (the connection was refused), `reset` (the endpoint was lost before it "
         "answered), `timeout` (it kept silent for too long), and answers with the status `502`, "
         "`503` or `504`. `failure` is the first four. An answer is passed on after all when "
         "there is no further attempt."},
    {.key = "pools.NAME.retry.non_idempotent",
     .type = &conf_type_bool,
     AT(conf_pool, retry.non_idempotent),
     .fallback = "false",
     .meaning = "Whether requests that are not idempotent (POST, PATCH) are sent again like the "
                "others, so that an endpoint may see one twice."},
    {.key = "pools.NAME.retry.timeout",
     .type = &conf_type_duration,
     AT(conf_pool, retry.timeout_ms),
     RANGE(0, 24 * HOUR),
     .fallback = "0",
     .meaning = "How long one attempt may take, from its beginning to the head of its response, "
                "while another one can follow; the last has until `timeouts.response`. 0 is no "
                "limit."},
    {.key = "pools.NAME.retry.hedge",
     .type = &conf_type_duration,
     AT(conf_pool, retry.hedge_ms),
     RANGE(0, 24 * HOUR),
     .fallback = "0",
     .meaning = "How long an endpoint may keep silent before another one is asked beside it; the "
                "first that answers serves the request, the other attempt is ended. Only for "
                "idempotent requests without a body that no session and no strict key ties to one "
                "endpoint. It counts as one of the `retries`, and needs a place in the `budget`. 0 "
                "is never."},
    {.key = "pools.NAME.retry.budget",
     .type = &conf_type_decimal,
     AT(conf_pool, retry.budget),
     RANGE(0, 1),
     .fallback = "0.2",
     .meaning = "How large a part of the pool's requests in flight, of all workers, may be "
                "retries, so that they cannot become a storm. Requests that no endpoint has seen "
                "yet do not count."},
    {.key = "pools.NAME.retry.budget_min",
     .type = &conf_type_number,
     AT(conf_pool, retry.budget_min),
     RANGE(0, 65535),
     .fallback = "20",
     .meaning = "So many retries may be in flight whatever their part is: what an endpoint of a "
                "small pool had in its hands when it died is not lost."},
    {.key = "pools.NAME.max_idle",
     .type = &conf_type_number,
     AT(conf_pool, max_idle),
     RANGE(0, 65535),
     .fallback = "256",
     .meaning = "Idle connections kept open to each endpoint, for each worker."},
    {.key = "pools.NAME.max_connection_age",
     .type = &conf_type_duration,
     AT(conf_pool, max_connection_age_ms),
     RANGE(0, 168 * HOUR),
     .fallback = "0",
     .meaning =
         "How old a connection to an endpoint may be when it takes a request. 0 is no limit."},
    {.key = "pools.NAME.max_connection_requests",
     .type = &conf_type_number,
     AT(conf_pool, max_connection_requests),
     RANGE(0, UINT32_MAX),
     .fallback = "0",
     .meaning = "Requests that one connection to an endpoint carries before it is closed. 0 is no "
                "limit."},
    {.key = "pools.NAME.max_connections",
     .type = &conf_type_number,
     AT(conf_pool, max_connections),
     RANGE(0, 16 * MIB),
     .fallback = "0",
     .meaning = "Connections in use at one endpoint at the same time, of all workers together, "
                "which is the requests and tunnels that it has. More wait in the `queue`, unless "
                "they may go to another endpoint. Idle connections come on top, at most `max_idle` "
                "for each worker. Over HTTP/2 requests share connections, and it is the requests "
                "that count. 0 is no limit."},
    {.key = "pools.NAME.queue",
     .type = &conf_type_number,
     AT(conf_pool, queue),
     RANGE(0, 16 * MIB),
     .fallback = "1024",
     .meaning = "Requests of the pool that may wait for room at an endpoint, for each worker, when "
                "`max_connections` are in use. More are answered 503; with 0, nothing waits."},

    {.key = "pools.NAME.sticky",
     .type = &conf_type_section,
     AT(conf_pool, sticky),
     .shorthand = "name",
     .meaning = "Cookie affinity: an answer sets a cookie that names the endpoint it came from, "
                "and requests that bring it go there, whatever the `algorithm` and even at weight "
                "0, as long as that endpoint is up. Without this section there is none."},
    {.key = "pools.NAME.sticky.name",
     .type = &conf_type_token,
     AT(conf_pool, sticky.name),
     .is_required = true,
     .meaning = "Name of the cookie. Pools that a browser meets on the same host each need their "
                "own."},
    {.key = "pools.NAME.sticky.secret",
     .type = &conf_type_secret,
     AT(conf_pool, sticky.secret),
     .meaning = "What the cookies are signed with, 16 bytes to 4096, the same in all balancers of "
                "a fleet. Without it and `secret_file` a random one is made at every start, and "
                "the cookies of before are worth nothing then."},
    {.key = "pools.NAME.sticky.secret_file",
     .type = &conf_type_text,
     AT(conf_pool, sticky.secret_file),
     .meaning = "File with the secret, read once at the start; a line end behind it does not "
                "count. Not together with `secret`."},
    {.key = "pools.NAME.sticky.max_age",
     .type = &conf_type_duration,
     AT(conf_pool, sticky.max_age_ms),
     RANGE(0, UINT64_C(400) * 24 * HOUR),
     .fallback = "0",
     .meaning = "How long a browser keeps the cookie, from when it was set, in whole seconds. 0 "
                "is until the browser ends."},
    {.key = "pools.NAME.sticky.path",
     .type = &conf_type_path,
     AT(conf_pool, sticky.path),
     .fallback = "/",
     .meaning = "Beginning of the paths that a browser sends the cookie with."},
    {.key = "pools.NAME.sticky.domain",
     .type = &conf_type_domain,
     AT(conf_pool, sticky.domain),
     .meaning = "Domain whose hosts all get the cookie. Without it, only the host that set it."},
    {.key = "pools.NAME.sticky.secure",
     .type = &conf_type_bool,
     AT(conf_pool, sticky.secure),
     .fallback = "false",
     .meaning = "Whether the cookie is for https only: where TLS ends in front of quoit."},
    {.key = "pools.NAME.sticky.http_only",
     .type = &conf_type_bool,
     AT(conf_pool, sticky.http_only),
     .fallback = "true",
     .meaning = "Whether scripts in a page may not read the cookie."},
    {.key = "pools.NAME.sticky.same_site",
     .type = &conf_type_word,
     AT(conf_pool, sticky.same_site),
     .words = same_sites,
     .fallback = "lax",
     .meaning = "Whether the cookie comes along with requests that other sites cause: always "
                "(`none`, which needs `secure`), when the user follows a link (`lax`), or never "
                "(`strict`)."},
    {.key = "pools.NAME.sticky.strip",
     .type = &conf_type_bool,
     AT(conf_pool, sticky.strip),
     .fallback = "false",
     .meaning = "Whether the cookie is taken out of requests before an endpoint sees them. Caches "
                "that pass by what has a cookie need it."},
    {.key = "pools.NAME.send_proxy_protocol",
     .type = &conf_type_word,
     AT(conf_pool, send_proxy),
     .words = send_proxies,
     .fallback = "off",
     .meaning = "Begins each connection to an endpoint with a PROXY protocol header that says who "
                "the client is. Such a connection serves one request, for the next may be "
                "another client's: each costs a new one. HTTP checks of the endpoint's own port "
                "begin with a version 1 header of their own."},
    {.key = "pools.NAME.http2",
     .type = &conf_type_word,
     AT(conf_pool, http2),
     .words = http2_words,
     .fallback = "off",
     .meaning = "Whether endpoints are spoken to in HTTP/2. `on` needs `tls`: an endpoint chooses "
                "(ALPN) between it and HTTP/1.1. `only`: nothing else is spoken, without TLS by "
                "prior knowledge (h2c), and an endpoint that does not agree is one that cannot be "
                "connected to (`http2_refused`); HTTP checks of the endpoint's own port do the "
                "same. Requests to upgrade, WebSockets among them, go over HTTP/1.1, and with "
                "`only` are answered 501."},
    {.key = "pools.NAME.http2_max_streams",
     .type = &conf_type_number,
     AT(conf_pool, http2_max_streams),
     RANGE(1, 10000),
     .fallback = "100",
     .meaning = "Requests at once over one HTTP/2 connection to an endpoint, or fewer if the "
                "endpoint says so. Another connection is opened when all that a worker has are "
                "full."},

    {.key = "pools.NAME.tls",
     .type = &conf_type_section,
     AT(conf_pool, tls),
     .meaning = "Connects to the endpoints by TLS, and so do HTTP checks of them; `{}` will do. "
                "Without this section connections are plain."},
    {.key = "pools.NAME.tls.verify",
     .type = &conf_type_bool,
     AT(conf_pool, tls.verify),
     .fallback = "true",
     .meaning = "Whether an endpoint must show a certificate that is good, and for its name. "
                "`false` lets anybody in between read and change everything."},
    {.key = "pools.NAME.tls.ca_file",
     .type = &conf_type_text,
     AT(conf_pool, tls.ca_file),
     .meaning = "File with the certificates that an endpoint's is checked against (PEM). Without "
                "it the system's are used."},
    {.key = "pools.NAME.tls.server_name",
     .type = &conf_type_text,
     AT(conf_pool, tls.server_name),
     .meaning = "The name that endpoints are asked for, and that their certificates must have. "
                "Without it, it is the host of an endpoint's address; a numeric one must stand in "
                "the certificate as an address."},
    {.key = "pools.NAME.tls.cert",
     .type = &conf_type_text,
     AT(conf_pool, tls.cert_file),
     .meaning = "File with a certificate of our own to show, with its chain (PEM)."},
    {.key = "pools.NAME.tls.key",
     .type = &conf_type_text,
     AT(conf_pool, tls.key_file),
     .meaning = "File with its private key (PEM). Without it, the key is in `cert`."},
    {.key = "pools.NAME.tls.min_version",
     .type = &conf_type_word,
     AT(conf_pool, tls.min_version),
     .words = tls_versions,
     .fallback = "1.2",
     .meaning = "The oldest version of TLS that endpoints may use."},

    {.key = "pools.NAME.timeouts",
     .type = &conf_type_section,
     AT(conf_pool, timeouts),
     .meaning = "Deadlines towards the endpoints."},
    {.key = "pools.NAME.timeouts.connect",
     .type = &conf_type_duration,
     AT(conf_pool, timeouts.connect_ms),
     RANGE(1, 1 * HOUR),
     .fallback = "2s",
     .meaning = "Connecting. Then another endpoint is tried, or the answer is 504."},
    {.key = "pools.NAME.timeouts.response",
     .type = &conf_type_duration,
     AT(conf_pool, timeouts.response_ms),
     RANGE(1, 24 * HOUR),
     .fallback = "30s",
     .meaning = "From the request sent to the head of its response. Ends in 504."},
    {.key = "pools.NAME.timeouts.idle",
     .type = &conf_type_duration,
     AT(conf_pool, timeouts.idle_ms),
     RANGE(1, 24 * HOUR),
     .fallback = "60s",
     .meaning = "How long a body may stand still between quoit and the endpoint."},
    {.key = "pools.NAME.timeouts.total",
     .type = &conf_type_duration,
     AT(conf_pool, timeouts.total_ms),
     RANGE(0, 24 * HOUR),
     .fallback = "0",
     .meaning = "The whole request, retries and bodies included. 0 is no limit."},
    {.key = "pools.NAME.timeouts.tunnel",
     .type = &conf_type_duration,
     AT(conf_pool, timeouts.tunnel_ms),
     RANGE(1, 168 * HOUR),
     .fallback = "1h",
     .meaning = "How long a tunnel (WebSocket) may be idle."},
    {.key = "pools.NAME.timeouts.keepalive",
     .type = &conf_type_duration,
     AT(conf_pool, timeouts.keepalive_ms),
     RANGE(1, 24 * HOUR),
     .fallback = "30s",
     .meaning = "How long an idle connection to an endpoint is kept. Best below the endpoint's own "
                "limit."},
    {.key = "pools.NAME.timeouts.queue",
     .type = &conf_type_duration,
     AT(conf_pool, timeouts.queue_ms),
     RANGE(1, 1 * HOUR),
     .fallback = "5s",
     .meaning = "How long a request may wait in the `queue`. Ends in 503."},

    {.key = "pools.NAME.health_check",
     .type = &conf_type_section,
     AT(conf_pool, check),
     .meaning =
         "Probes of quoit's own. Without this section there are none, and only Consul's view "
         "counts; an empty one (`{}`) asks for `/` by HTTP."},
    {.key = "pools.NAME.health_check.type",
     .type = &conf_type_word,
     AT(conf_pool, check.type),
     .words = check_types,
     .fallback = "http",
     .meaning = "`http` sends a request and looks at the status, `grpc` asks the health service "
                "`grpc.health.v1.Health` over HTTP/2, `tcp` only connects, `none` does not probe."},
    {.key = "pools.NAME.health_check.path",
     .type = &conf_type_path,
     AT(conf_pool, check.path),
     .fallback = "/",
     .meaning = "The path that an HTTP check asks for."},
    {.key = "pools.NAME.health_check.host",
     .type = &conf_type_text,
     AT(conf_pool, check.host),
     .meaning =
         "The Host field of an HTTP check, and `:authority` of a gRPC check. Without it, the "
         "endpoint's address and port."},
    {.key = "pools.NAME.health_check.method",
     .type = &conf_type_method,
     AT(conf_pool, check.method),
     .fallback = "GET",
     .meaning = "The method of an HTTP check."},
    {.key = "pools.NAME.health_check.expect",
     .type = &conf_type_statuses,
     ENTRIES(conf_pool, check.expect, check.n_expect),
     RANGE(100, 599),
     .fallback = "200-399",
     .meaning = "The status codes of an HTTP check that count as success."},
    {.key = "pools.NAME.health_check.grpc_service",
     .type = &conf_type_text,
     AT(conf_pool, check.grpc_service),
     .meaning =
         "The service that a gRPC check asks about, as its full name (`shop.v1.Cart`). Without "
         "it, the server as a whole. Only the answer `SERVING` counts as success."},
    {.key = "pools.NAME.health_check.interval",
     .type = &conf_type_duration,
     AT(conf_pool, check.interval_ms),
     RANGE(10, 24 * HOUR),
     .fallback = "2s",
     .meaning = "From one probe of an endpoint to the next, give or take a tenth."},
    {.key = "pools.NAME.health_check.timeout",
     .type = &conf_type_duration,
     AT(conf_pool, check.timeout_ms),
     RANGE(1, 1 * HOUR),
     .fallback = "1s",
     .meaning = "How long a probe may take before it has failed."},
    {.key = "pools.NAME.health_check.rise",
     .type = &conf_type_number,
     AT(conf_pool, check.rise),
     RANGE(1, 1000),
     .fallback = "2",
     .meaning = "Successes in a row that bring an endpoint back."},
    {.key = "pools.NAME.health_check.fall",
     .type = &conf_type_number,
     AT(conf_pool, check.fall),
     RANGE(1, 1000),
     .fallback = "3",
     .meaning = "Failures in a row that take an endpoint out."},
    {.key = "pools.NAME.health_check.port",
     .type = &conf_type_number,
     AT(conf_pool, check.port),
     RANGE(0, 65535),
     .fallback = "0",
     .meaning = "The port to probe. 0 is the endpoint's own."},
    {.key = "pools.NAME.health_check.initial",
     .type = &conf_type_word,
     AT(conf_pool, check.initial),
     .words = initials,
     .fallback = "up",
     .meaning =
         "Whether a new endpoint takes requests before its first probe has ended. That first "
         "result decides by itself."},
};

const size_t conf_n_options = sizeof(conf_options) / sizeof(*conf_options);

/* What stands for an entry between a section's key and those of its options. */
static const char *entry_mark(const struct conf_option *section)
{
    if (section->type->shape == CONF_SHAPE_LIST)
        return ".N.";
    if (section->type->shape == CONF_SHAPE_MAP)
        return ".NAME.";
    return section->key[0] == '\0' ? "" : ".";
}

bool conf_option_is_in(const struct conf_option *option, const struct conf_option *section)
{
    const char *mark = entry_mark(section);
    size_t n = strlen(section->key);
    if (option == section || strncmp(option->key, section->key, n) != 0 ||
        strncmp(option->key + n, mark, strlen(mark)) != 0)
        return false;
    return strchr(option->key + n + strlen(mark), '.') == NULL;
}

const char *conf_option_name(const struct conf_option *option)
{
    const char *dot = strrchr(option->key, '.');
    return dot == NULL ? option->key : dot + 1;
}
