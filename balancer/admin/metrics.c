/*
 * Samples of one metric must stand together, so the page is written metric by metric, each for all
 * pools and endpoints. Counters are found by their offset in their worker's statistics.
 */
#include "balancer/admin/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/policy/policy.h"

/* The page being written, from one snapshot of each pool. */
struct page {
    const struct metrics_source *source;
    struct snapshot **snapshots; /* one a pool, a reference each */
    FILE *out;                   /* grows in memory; its errors are looked at once, in the end */
};

struct counter_line {
    const char *name, *help;
    size_t offset;
};

/* A reading of one endpoint. */
typedef uint64_t read_endpoint_fn(const struct member *member);

static const char *const code_words[6] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

static uint64_t counter_at(const void *stats, size_t offset)
{
    return counter_get((const counter *)(const void *)((const char *)stats + offset));
}

static uint64_t sum_workers(const struct metrics_source *source, size_t offset)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < source->n_workers; i++)
        sum += counter_at(source->workers[i], offset);
    return sum;
}

static uint64_t sum_pool(const struct pool *pool, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < pool->n_locals; i++)
        sum += counter_at(&pool->locals[i].stats, offset);
    return sum;
}

static uint64_t sum_endpoint(const struct endpoint *endpoint, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < endpoint->n_locals; i++)
        sum += counter_at(&endpoint->locals[i].stats, offset);
    return sum;
}

static void put_head(struct page *page, const char *name, const char *type, const char *help)
{
    fprintf(page->out, "# HELP quoit_%s %s\n# TYPE quoit_%s %s\n", name, help, name, type);
}

/* key="value", with backslash, quote and line feed escaped. */
static void put_label(struct page *page, const char *key, const char *value)
{
    fprintf(page->out, "%s=\"", key);
    while (*value != '\0') {
        size_t plain = strcspn(value, "\\\"\n");
        fwrite(value, 1, plain, page->out);
        value += plain;
        if (*value == '\0')
            break;
        fputs(*value == '\n' ? "\\n" : *value == '"' ? "\\\"" : "\\\\", page->out);
        value++;
    }
    fputc('"', page->out);
}

/* name{pool="…",endpoint="…" – left open for further labels. endpoint NULL: the pool's own. The
 * identity is a label too where it says more than the address, which then may not be unique. */
static void put_name(struct page *page, const char *name, size_t pool,
                     const struct endpoint *endpoint)
{
    fprintf(page->out, "quoit_%s{", name);
    put_label(page, "pool", page->source->pools[pool].conf->name);
    if (endpoint == NULL)
        return;
    fputc(',', page->out);
    put_label(page, "endpoint", endpoint->address);
    if (strcmp(endpoint->id, endpoint->address) != 0) {
        fputc(',', page->out);
        put_label(page, "id", endpoint->id);
    }
}

static void put_value(struct page *page, uint64_t value)
{
    fprintf(page->out, "} %" PRIu64 "\n", value);
}

static void put_labelled(struct page *page, const char *key, const char *label, uint64_t value)
{
    fputc(',', page->out);
    put_label(page, key, label);
    put_value(page, value);
}

static void put_single(struct page *page, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    put_head(page, name, type, help);
    fprintf(page->out, "quoit_%s %" PRIu64 "\n", name, value);
}

static void put_seconds(struct page *page, uint64_t us)
{
    fprintf(page->out, "} %" PRIu64 ".%06" PRIu64 "\n", us / 1000000, us % 1000000);
}

static void put_process(struct page *page)
{
    const struct metrics_source *source = page->source;
    static const struct counter_line counters[] = {
#define X(field, name, help) {name, help, offsetof(struct worker_stats, field)},
        WORKER_COUNTERS(X)
#undef X
    };
    put_head(page, "build_info", "gauge", "The version in a label; always 1");
    fputs("quoit_build_info{", page->out);
    put_label(page, "version", QUOIT_VERSION);
    put_value(page, 1);
    put_single(page, "start_time_seconds", "gauge", "Unix time the process began to serve",
               source->start_time_s);
    put_single(page, "workers", "gauge", "Worker threads", source->n_workers);
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        put_single(page, counters[i].name, "counter", counters[i].help,
                   sum_workers(source, counters[i].offset));
    put_single(page, "buffer_bytes", "gauge", "Memory in use for relay buffers",
               sum_workers(source, offsetof(struct worker_stats, buffer_bytes)));
    put_single(page, "access_log_lost_lines_total", "counter",
               "Access log lines lost because writing the log failed", source->log_lost);

    /* In this order, and never below zero: the workers go on counting meanwhile. */
    uint64_t closed = sum_workers(source, offsetof(struct worker_stats, closed));
    uint64_t accepted = sum_workers(source, offsetof(struct worker_stats, accepted));
    put_single(page, "client_connections_open", "gauge", "Client connections open",
               accepted > closed ? accepted - closed : 0);
}

static void put_reason(struct page *page, const char *name, unsigned reason, size_t offset)
{
    fprintf(page->out, "quoit_%s{", name);
    put_label(page, "reason", reason_word((enum reason)reason));
    put_value(page, sum_workers(page->source, offset + reason * sizeof(counter)));
}

static void put_refused(struct page *page)
{
    static const enum reason reasons[] = {
        REASON_TOO_MANY_CONNECTIONS, REASON_LISTENER_FULL, REASON_ADDRESS_FULL,
        REASON_NO_DESCRIPTORS,       REASON_PROXY_REFUSED, REASON_PROXY_BAD,
        REASON_MEMORY_LIMIT,         REASON_TLS_FAILED,    REASON_TLS_TIMEOUT,
        REASON_TLS_CERTIFICATE,      REASON_HTTP2_ERROR,   REASON_HTTP2_RESETS,
        REASON_HTTP2_FLOOD,          REASON_HTTP2_HEADERS, REASON_CLIENT_TIMEOUT};
    static const char name[] = "client_connections_refused_total";
    put_head(page, name, "counter", "Client connections closed at once, by reason");
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        put_reason(page, name, reasons[i], offsetof(struct worker_stats, refused));
}

static uint64_t expiry_of(const struct metrics_certificate *one)
{
    return one->not_after > 0 ? (uint64_t)one->not_after : 0;
}

static uint64_t ocsp_until_of(const struct metrics_certificate *one)
{
    return one->ocsp_until > 0 ? (uint64_t)one->ocsp_until : 0;
}

static uint64_t ocsp_failures_of(const struct metrics_certificate *one)
{
    return one->ocsp_failures;
}

static void put_certificates(struct page *page)
{
    static const struct {
        const char *name, *type, *help;
        uint64_t (*value)(const struct metrics_certificate *one);
    } lines[] = {
        {"certificate_expiry_seconds", "gauge",
         "Unix time at which a listener's certificate expires", expiry_of},
        {"ocsp_next_update_seconds", "gauge",
         "Unix time until which a certificate's OCSP response is stapled, 0: there is none",
         ocsp_until_of},
        {"ocsp_failures_total", "counter",
         "Times that no good OCSP response came for a certificate", ocsp_failures_of},
    };
    const struct metrics_source *source = page->source;
    for (size_t k = 0; k < sizeof lines / sizeof *lines && source->n_certificates > 0; k++) {
        put_head(page, lines[k].name, lines[k].type, lines[k].help);
        for (size_t i = 0; i < source->n_certificates; i++) {
            const struct metrics_certificate *one = &source->certificates[i];
            fprintf(page->out, "quoit_%s{", lines[k].name);
            put_label(page, "listener", one->listener);
            put_labelled(page, "file", one->file, lines[k].value(one));
        }
    }
}

static void put_acme(struct page *page)
{
    const struct metrics_acme *acme = page->source->acme;
    if (acme == NULL)
        return;
    const struct {
        const char *kind, *result;
        uint64_t n;
    } lines[] = {{"first", "ok", acme->orders_ok},
                 {"first", "failed", acme->orders_failed},
                 {"renewal", "ok", acme->renewals_ok},
                 {"renewal", "failed", acme->renewals_failed}};
    put_head(page, "acme_orders_total", "counter",
             "Certificates asked for by ACME, the first ones and renewals, by result");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        fprintf(page->out, "quoit_acme_orders_total{");
        put_label(page, "kind", lines[i].kind);
        put_labelled(page, "result", lines[i].result, lines[i].n);
    }
}

static void put_unrouted(struct page *page)
{
    static const char name[] = "unrouted_requests_total";
    put_head(page, name, "counter", "Requests that ended before they had a pool, by reason");
    for (unsigned i = 0; i < REASON_COUNT; i++)
        put_reason(page, name, i, offsetof(struct worker_stats, unrouted));
}

static void put_pool_counters(struct page *page)
{
    static const struct counter_line counters[] = {
#define X(field, name, help) {name, help, offsetof(struct pool_stats, field)},
        POOL_COUNTERS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        put_head(page, counters[i].name, "counter", counters[i].help);
        for (size_t pool = 0; pool < page->source->n_pools; pool++) {
            put_name(page, counters[i].name, pool, NULL);
            put_value(page, sum_pool(&page->source->pools[pool], counters[i].offset));
        }
    }
}

static void put_pool_requests(struct page *page)
{
    put_head(page, "pool_requests_total", "counter", "Requests that ended, by reason");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        for (unsigned i = 0; i < REASON_COUNT; i++) {
            size_t offset = offsetof(struct pool_stats, reasons) + i * sizeof(counter);
            put_name(page, "pool_requests_total", pool, NULL);
            put_labelled(page, "reason", reason_word((enum reason)i),
                         sum_pool(&page->source->pools[pool], offset));
        }
    }
    put_head(page, "pool_responses_total", "counter",
             "Responses sent to clients, by class of status");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        for (unsigned i = 0; i < 6; i++) {
            size_t offset = offsetof(struct pool_stats, statuses) + i * sizeof(counter);
            put_name(page, "pool_responses_total", pool, NULL);
            put_labelled(page, "code", code_words[i], sum_pool(&page->source->pools[pool], offset));
        }
    }
}

/* Of pools that have had a call. */
static void put_pool_grpc(struct page *page)
{
    static const char name[] = "pool_grpc_responses_total";
    put_head(page, name, "counter", "Calls of gRPC that ended, by their status");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        uint64_t codes[GRPC_CODE_COUNT], sum = 0;
        for (unsigned i = 0; i < GRPC_CODE_COUNT; i++) {
            size_t offset = offsetof(struct pool_stats, grpc_codes) + i * sizeof(counter);
            codes[i] = sum_pool(&page->source->pools[pool], offset);
            sum += codes[i];
        }
        for (unsigned i = 0; i < GRPC_CODE_COUNT && sum > 0; i++) {
            put_name(page, name, pool, NULL);
            put_labelled(page, "code", grpc_code_word((enum grpc_code)i), codes[i]);
        }
    }
}

/* The sums of a histogram's counters over all workers. */
struct totals {
    uint64_t buckets[LATENCY_BUCKETS];
    uint64_t sum_us;
};

static struct totals pool_totals(const struct pool *pool, size_t at)
{
    struct totals totals;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        totals.buckets[i] = sum_pool(pool, at + i * sizeof(counter));
    totals.sum_us = sum_pool(pool, at + offsetof(struct histogram, sum_us));
    return totals;
}

static struct totals endpoint_totals(const struct endpoint *endpoint)
{
    struct totals totals;
    size_t at = offsetof(struct endpoint_stats, latency);
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        totals.buckets[i] = sum_endpoint(endpoint, at + i * sizeof(counter));
    totals.sum_us = sum_endpoint(endpoint, at + offsetof(struct histogram, sum_us));
    return totals;
}

/* The names of a histogram's three kinds of sample, and its help. */
struct histogram_line {
    const char *name, *bucket, *sum, *count, *help;
};

#define HISTOGRAM_LINE(name, help)                                                                 \
    {                                                                                              \
        name, name "_bucket", name "_sum", name "_count", help                                     \
    }

static void put_histogram(struct page *page, const struct histogram_line *line, size_t pool,
                          const struct endpoint *endpoint, const struct totals *totals)
{
    uint64_t below = 0; /* buckets are cumulative on the page */
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        char bound[16] = "+Inf";
        if (i < LATENCY_BOUNDS)
            snprintf(bound, sizeof bound, "%g", latency_bounds_us[i] / 1e6);
        below += totals->buckets[i];
        put_name(page, line->bucket, pool, endpoint);
        put_labelled(page, "le", bound, below);
    }
    put_name(page, line->sum, pool, endpoint);
    put_seconds(page, totals->sum_us);
    put_name(page, line->count, pool, endpoint);
    put_value(page, below);
}

static void put_pool_histogram(struct page *page, const struct histogram_line *line, size_t offset)
{
    put_head(page, line->name, "histogram", line->help);
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        struct totals totals = pool_totals(&page->source->pools[pool], offset);
        put_histogram(page, line, pool, NULL, &totals);
    }
}

static void put_pool_times(struct page *page)
{
    static const struct histogram_line latency =
        HISTOGRAM_LINE("pool_request_duration_seconds",
                       "From the request's head being complete to the end of its response");
    static const struct histogram_line queue_wait =
        HISTOGRAM_LINE("pool_queue_duration_seconds",
                       "How long requests waited for room at an endpoint; those that did not have "
                       "to do not count");
    put_pool_histogram(page, &latency, offsetof(struct pool_stats, latency));
    put_pool_histogram(page, &queue_wait, offsetof(struct pool_stats, queue_wait));
}

/* Whether new requests may go to a member. */
static uint64_t read_up(const struct member *member)
{
    return endpoint_is_usable(member->endpoint) && member->weight > 0 ? 1 : 0;
}

static uint64_t read_in_flight(const struct member *member)
{
    return endpoint_in_flight(member->endpoint);
}

static void put_pool_gauges(struct page *page)
{
    put_head(page, "pool_snapshot_number", "gauge",
             "The current snapshot: one more for each change of the pool's endpoints");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        put_name(page, "pool_snapshot_number", pool, NULL);
        put_value(page, page->snapshots[pool]->number);
    }
    put_head(page, "pool_queued_requests", "gauge", "Requests that wait for room at an endpoint");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        put_name(page, "pool_queued_requests", pool, NULL);
        put_value(page, pool_waiting(&page->source->pools[pool]));
    }
    put_head(page, "pool_endpoints", "gauge", "Endpoints in the pool");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        put_name(page, "pool_endpoints", pool, NULL);
        put_value(page, page->snapshots[pool]->n);
    }
    put_head(page, "pool_usable_endpoints", "gauge", "Endpoints that new requests may go to");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        uint64_t usable = 0;
        for (uint32_t i = 0; i < page->snapshots[pool]->n; i++)
            usable += read_up(&page->snapshots[pool]->members[i]);
        put_name(page, "pool_usable_endpoints", pool, NULL);
        put_value(page, usable);
    }
}

/* In hexadecimal digits. */
static void print_digest(const struct ring *ring, char text[33])
{
    uint8_t digest[16];
    ring_digest(ring, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static void put_rings(struct page *page)
{
    put_head(page, "pool_ring_info", "gauge",
             "The ring's algorithm, layout version and digest in labels; always 1");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        const struct snapshot *snapshot = page->snapshots[pool];
        char digest[33];
        if (snapshot->ring == NULL)
            continue;
        print_digest(snapshot->ring, digest);
        put_name(page, "pool_ring_info", pool, NULL);
        fprintf(page->out, ",version=\"%d\",", RING_VERSION);
        put_label(page, "algorithm", policy_for(snapshot->conf->algorithm)->name);
        put_labelled(page, "digest", digest, 1);
    }
    put_head(page, "endpoint_ring_share", "gauge",
             "The share of the pool's keys that the endpoint is first for");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        const struct snapshot *snapshot = page->snapshots[pool];
        for (uint32_t i = 0; snapshot->ring != NULL && i < snapshot->n; i++) {
            put_name(page, "endpoint_ring_share", pool, snapshot->members[i].endpoint);
            fprintf(page->out, "} %.9g\n", ring_share(snapshot->ring, i));
        }
    }
}

static bool is_discovered(const struct pool *pool)
{
    return pool->conf->service.name != NULL;
}

static void put_contact(struct page *page)
{
    static const char name[] = "discovery_last_contact_age_seconds";
    put_head(page, name, "gauge",
             "Since Consul last answered for the pool's service; +Inf: it never did");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        struct pool *p = &page->source->pools[pool];
        uint64_t contact_us =
            atomic_load_explicit(&p->source.last_contact_us, memory_order_relaxed);
        if (!is_discovered(p))
            continue;
        put_name(page, name, pool, NULL);
        if (contact_us == 0)
            fputs("} +Inf\n", page->out);
        else
            put_seconds(page,
                        page->source->now_us > contact_us ? page->source->now_us - contact_us : 0);
    }
}

static void put_discovery(struct page *page)
{
    static const struct {
        const char *name, *type, *help;
        size_t offset;
    } values[] = {
        {"discovery_updates_total", "counter", "Changes of the endpoint set taken from Consul",
         offsetof(struct pool_source_stats, updates)},
        {"discovery_errors_total", "counter", "Queries to Consul that failed",
         offsetof(struct pool_source_stats, errors)},
        {"discovery_held_total", "counter", "Empty answers held back instead of applied",
         offsetof(struct pool_source_stats, held)},
        {"discovery_index", "gauge", "The last X-Consul-Index",
         offsetof(struct pool_source_stats, index)},
    };
    put_contact(page);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        put_head(page, values[i].name, values[i].type, values[i].help);
        for (size_t pool = 0; pool < page->source->n_pools; pool++) {
            if (!is_discovered(&page->source->pools[pool]))
                continue;
            put_name(page, values[i].name, pool, NULL);
            put_value(page, counter_at(&page->source->pools[pool].source, values[i].offset));
        }
    }
    put_head(page, "discovery_is_held", "gauge", "1 while an empty answer is held back");
    for (size_t pool = 0; pool < page->source->n_pools; pool++) {
        const struct pool *p = &page->source->pools[pool];
        if (!is_discovered(p))
            continue;
        put_name(page, "discovery_is_held", pool, NULL);
        put_value(page, atomic_load_explicit(&p->source.is_held, memory_order_relaxed));
    }
}

/* Calls put for each endpoint of each pool. */
static void each_endpoint(struct page *page, const void *argument,
                          void (*put)(struct page *page, size_t pool, const struct member *member,
                                      const void *argument))
{
    for (size_t pool = 0; pool < page->source->n_pools; pool++)
        for (uint32_t i = 0; i < page->snapshots[pool]->n; i++)
            put(page, pool, &page->snapshots[pool]->members[i], argument);
}

static void put_endpoint_counter(struct page *page, size_t pool, const struct member *member,
                                 const void *argument)
{
    const struct counter_line *line = argument;
    put_name(page, line->name, pool, member->endpoint);
    put_value(page, sum_endpoint(member->endpoint, line->offset));
}

static void put_endpoint_codes(struct page *page, size_t pool, const struct member *member,
                               const void *argument)
{
    for (unsigned i = 0; i < 6; i++) {
        size_t offset = offsetof(struct endpoint_stats, statuses) + i * sizeof(counter);
        put_name(page, argument, pool, member->endpoint);
        put_labelled(page, "code", code_words[i], sum_endpoint(member->endpoint, offset));
    }
}

static void put_endpoint_latency(struct page *page, size_t pool, const struct member *member,
                                 const void *argument)
{
    struct totals totals = endpoint_totals(member->endpoint);
    put_histogram(page, argument, pool, member->endpoint, &totals);
}

static void put_endpoint_state(struct page *page, size_t pool, const struct member *member,
                               const void *argument)
{
    put_name(page, argument, pool, member->endpoint);
    put_labelled(page, "state", endpoint_state_word(member->endpoint), 1);
}

static void put_endpoint_weight(struct page *page, size_t pool, const struct member *member,
                                const void *argument)
{
    put_name(page, argument, pool, member->endpoint);
    fprintf(page->out, "} %.15g\n", member->weight);
}

struct gauge_line {
    const char *name, *help;
    read_endpoint_fn *read;
};

static void put_endpoint_gauge(struct page *page, size_t pool, const struct member *member,
                               const void *argument)
{
    const struct gauge_line *line = argument;
    put_name(page, line->name, pool, member->endpoint);
    put_value(page, line->read(member));
}

static void put_endpoints(struct page *page)
{
    static const struct counter_line counters[] = {
#define X(field, name, help) {name, help, offsetof(struct endpoint_stats, field)},
        ENDPOINT_COUNTERS(X)
#undef X
    };
    static const struct histogram_line latency =
        HISTOGRAM_LINE("endpoint_request_duration_seconds",
                       "From the beginning of an attempt to the end of its response");
    static const struct gauge_line gauges[] = {
        {"endpoint_up", "1 if new requests may go to the endpoint", read_up},
        {"endpoint_requests_in_flight", "Requests the endpoint is working on", read_in_flight},
    };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        put_head(page, counters[i].name, "counter", counters[i].help);
        each_endpoint(page, &counters[i], put_endpoint_counter);
    }
    put_head(page, "endpoint_responses_total", "counter",
             "Attempts by the class of the response's status; none: there was no response");
    each_endpoint(page, "endpoint_responses_total", put_endpoint_codes);
    put_head(page, latency.name, "histogram", latency.help);
    each_endpoint(page, &latency, put_endpoint_latency);
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++) {
        put_head(page, gauges[i].name, "gauge", gauges[i].help);
        each_endpoint(page, &gauges[i], put_endpoint_gauge);
    }
    put_head(page, "endpoint_state", "gauge", "The endpoint's state in a label; always 1");
    each_endpoint(page, "endpoint_state", put_endpoint_state);
    put_head(page, "endpoint_weight", "gauge", "The endpoint's weight; 0: takes no new requests");
    each_endpoint(page, "endpoint_weight", put_endpoint_weight);
}

static void put_page(struct page *page)
{
    put_process(page);
    put_refused(page);
    put_certificates(page);
    put_acme(page);
    put_unrouted(page);
    put_pool_counters(page);
    put_pool_requests(page);
    put_pool_grpc(page);
    put_pool_times(page);
    put_pool_gauges(page);
    put_rings(page);
    put_discovery(page);
    put_endpoints(page);
}

static void write_page(struct page *page)
{
    size_t n_pools = page->source->n_pools;
    for (size_t i = 0; i < n_pools; i++)
        page->snapshots[i] = pool_acquire(&page->source->pools[i]);
    put_page(page);
    for (size_t i = 0; i < n_pools; i++)
        snapshot_unref(page->snapshots[i]);
}

int metrics_render(const struct metrics_source *source, char **ret_text, size_t *ret_n)
{
    char *text = NULL;
    size_t n = 0;
    struct page page = {.source = source,
                        .snapshots = calloc(source->n_pools + 1, sizeof(struct snapshot *))};
    if (page.snapshots == NULL)
        return -ENOMEM;
    page.out = open_memstream(&text, &n);
    if (page.out == NULL) {
        free(page.snapshots);
        return -ENOMEM;
    }
    write_page(&page);
    free(page.snapshots);
    int failed = ferror(page.out);
    if (fclose(page.out) != 0 || failed != 0) {
        free(text);
        return -ENOMEM;
    }
    *ret_text = text;
    *ret_n = n;
    return 0;
}
