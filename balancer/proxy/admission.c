#include "balancer/proxy/admission.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "balancer/http/cidr.h"

#define MIN_BUCKETS 1024u
#define MAX_BUCKETS (1u << 20)

/* An address that has connections; exists as long as there is one. */
struct admission_address {
    struct admission_address *next;
    uint64_t id; /* see id_of() */
    uint32_t n;
};

static uint32_t count_of_buckets(uint32_t max_clients)
{
    uint32_t n = MIN_BUCKETS;
    while (n < max_clients && n < MAX_BUCKETS)
        n *= 2;
    return n;
}

static uint32_t limit_per_address(const struct conf *conf, uint32_t max_clients)
{
    uint32_t limit = conf->client.max_connections_per_address;
    return limit == CONF_AUTO_NUMBER ? (max_clients + 1) / 2 : limit;
}

int admission_init(struct admission *admission, const struct conf *conf, uint32_t max_clients)
{
    assert(max_clients > 0);
    memset(admission, 0, sizeof *admission);
    admission->conf = conf;
    admission->max_clients = max_clients;
    admission->max_per_address = limit_per_address(conf, max_clients);
    admission->n_buckets = count_of_buckets(max_clients);
    for (int i = 0; i < ADMISSION_STRIPES; i++)
        (void)pthread_mutex_init(&admission->stripes[i], NULL);
    if (getrandom(admission->key, sizeof admission->key, 0) != sizeof admission->key)
        return -ENOMEM;
    admission->n_of_listener = calloc(conf->n_listeners + 1, sizeof *admission->n_of_listener);
    /* Zero pages of the kernel's: memory is taken where addresses fall. */
    admission->buckets = calloc(admission->n_buckets, sizeof(struct admission_address *));
    return admission->n_of_listener == NULL || admission->buckets == NULL ? -ENOMEM : 0;
}

void admission_fini(struct admission *admission)
{
    if (admission->conf == NULL)
        return;
    assert(admission_clients(admission) == 0);
    for (int i = 0; i < ADMISSION_STRIPES; i++)
        (void)pthread_mutex_destroy(&admission->stripes[i]);
    free(admission->n_of_listener);
    free(admission->buckets);
    memset(admission, 0, sizeof *admission);
}

/* ---- one address */

void ip_of_peer(const struct sockaddr_storage *peer, struct ip *ret_ip)
{
    *ret_ip = (struct ip){.is_v6 = peer->ss_family == AF_INET6};
    if (!ret_ip->is_v6) {
        memcpy(ret_ip->bytes, &((const struct sockaddr_in *)peer)->sin_addr, 4);
        return;
    }
    const struct in6_addr *address = &((const struct sockaddr_in6 *)peer)->sin6_addr;
    ret_ip->is_v6 = !IN6_IS_ADDR_V4MAPPED(address);
    if (ret_ip->is_v6)
        memcpy(ret_ip->bytes, address->s6_addr, 16);
    else
        memcpy(ret_ip->bytes, &address->s6_addr[12], 4);
}

/* What is counted as one: an IPv6 network of 64 bits, which is the least that a site has (RFC
 * 6177), or an IPv4 address, which stands behind bits that only multicast networks begin with. */
static uint64_t id_of(const struct ip *ip)
{
    uint32_t v4;
    uint64_t v6;
    memcpy(&v4, ip->bytes, sizeof v4);
    memcpy(&v6, ip->bytes, sizeof v6);
    return ip->is_v6 ? be64toh(v6) : UINT64_C(0xffffffff00000000) | v4;
}

/* Two rounds of MurmurHash3's finalizer, each with a secret of its own. */
static uint64_t hash_of(const struct admission *admission, uint64_t id)
{
    uint64_t x = id;
    for (int i = 0; i < 2; i++) {
        x ^= admission->key[i];
        x = (x ^ (x >> 33)) * UINT64_C(0xff51afd7ed558ccd);
        x = (x ^ (x >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
        x ^= x >> 33;
    }
    return x;
}

/* Where the pointer to an address stands, or NULL does. Its stripe is locked. */
static struct admission_address **find(struct admission *admission, uint64_t hash, uint64_t id)
{
    struct admission_address **at = &admission->buckets[hash & (admission->n_buckets - 1)];
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static pthread_mutex_t *stripe_of(struct admission *admission, uint64_t hash)
{
    return &admission->stripes[hash % ADMISSION_STRIPES];
}

static bool add(struct admission *admission, uint64_t id, struct admission_address **ret)
{
    uint64_t hash = hash_of(admission, id);
    pthread_mutex_t *stripe = stripe_of(admission, hash);
    (void)pthread_mutex_lock(stripe);
    struct admission_address **at = find(admission, hash, id);
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at == NULL)
            abort();
        (*at)->id = id;
    }
    struct admission_address *address = *at;
    bool is_in = address->n < admission->max_per_address;
    if (is_in) {
        address->n++;
        *ret = address;
    }
    (void)pthread_mutex_unlock(stripe);
    return is_in;
}

static void drop(struct admission *admission, struct admission_address *address)
{
    uint64_t hash = hash_of(admission, address->id);
    pthread_mutex_t *stripe = stripe_of(admission, hash);
    (void)pthread_mutex_lock(stripe);
    if (--address->n == 0) {
        struct admission_address **at = find(admission, hash, address->id);
        assert(*at == address);
        *at = address->next;
        free(address);
    }
    (void)pthread_mutex_unlock(stripe);
}

static bool is_counted(const struct admission *admission, const struct ip *ip)
{
    const struct conf_client *conf = &admission->conf->client;
    return admission->max_per_address != 0 &&
           !cidr_list_contains(conf->trusted_proxies, conf->n_trusted_proxies, ip);
}

/* ---- in and out */

/* Adds one unless there are max; 0: no limit. */
static bool take(_Atomic uint32_t *n, uint32_t max)
{
    if (atomic_fetch_add_explicit(n, 1, memory_order_relaxed) < max || max == 0)
        return true;
    (void)atomic_fetch_sub_explicit(n, 1, memory_order_relaxed);
    return false;
}

static void give_back(_Atomic uint32_t *n)
{
    uint32_t before = atomic_fetch_sub_explicit(n, 1, memory_order_relaxed);
    assert(before > 0);
}

enum reason admission_enter(struct admission *admission, uint32_t listener,
                            const struct sockaddr_storage *peer,
                            struct admission_ticket *ret_ticket)
{
    struct admission_ticket ticket = {.listener = listener};
    struct ip ip;
    if (!take(&admission->n_clients, admission->max_clients))
        return REASON_TOO_MANY_CONNECTIONS;
    if (!take(&admission->n_of_listener[listener],
              admission->conf->listeners[listener].max_connections)) {
        give_back(&admission->n_clients);
        return REASON_LISTENER_FULL;
    }
    ip_of_peer(peer, &ip);
    if (is_counted(admission, &ip) && !add(admission, id_of(&ip), &ticket.address)) {
        give_back(&admission->n_of_listener[listener]);
        give_back(&admission->n_clients);
        return REASON_ADDRESS_FULL;
    }
    *ret_ticket = ticket;
    return REASON_OK;
}

enum reason admission_rename(struct admission *admission, const struct ip *ip,
                             struct admission_ticket *ticket)
{
    struct admission_address *address = NULL;
    if (is_counted(admission, ip) && !add(admission, id_of(ip), &address))
        return REASON_ADDRESS_FULL;
    if (ticket->address != NULL)
        drop(admission, ticket->address);
    ticket->address = address;
    return REASON_OK;
}

void admission_leave(struct admission *admission, const struct admission_ticket *ticket)
{
    if (ticket->address != NULL)
        drop(admission, ticket->address);
    give_back(&admission->n_of_listener[ticket->listener]);
    give_back(&admission->n_clients);
}
