/*
 * What the operator asked for: the configuration as plain data.
 *
 * A struct conf is built whole by the loader (load.h), is immutable from then on, and is owned by
 * whoever loaded it until conf_free(). Every field is set, from the file or from its default in
 * the option table (options.c), which is also where each option's meaning is written: the manual's
 * option reference is generated from it.
 *
 * Durations are milliseconds, sizes are bytes. 0 means "no limit" only where the option says so.
 */
#ifndef QUOIT_CONF_CONF_H
#define QUOIT_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What `auto` makes of a number or a size; whoever uses it knows what it comes to. */
#define CONF_AUTO_NUMBER UINT32_MAX
#define CONF_AUTO_SIZE UINT64_MAX

enum conf_algorithm {
    CONF_ALGORITHM_HASH,           /* consistent hashing, slot table */
    CONF_ALGORITHM_RING,           /* consistent hashing, virtual nodes */
    CONF_ALGORITHM_ROUND_ROBIN,    /* smooth, weighted */
    CONF_ALGORITHM_LEAST_REQUESTS, /* fewest in flight per weight */
    CONF_ALGORITHM_RANDOM_TWO,     /* the better of two random choices */
    /* Key for key as another program does it. */
    CONF_ALGORITHM_NGINX,
    CONF_ALGORITHM_LIBMEMCACHED,
    CONF_ALGORITHM_LIBMEMCACHED_MD5,
    CONF_ALGORITHM_LIBMEMCACHED_WEIGHTED,
    CONF_ALGORITHM_LIBMEMCACHED_SPY,
    CONF_ALGORITHM_HAPROXY,
    CONF_ALGORITHM_ENVOY_MAGLEV,
    CONF_ALGORITHM_ENVOY_RING,
    CONF_ALGORITHM_JUMP,
};

/* How HAProxy hashes keys. */
enum conf_haproxy_hash {
    CONF_HAPROXY_SDBM,
    CONF_HAPROXY_DJB2,
    CONF_HAPROXY_WT6,
    CONF_HAPROXY_CRC32,
};

/* What shapes the algorithms of other programs; each is read by the one it is named for. */
struct conf_compat {
    enum conf_haproxy_hash haproxy_hash;
    bool haproxy_avalanche;
    uint32_t table_size; /* envoy_maglev: a prime */
    uint32_t min_ring;   /* envoy_ring */
};

enum conf_key_source {
    CONF_KEY_NONE, /* no key: the request is spread round robin */
    CONF_KEY_PATH, /* the target's path, without the query */
    CONF_KEY_URI,  /* path and query as they came */
    CONF_KEY_QUERY,
    CONF_KEY_HEADER,
    CONF_KEY_COOKIE,
    CONF_KEY_CLIENT, /* the peer's address */
    /* Parts of templates only; what is a source of its own too is a template of one part. */
    CONF_KEY_TEXT,      /* text between placeholders */
    CONF_KEY_ARGUMENTS, /* the whole query */
    CONF_KEY_HOST,
    CONF_KEY_METHOD,
    CONF_KEY_FORWARDED, /* the client's address as trusted proxies have it */
    CONF_KEY_JSON,      /* a field of a JSON body */
    CONF_KEY_FORM,      /* a field of a form in the body */
    CONF_KEY_TEMPLATE,  /* of keys, not of parts */
};

/* What a template does with what it finds; bits. */
enum conf_key_filter {
    CONF_KEY_LOWER = 1,    /* A to Z become a to z */
    CONF_KEY_SORTED = 2,   /* arguments in the order of their names */
    CONF_KEY_OPTIONAL = 4, /* the key is there without it */
};

/* Limits on what the operator may write, so that what a request needs is bounded. */
#define CONF_KEY_MAX_PARTS 32
#define CONF_KEY_MAX_BODY_FIELDS 4 /* of one key */

struct conf_key_part {
    enum conf_key_source source;
    uint8_t filters;          /* enum conf_key_filter */
    uint8_t v4_bits, v6_bits; /* of an address: how many of the first are taken */
    uint16_t segments;        /* of a path: how many of the first are taken; 0: all */
    char *name;               /* of an argument, header, cookie or field; or the text */
};

/* Where the hash key comes from; written `path`, `query:NAME`, …, or as a template of them,
 * `{host}{path|lower}`. */
struct conf_key {
    enum conf_key_source source;
    char *name;                  /* of the query argument, header or cookie; else NULL */
    struct conf_key_part *parts; /* of CONF_KEY_TEMPLATE */
    uint32_t n_parts;
    uint32_t n_body_fields; /* parts that are found in the body */
};

/* Whether a key may be served by others than its own endpoint while that one is usable. */
enum conf_affinity {
    CONF_AFFINITY_AUTO,   /* as the algorithm is meant; never in a loaded configuration */
    CONF_AFFINITY_CACHE,  /* yes: when that one is over its bound, or the key is hot */
    CONF_AFFINITY_STRICT, /* no */
};

/* What an endpoint's place in the ring hangs on. */
enum conf_identity_source {
    CONF_IDENTITY_ADDRESS, /* "address:port" */
    CONF_IDENTITY_SERVICE, /* "datacenter/node/service id" as Consul has it */
    CONF_IDENTITY_META,    /* what its service metadata in Consul has under a key */
};

/* Written `address`, `service` or `meta:KEY`. */
struct conf_identity {
    enum conf_identity_source source;
    char *meta_key; /* NULL for the others */
};

struct conf_endpoint {
    char *host; /* a numeric IPv4 or IPv6 address (no brackets), or a name resolved at start */
    char *id;   /* its identity in the pool and its ring; NULL: "host:port" */
    uint16_t port;
    double weight; /* 0 drains; default 1 */
};

enum conf_check_type { CONF_CHECK_NONE, CONF_CHECK_HTTP, CONF_CHECK_TCP, CONF_CHECK_GRPC };
enum conf_check_initial { CONF_INITIAL_UP, CONF_INITIAL_DOWN };

/* Inclusive range of status codes. */
struct conf_status_range {
    uint16_t low, high;
};

struct conf_pool_tls;

/* The longest name of a service that a gRPC check may ask about, in bytes. */
#define CONF_GRPC_SERVICE_MAX 255

struct conf_check {
    enum conf_check_type type;
    char *path;         /* of an HTTP check; default "/" */
    char *host;         /* its Host header, or a gRPC check's; NULL: the endpoint's address:port */
    char *method;       /* GET or HEAD */
    char *grpc_service; /* that a gRPC check asks about; NULL: the server as a whole */
    struct conf_status_range *expect;
    size_t n_expect;
    uint32_t interval_ms;
    uint32_t timeout_ms;
    uint16_t port; /* 0: the endpoint's own port */
    uint16_t rise; /* consecutive successes until up */
    uint16_t fall; /* consecutive failures until down */
    enum conf_check_initial initial;
    bool is_http2;    /* an HTTP check speaks nothing else */
    bool sends_proxy; /* an HTTP or gRPC check begins with a PROXY protocol header, version 1 */
    const struct conf_pool_tls *tls; /* of the pool, for HTTP and gRPC checks; NULL: none */
    char tls_name[256]; /* whom a target's certificate must name; set for each target */
};

struct conf_pool_timeouts {
    uint32_t connect_ms;
    uint32_t response_ms;  /* request sent to response head */
    uint32_t idle_ms;      /* without progress of a body in either direction */
    uint32_t total_ms;     /* the whole request; 0: no limit */
    uint32_t tunnel_ms;    /* idle tunnel (WebSocket) */
    uint32_t keepalive_ms; /* idle pooled upstream connection */
    uint32_t queue_ms;     /* waiting for room at an endpoint */
};

/* When a request is tried again; bits. */
enum conf_retry_on {
    CONF_RETRY_CONNECT = 1, /* no connection in time, or no way there */
    CONF_RETRY_REFUSED = 2, /* the endpoint's host refused the connection */
    CONF_RETRY_RESET = 4,   /* the endpoint was lost before it answered */
    CONF_RETRY_TIMEOUT = 8, /* it kept silent for too long */
    CONF_RETRY_502 = 16,    /* it answered with that status */
    CONF_RETRY_503 = 32,
    CONF_RETRY_504 = 64,
};
#define CONF_RETRY_FAILURE                                                                         \
    (CONF_RETRY_CONNECT | CONF_RETRY_REFUSED | CONF_RETRY_RESET | CONF_RETRY_TIMEOUT)

/* How further attempts are made; conf_pool.retries says how many. */
struct conf_retry {
    uint8_t *on; /* enum conf_retry_on, as listed */
    size_t n_on;
    uint8_t conditions;  /* all of them together */
    bool non_idempotent; /* also what is not idempotent is sent again */
    uint32_t timeout_ms; /* of one try, while there can be another; 0: none */
    uint32_t hedge_ms;   /* after which another attempt begins beside a silent one; 0: never */
    double budget;       /* retries in flight, as a share of the pool's requests in flight */
    uint32_t budget_min; /* and so many in any case */
};

/* Consul service of a pool; name == NULL: the pool has static endpoints only. */
struct conf_service {
    char *name;
    char *datacenter; /* NULL: the agent's own */
    char *tag;        /* NULL: any */
    char *filter;     /* Consul filter expression; NULL: none */
    bool use_warning; /* instances in `warning` serve with Weights.Warning; else not at all */
};

/* Whether a cookie comes along with requests that other sites cause. */
enum conf_same_site { CONF_SAME_SITE_NONE, CONF_SAME_SITE_LAX, CONF_SAME_SITE_STRICT };

/* The cookie that keeps a session at its endpoint; name == NULL: the pool has none. */
struct conf_sticky {
    char *name;
    char *secret; /* what the cookies are signed with; NULL: a random one, made at the start */
    size_t secret_n;
    char *secret_file;   /* where secret comes from; NULL: the configuration itself */
    char *path, *domain; /* domain NULL: the host that was asked only */
    uint64_t max_age_ms; /* whole seconds; 0: until the browser ends */
    enum conf_same_site same_site;
    bool secure, http_only;
    bool strip; /* endpoints do not see the cookie */
};

/* The PROXY protocol's header at the start of each connection to an endpoint. */
enum conf_send_proxy { CONF_SEND_PROXY_OFF, CONF_SEND_PROXY_V1, CONF_SEND_PROXY_V2 };

enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };

/* TLS towards the endpoints of a pool. */
struct conf_pool_tls {
    bool is_on;
    bool verify;                /* whether an endpoint's certificate must be good */
    char *ca_file;              /* what is trusted; NULL: the system's */
    char *server_name;          /* NULL: the host of the endpoint's address */
    char *cert_file, *key_file; /* what we show; NULL: nothing */
    enum conf_tls_version min_version;
};

/* Whether HTTP/2 is spoken where it would otherwise have to be agreed on: by clients who begin with
 * it (prior knowledge), and with endpoints. */
enum conf_http2 {
    CONF_HTTP2_OFF,
    CONF_HTTP2_ON,
    CONF_HTTP2_ONLY,   /* nothing else */
    CONF_HTTP2_AGREED, /* of listeners: where TLS agrees on it */
};

struct conf_pool {
    char *name;
    struct conf_endpoint *endpoints;
    size_t n_endpoints;
    struct conf_service service;
    enum conf_algorithm algorithm;
    enum conf_affinity affinity;
    struct conf_identity identity;
    struct conf_key key;
    struct conf_key key_fallback; /* used when the request lacks the key */
    uint32_t key_body_bytes;      /* how much of a body is looked through for a key's fields */
    uint32_t slots;               /* slot table size, a power of two, 2^10 to 2^22 */
    uint32_t points;              /* virtual nodes per unit of weight */
    struct conf_compat compat;
    uint32_t ramp_ms;      /* how long an endpoint takes to gain or give up its weight; 0: none */
    double balance_factor; /* of the bound on an endpoint's load: 0 (none) or at least 1 */
    double balance_slack;  /* times the square root of the average, on top */
    double hot_key_share;  /* of an endpoint's fair load, above which a key is hot; 0: none is */
    uint64_t seed;         /* of the hash; the same in the whole fleet */
    struct conf_retry retry;
    uint32_t retries;                 /* further attempts after the first */
    uint32_t max_idle;                /* idle upstream connections per endpoint and worker */
    uint32_t max_connection_age_ms;   /* of an upstream connection; 0: any */
    uint32_t max_connection_requests; /* that it may carry; 0: any number */
    uint32_t max_connections;         /* in use at one endpoint, of all workers; 0: any number */
    uint32_t queue;                   /* requests that may wait for one, for each worker */
    enum conf_send_proxy send_proxy;
    enum conf_http2 http2;      /* ON: as an endpoint chooses, by TLS */
    uint32_t http2_max_streams; /* requests at once over one connection */
    struct conf_pool_timeouts timeouts;
    struct conf_check check;
    struct conf_sticky sticky;
    struct conf_pool_tls tls;
};

/* A value with a name of the operator's own. */
struct conf_pair {
    char *name, *value;
};

/* Pairs that one set of rules appends. */
#define CONF_MAX_ADDED_FIELDS 64

/*
 * What becomes of the fields of heads that go one way: first those with a name in `remove` or `set`
 * are dropped, then the pairs of `set` and of `add` are appended. Names have no case, and an
 * underscore is a hyphen.
 */
struct conf_header_rules {
    char **remove;
    struct conf_pair *set, *add;
    size_t n_remove, n_set, n_add;
    size_t n; /* of them all */
};

struct conf_route {
    char *host;  /* exact, lower case, no port; "*.example.com"; NULL: any */
    char *path;  /* prefix on segment borders, begins with '/'; "/" matches all */
    size_t pool; /* index into conf.pools */
    char *pool_name;
    struct conf_header_rules request_headers, response_headers; /* after those of the listener */
};

/* Application protocols, in a TLS handshake (RFC 7301). */
enum conf_alpn { CONF_ALPN_HTTP_1_1, CONF_ALPN_HTTP_2 };

/* Whether clients show certificates of their own. */
enum conf_client_auth {
    CONF_CLIENT_AUTH_NONE,
    CONF_CLIENT_AUTH_OPTIONAL,
    CONF_CLIENT_AUTH_REQUIRED
};

struct conf_certificate {
    char *cert_file; /* PEM: the certificate, and behind it those that lead to its root */
    char *key_file;  /* PEM; NULL: in cert_file */
    char *ocsp_file; /* a DER response to staple; NULL: none */
    char **names;   /* that quoit gets it for itself, and keeps it in cert_file, which may not be */
    size_t n_names; /* there yet; 0: the operator's own */
};

/* TLS of a listener; without certificates it has none. */
struct conf_tls {
    struct conf_certificate *certificates; /* the first is the default */
    size_t n_certificates;
    bool fetches_ocsp; /* responses to staple, for certificates without a file of one */
    char **acme_names; /* of one more certificate, which is the last of them */
    size_t n_acme_names;
    bool strict_sni; /* a client that asks for no name of theirs is refused */
    uint8_t *alpn; /* enum conf_alpn, in the order of preference; none: all of them, HTTP/2 first */
    size_t n_alpn;
    enum conf_tls_version min_version, max_version;
    char *ciphers;       /* of TLS 1.2, as OpenSSL names them */
    char *cipher_suites; /* of TLS 1.3 */
    char *curves;
    uint32_t handshake_ms;
    bool has_tickets;
    char *ticket_file;           /* keys for session tickets; NULL: random ones */
    uint32_t ticket_rotation_ms; /* how long a random key is used */
    uint32_t n_cached_sessions;  /* of clients without tickets; 0: none */
    enum conf_client_auth client_auth;
    char *client_ca_file, *client_crl_file;
};

struct conf_listener {
    char *host; /* numeric address; NULL: all addresses, IPv6 and IPv4 */
    uint16_t port;
    uint32_t backlog;
    enum conf_http2 http2;
    bool proxy_protocol; /* every connection begins with a header of it, from a trusted proxy */
    bool defer_accept;   /* the kernel keeps a connection until it has brought its first bytes */
    uint32_t max_connections; /* all workers together; 0: no limit of its own */
    bool redirect_https;      /* requests are answered 308, to https */
    uint16_t redirect_port;   /* where https is */
    struct conf_tls tls;
    struct conf_header_rules request_headers, response_headers;
};

/* A range of addresses: those whose first bits are address's. */
struct conf_cidr {
    bool is_v6;
    uint8_t bits;        /* of the prefix: up to 32, or 128 */
    uint8_t address[16]; /* network order, IPv4 in the first four; zero behind the prefix */
};

/* Limits and deadlines towards clients, the same for all listeners. */
struct conf_client {
    uint32_t header_timeout_ms;    /* first byte to complete head, and accept to first byte */
    uint32_t keepalive_timeout_ms; /* idle between requests */
    uint32_t body_timeout_ms;      /* no byte of a request body arrives */
    uint32_t send_timeout_ms;      /* client takes no byte of the response */
    uint32_t max_head_bytes;       /* request line and header fields together; else 431 */
    uint32_t max_target_bytes;     /* else 414 */
    uint32_t max_fields;           /* header fields; else 431; at most 256 */
    uint64_t max_body_bytes;       /* else 413; 0: no limit */
    uint32_t max_connections;      /* all workers together; 0: what descriptors allow */
    uint32_t max_connections_per_address; /* 0: no limit; CONF_AUTO_NUMBER: half of all */
    uint32_t max_requests;                /* on one connection; 0: no limit */
    uint32_t http2_max_streams;           /* open at a time on one connection */
    uint32_t http2_window_bytes; /* of a stream: what a client may send before it is read */
    uint64_t min_body_rate;      /* bytes a second over body_timeout_ms; 0: any progress will do */
    uint64_t min_send_rate;      /* the same over send_timeout_ms, of the response */

    struct conf_cidr *trusted_proxies; /* what these peers say of their clients is believed */
    size_t n_trusted_proxies;          /* 0: nobody's */

    char *subject_header;     /* fields that tell endpoints of a client's certificate, and that */
    char *fingerprint_header; /* no client's own pass for; NULL: none */

    char *explain_header; /* requests that carry this field are explained; NULL: none are */
    char *explain_token;  /* what its value must be; NULL: anything */
};

/* Which fields tell endpoints who the client is; bits. */
enum conf_forwarded_family {
    CONF_FORWARDED_NONE = 0,
    CONF_FORWARDED_X = 1,       /* X-Forwarded-For, -Proto, -Host and -Port */
    CONF_FORWARDED_RFC7239 = 2, /* Forwarded */
    CONF_FORWARDED_BOTH = 3,
};

/* What becomes of such fields that come from a trusted proxy; those of others are replaced. */
enum conf_forwarded_mode { CONF_FORWARDED_REPLACE, CONF_FORWARDED_APPEND, CONF_FORWARDED_PASS };

struct conf_forwarded {
    enum conf_forwarded_family family;
    enum conf_forwarded_mode mode;
};

enum conf_request_id_mode {
    CONF_REQUEST_ID_OFF,
    CONF_REQUEST_ID_PASS, /* a valid one is passed on, else one is created */
    CONF_REQUEST_ID_CREATE,
};

struct conf_request_id {
    enum conf_request_id_mode mode;
    char *header;     /* the field's name */
    uint8_t header_n; /* its length */
    bool to_client;   /* responses carry it too */
};

/* W3C Trace Context. */
enum conf_traceparent {
    CONF_TRACEPARENT_OFF,   /* fields like any other */
    CONF_TRACEPARENT_PASS,  /* valid ones are passed on, others dropped */
    CONF_TRACEPARENT_START, /* and one is made where there is none */
};

struct conf_consul {
    char **addresses; /* http://host:port or https://…; tried in order */
    size_t n_addresses;
    char *token;      /* NULL: none */
    char *token_file; /* read anew before each query; NULL: none */
    char *ca_file;    /* NULL: the system's */
    char *cert_file, *key_file;
    uint32_t wait_ms; /* of a blocking query; at most 10 minutes */
    uint32_t connect_timeout_ms;
    bool stale;            /* any server may answer */
    uint32_t max_stale_ms; /* older answers are asked for again, consistently */
    uint32_t hold_ms;      /* an empty answer must last this long before a pool empties */
    uint32_t backoff_min_ms, backoff_max_ms;
};

/* How an authority is shown that a name is ours. */
enum conf_acme_challenge { CONF_ACME_TLS_ALPN_01, CONF_ACME_HTTP_01 };

/* Keys of certificates. */
enum conf_acme_key { CONF_ACME_ECDSA, CONF_ACME_RSA };

#define CONF_ACME_MAX_URL 255
#define CONF_ACME_MAX_NAMES 100

/* Certificates that quoit gets for itself (RFC 8555). */
struct conf_acme {
    bool is_used;    /* some listener has one */
    char *directory; /* the authority's URL */
    char *ca_file;   /* what its own certificate is checked against; NULL: the system's */
    char **contacts; /* mailto: addresses */
    size_t n_contacts;
    bool agree_to_terms;
    enum conf_acme_challenge challenge;
    enum conf_acme_key key_type;
    char *storage;
    char *folder;  /* in storage: of this directory alone */
    char *eab_kid; /* of an account at the authority, to bind ours to; NULL: none */
    char *eab_key; /* base64url; NULL: in the file */
    char *eab_key_file;
};

enum conf_log_format { CONF_LOG_TEXT, CONF_LOG_JSON };
enum conf_log_level { CONF_LOG_DEBUG, CONF_LOG_INFO, CONF_LOG_WARN, CONF_LOG_ERROR };
enum conf_access_format { CONF_ACCESS_JSON, CONF_ACCESS_COMBINED };

struct conf_log {
    enum conf_log_level level;
    enum conf_log_format format;
    char *access_file; /* NULL: no access log; "-": standard output */
    enum conf_access_format access_format;
};

struct conf {
    struct conf_listener *listeners;
    size_t n_listeners;
    struct conf_listener admin;
    bool has_admin;
    struct conf_route *routes;
    size_t n_routes;
    struct conf_pool *pools;
    size_t n_pools;
    struct conf_client client;
    struct conf_forwarded forwarded;
    struct conf_request_id request_id;
    enum conf_traceparent traceparent;
    struct conf_consul consul;
    struct conf_acme acme;
    struct conf_log log;
    uint32_t workers;      /* threads; >= 1 once loaded (default: the usable processors) */
    uint32_t buffer_bytes; /* of one relay buffer; at least max_head_bytes + 4 KiB */
    uint32_t drain_ms;     /* how long SIGTERM waits for what runs */
    uint64_t memory_bytes; /* of all relay buffers; 0: no limit; CONF_AUTO_SIZE: half of it all */
    bool take_over;        /* listening addresses may be in use by another quoit */
};

/* Releases everything a loaded configuration holds; accepts NULL. */
void conf_free(struct conf *conf);

#endif
