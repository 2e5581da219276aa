/*
 * A worker: one thread, one loop, its own listening sockets, its own connections.
 *
 * Everything below balancer/proxy/ runs on a worker's thread unless its header says otherwise.
 * What workers share with control: the pools (pool.h), the endpoints' atomics, the counters, the
 * access log, and the orders below.
 */
#ifndef QUOIT_BALANCER_PROXY_WORKER_H
#define QUOIT_BALANCER_PROXY_WORKER_H

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "balancer/http/h1.h"
#include "balancer/http/route.h"
#include "balancer/http/trace.h"
#include "balancer/log/access_log.h"
#include "balancer/policy/policy.h"
#include "balancer/pool/pool.h"
#include "balancer/proxy/admission.h"
#include "balancer/proxy/buffer.h"
#include "balancer/proxy/h2_memory.h"
#include "balancer/proxy/memory.h"
#include "balancer/proxy/pipe.h"
#include "balancer/proxy/queue.h"
#include "conf/conf.h"

/* While draining, an idle client gets this long to send one more request, whose answer says
 * Connection: close, before its connection is closed. */
#define DRAIN_IDLE_MS 1000

struct challenges;
struct client;
struct corpse;
struct inbound;
struct ip;
struct listener;
struct outbound;

#define WORKERS_MAX 256

/* What all workers share; control owns it, and it outlives them. */
struct proxy {
    const struct conf *conf;
    const struct route_table *routes;
    struct h1_limits h1_limits;
    struct pool *pools;               /* as conf->pools */
    struct inbound *const *inbound;   /* as conf->listeners; NULL where one has no TLS */
    struct outbound *const *outbound; /* as conf->pools; the same */
    struct challenges *challenges;    /* NULL: no certificates of ACME */
    struct access_log *access_log;    /* NULL: none */
    struct admission admission;
    uint64_t memory_bytes; /* of all relay buffers of all workers; 0: no limit */
    struct worker *_Atomic workers[WORKERS_MAX]; /* by index, from their start until they halt */
};

/* One pool as this worker sees it. */
struct pool_view {
    struct pool *pool;
    uint64_t generation;
    struct snapshot *snapshot; /* a reference */
    struct policy_state *state;
    struct request_queue queue;
};

LIST_HEAD(client_list, client);

/* What was said in the event log about connections that were not taken, and what was not said yet:
 * under attack there are too many for a line each. */
struct refusals {
    uint64_t next_us[REASON_COUNT]; /* not before then */
    uint64_t silent[REASON_COUNT];  /* since the last line */
};

struct worker {
    _Alignas(
        64) struct worker_stats stats; /* control reads them: their cache lines are their own */
    struct ev_loop *loop;
    struct proxy *proxy;
    pthread_t thread;

    struct ev_async wake;
    struct ev_check after_poll;
    struct ev_prepare before_poll;
    _Atomic bool look_asked, room_offered;
    _Atomic bool drain_asked, stop_asked, is_drained; /* is_drained: its listeners are closed */
    bool draining, is_halted;
    bool has_due_queue; /* one of its views has a queue that is due */
    uint32_t index;
    struct ev_timer drain_timer;

    uint64_t now_us; /* monotonic, as of the last return from the poll */
    uint64_t random;
    struct id_source ids;    /* for what has to be unlike everywhere */
    struct pool_view *views; /* as conf->pools */
    struct listener *listeners;
    struct client_list clients;
    struct h2_link_list links;
    struct client *next_idle; /* where client_make_room() looks on; NULL: from the first one */
    struct refusals refusals;

    struct buffer_pool buffers;
    struct memory memory;
    struct pipe_pool pipes;
    struct slab client_slab, upstream_slab, request_slab, fields_slab, key_slab;
    struct h2_memory h2_memory;
    struct slab h2_session_slab, h2_link_slab, h2_stream_slab;
    struct corpse *dead; /* closed in this turn; freed at its end */
    uint32_t n_dead, max_dead;
    char date[40]; /* "Date: …\r\n", of the second date_at_s */
    int64_t date_at_s;
};

/* Microseconds on the monotonic clock, as of the last return from the poll. */
static inline uint64_t worker_now_us(const struct worker *worker)
{
    return worker->now_us;
}

/* 64 fresh random bits (not for secrets). */
uint64_t worker_random(struct worker *worker);

/* The current snapshot of conf's pool number pool_index, with the policy's state for it. */
struct pool_view *worker_pool(struct worker *worker, size_t pool_index);

/* A whole Date field line, made anew once a second. */
struct span worker_date(struct worker *worker);

/* Counts a connection that is not taken, and tells the event log now and then. client may be NULL.
 */
void worker_refuse(struct worker *worker, enum reason reason, const struct ip *client);

/* Hands an object back to its slab at the end of the turn, so that callers up the stack may still
 * look at it. */
void worker_bury(struct worker *worker, struct slab *slab, void *object);

/*
 * Starts worker number index with the listening sockets fds (which it takes over), one for each of
 * conf->listeners. Control's thread. Returns 0 or -errno.
 */
int worker_start(struct proxy *proxy, uint32_t index, const int *fds, struct worker **ret_worker);

/* Any thread: pools have changed, or an endpoint has; look. */
void worker_wake(struct worker *worker);

/* Any worker: there may be room at an endpoint for requests that wait in worker number index. */
void worker_offer_room(struct proxy *proxy, uint32_t index);

/* Any thread: accept what waits, close the listeners, let what runs finish. */
void worker_drain(struct worker *worker);

/* Any thread: whether it has taken that order: no connection comes any more. */
bool worker_is_draining(const struct worker *worker);

/* Any thread: how many client connections are left, the worker's own count. */
uint64_t worker_clients(const struct worker *worker);

/* Control: closes everything at once and joins the thread. Workers that still run may wake this
 * one, so that all of them halt before one is freed. Accepts NULL. */
void worker_halt(struct worker *worker);

/* Control: frees a worker, and halts it before where that has not been done. Accepts NULL. */
void worker_stop(struct worker *worker);

/*
 * The same without a thread, for tests: the caller owns the worker and runs its loop, a turn at a
 * time; a turn does what is due now and does not wait. worker_free() closes everything at once.
 */
int worker_new(struct proxy *proxy, uint32_t index, const int *fds, struct worker **ret_worker);
void worker_turn(struct worker *worker);
void worker_free(struct worker *worker);

#endif
