/*
 * Who may connect: limits on the number of client connections, of all workers together.
 *
 * A worker asks when it has accepted a connection and says when it has closed it; no request comes
 * here. The totals are atomics. Addresses are counted in a hash table under one mutex a stripe,
 * held for a few instructions. It holds an entry for each address that has a connection and no
 * others, so nobody can fill it beyond the limit on connections, and its hash is keyed, so nobody
 * can choose where they fall.
 */
#ifndef QUOIT_BALANCER_PROXY_ADMISSION_H
#define QUOIT_BALANCER_PROXY_ADMISSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "balancer/http/reason.h"
#include "conf/conf.h"

struct admission_address;
struct ip;

#define ADMISSION_STRIPES 64

struct admission {
    const struct conf *conf;
    uint32_t max_clients, max_per_address; /* max_per_address 0: addresses are not counted */
    _Atomic uint32_t n_clients;
    _Atomic uint32_t *n_of_listener; /* as conf->listeners */
    uint64_t key[2];
    struct admission_address **buckets;
    uint32_t n_buckets; /* a power of two, at least one a stripe */
    pthread_mutex_t stripes[ADMISSION_STRIPES];
};

/* What a connection that was let in is counted under. */
struct admission_ticket {
    struct admission_address *address; /* NULL: its address is not counted */
    uint32_t listener;                 /* index into conf->listeners */
};

/* Control's thread. max_clients counts all connections, at least 1. Returns 0 or -ENOMEM. */
int admission_init(struct admission *admission, const struct conf *conf, uint32_t max_clients);

/* No connection may be left. Accepts one that is all zero. */
void admission_fini(struct admission *admission);

/* Any worker. Counts a connection that listener has accepted from peer, or says which limit keeps
 * it out; REASON_OK: it is in, and the ticket must be given back once. */
enum reason admission_enter(struct admission *admission, uint32_t listener,
                            const struct sockaddr_storage *peer,
                            struct admission_ticket *ret_ticket);

/* Any worker. The connection is from ip, as the proxy says whose address it was counted under until
 * now. REASON_OK, or ADDRESS_FULL; the ticket is to be given back either way. */
enum reason admission_rename(struct admission *admission, const struct ip *ip,
                             struct admission_ticket *ticket);

void admission_leave(struct admission *admission, const struct admission_ticket *ticket);

/* The address of a socket's other end. */
void ip_of_peer(const struct sockaddr_storage *peer, struct ip *ret_ip);

/* Connections under way. */
static inline uint32_t admission_clients(const struct admission *admission)
{
    return atomic_load_explicit(&admission->n_clients, memory_order_relaxed);
}

#endif
