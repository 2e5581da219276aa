/*
 * The access log: one line per request, JSON or the combined format with quoit's fields behind.
 *
 * Each worker puts its lines into a buffer of its own, without locks; a writer thread takes them
 * every 100 ms, or when a buffer is half full, and writes them, so that no worker ever waits for a
 * disk or a pipe. When the writer falls behind, lines are dropped and counted rather than memory
 * or latency spent. Lines of one worker keep their order; those of several may be up to 100 ms out
 * of order.
 *
 * A destination that fails (a full disk, a pipe without reader) is told once in the event log
 * (access_log_failed, later access_log_recovered); what it did not take is lost and counted. One
 * that does not take bytes at the moment (a full pipe) is waited for, by the writer alone.
 */
#ifndef QUOIT_BALANCER_LOG_ACCESS_LOG_H
#define QUOIT_BALANCER_LOG_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/grpc.h"
#include "balancer/http/reason.h"
#include "balancer/http/span.h"
#include "conf/conf.h"

struct access_log;

enum access_version { ACCESS_HTTP_1_0, ACCESS_HTTP_1_1, ACCESS_HTTP_2_0 };

/* What a line says. Spans and strings are only read during the call; n == 0 or NULL: absent. */
struct access_entry {
    uint64_t time_us;   /* Unix time the request head was complete */
    const char *client; /* address without port */
    uint16_t client_port;
    struct span method, target, host, referer, user_agent;
    enum access_version version;
    uint16_t status; /* sent to the client; 0: none */
    enum reason reason;
    bool is_grpc; /* there is a code */
    enum grpc_code grpc_code;
    const char *pool;     /* name */
    const char *endpoint; /* address:port of the last attempt */
    struct span key;      /* the hash key's bytes */
    struct span request_id, trace_id;
    const char *tls, *cipher, *sni; /* version, cipher suite, the name asked for */
    struct span alpn;               /* the protocol agreed on */
    uint32_t attempts;
    uint64_t bytes_in, bytes_out;               /* of bodies */
    uint64_t total_us, connect_us, response_us; /* head complete to end; connecting; sent to
                                                   response head of the last attempt */
};

/*
 * Opens the file (or "-") and starts the writer. Returns 0 or -errno. Without a configured file
 * *ret_log is NULL, which the other functions take: they do nothing.
 */
int access_log_start(const struct conf_log *conf, uint32_t n_workers, struct access_log **ret_log);

/* Writes what is there, for at most a second, and joins the writer. No worker may be running. */
void access_log_stop(struct access_log *log);

/*
 * Opens the file anew, after a rotation; any thread. Returns 0, or -errno and keeps the old one.
 * The writer finishes the old file with what it has and then takes the new one, within a turn.
 */
int access_log_reopen(struct access_log *log);

/* Lines the writer could not write because the destination failed; any thread. */
uint64_t access_log_lost(const struct access_log *log);

/* Adds a line; on worker's own thread only. Returns false if the line was dropped. */
bool access_log_add(struct access_log *log, uint32_t worker, const struct access_entry *entry);

#endif
