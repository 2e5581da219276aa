/*
 * Rings: pure arithmetic from a 64-bit key hash to the index of a node.
 *
 * A ring is immutable once made, may be read by any number of threads, and belongs to its maker
 * until ring_free(). The layout depends only on the set of (id, weight, position), the options and
 * RING_VERSION: not on the order of the nodes, not on the machine, not on libm. Every balancer of
 * a fleet that sees the same nodes computes the same ring.
 *
 * Two kinds of our own, in which positions do not count:
 * - slots: a table of 2^k slots, each owned by weighted rendezvous (highest random weight). A
 *   change of one node moves only keys to or from that node. Lookup is one load.
 * - vnodes: `points` virtual nodes per unit of weight on a 64-bit circle, with a bucket index.
 *
 * The others do what another program does, key for key, so that caches behind it stay warm when its
 * balancing moves here. Each has its own hash of keys (ring_key_hash()), its own reading of ids and
 * weights and its own next choice when a node is not to be had; docs/hashing.md compares them, and
 * each one's file defines it. Deriving one makes it anew.
 */
#ifndef QUOIT_HASHRING_RING_H
#define QUOIT_HASHRING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Changes only when a layout does; golden vectors in tests/vectors pin each version. */
#define RING_VERSION 1

#define RING_NONE UINT32_MAX
#define RING_MAX_NODES 65534u
#define RING_MIN_SLOTS (1u << 10)
#define RING_MAX_SLOTS (1u << 22)
#define RING_MAX_POINTS (1u << 24) /* of all nodes together */
#define RING_MAX_MAGLEV 5000011u   /* as in Envoy */
#define RING_MAX_ENVOY_RING (1u << 23)

/* The values are part of digests: a new kind goes to the end. */
enum ring_kind {
    RING_SLOTS,
    RING_VNODES,
    RING_NGINX,                 /* hash … consistent */
    RING_LIBMEMCACHED,          /* KETAMA; one_at_a_time */
    RING_LIBMEMCACHED_MD5,      /* KETAMA with HASH=MD5 */
    RING_LIBMEMCACHED_WEIGHTED, /* KETAMA_WEIGHTED */
    RING_LIBMEMCACHED_SPY,      /* KETAMA_WEIGHTED, DISTRIBUTION_CONSISTENT_KETAMA_SPY */
    RING_HAPROXY,               /* hash-type consistent */
    RING_ENVOY_MAGLEV,          /* lb_policy MAGLEV */
    RING_ENVOY_RING,            /* lb_policy RING_HASH, XX_HASH */
    RING_JUMP,                  /* jump consistent hash over XXH64 */
};

/* How HAProxy hashes keys: the function of its hash-type. */
enum ring_haproxy_hash {
    RING_HAPROXY_SDBM,
    RING_HAPROXY_DJB2,
    RING_HAPROXY_WT6,
    RING_HAPROXY_CRC32,
};

/* Options of other kinds are ignored. */
struct ring_options {
    enum ring_kind kind;
    uint32_t slots;      /* RING_SLOTS: a power of two, RING_MIN_SLOTS to RING_MAX_SLOTS */
    uint32_t points;     /* RING_VNODES: points per unit of weight, 1 to 65536 */
    uint32_t table_size; /* RING_ENVOY_MAGLEV: a prime, up to RING_MAX_MAGLEV */
    uint32_t min_ring;   /* RING_ENVOY_RING: 1 to RING_MAX_ENVOY_RING */
    enum ring_haproxy_hash haproxy_hash;
    bool haproxy_avalanche; /* mixes a key's hash once more; bare `hash-type consistent` does */
    uint64_t seed; /* RING_SLOTS, RING_VNODES: of every hash; the same in the whole fleet */
};

/* A node: id is its identity (any bytes), weight its share. Weight <= 0 (or NaN) owns nothing;
 * others are rounded to multiples of 2^-16 and clamped to [2^-16, 65536]. position is its place in
 * the configured order, counted from 0, and may have gaps: some programs number their servers, and
 * others settle ties by it. */
struct ring_node {
    const char *id;
    size_t id_len;
    double weight;
    uint32_t position;
};

struct ring;

/*
 * Builds a ring over nodes[0..n-1]; ids are copied. A pick returns an index into this array.
 * Returns 0 and writes *ret_ring, or -EINVAL (bad options, more than RING_MAX_NODES, two nodes
 * with the same id, or with the same position where positions count), -E2BIG (more than
 * RING_MAX_POINTS) or -ENOMEM. n may be 0: such a ring picks RING_NONE.
 */
int ring_new(const struct ring_options *options, const struct ring_node *nodes, size_t n,
             struct ring **ret_ring);

/*
 * The same result as ring_new() with old's options, but derived from old where that is cheaper
 * (nodes added, removed or reweighted). old stays as it is and may be freed afterwards.
 */
int ring_derive(const struct ring *old, const struct ring_node *nodes, size_t n,
                struct ring **ret_ring);

void ring_free(struct ring *ring);

/* The hash of a key as rings of these options take it: ring_hash() for our own kinds, what the
 * program computes for the others, of 32 bits for most of them. Options that make no ring will do,
 * if kind is one. */
uint64_t ring_key_hash(const struct ring_options *options, const void *key, size_t n);

/* XXH3-64 of the bytes under a seed: the hash of keys and ids in rings of our own kinds. */
uint64_t ring_hash(uint64_t seed, const void *key, size_t n);

/* The owner of a key hash (ring_key_hash()), or RING_NONE when no node has weight. */
uint32_t ring_pick(const struct ring *ring, uint64_t hash);

/*
 * The candidates for one key in order of preference: the owner first, then its alternatives, each
 * as often as its weight says. A node comes up again and again, even twice in a row; the caller
 * skips those it has seen. A node that leaves changes nothing in a walk up to where it stood.
 *
 * The second candidate of a slot ring is the slot's next best node; from the third on they are the
 * owners of slots chosen by a chain of hashes. Those of a vnodes ring are the next points of the
 * circle. Of the other kinds, nginx, libmemcached and Envoy's ring take the next points too,
 * HAProxy the next nearest, and Maglev and jump go on by a chain of hashes. nginx's walk ends after
 * 21 points, where nginx turns to round robin.
 *
 * Meeting each of n equal nodes takes about n log n steps: bound the steps, and fall back on
 * something else. Lives on the caller's stack.
 */
struct ring_walk {
    const struct ring *ring;
    uint64_t at;
    uint32_t step;
};

void ring_walk_start(struct ring_walk *walk, const struct ring *ring, uint64_t hash);

/* The next candidate; RING_NONE for a ring without weight, and where the kind's walk ends. */
uint32_t ring_walk_next(struct ring_walk *walk);

/* The exact share of the key hashes that node owns, 0 to 1. */
double ring_share(const struct ring *ring, uint32_t node);

/* Where in the ring's table the hash falls, counted from 0, and in *ret_n how many places there
 * are: the slot of a table of slots, the point of a circle (HAProxy's: the first point at or after
 * the hash), the bucket of jump. RING_NONE, of none, where nothing has weight and so nothing is
 * there. */
uint32_t ring_slot(const struct ring *ring, uint64_t hash, uint32_t *ret_n);

/* The position that node was given. */
uint32_t ring_position(const struct ring *ring, uint32_t node);

/* Bytes held by the ring. */
size_t ring_size_bytes(const struct ring *ring);

/* What the ring was made with; lives as long as the ring. */
const struct ring_options *ring_options_of(const struct ring *ring);

/* 128 bits over kind, version, options and the sorted (id, weight, position where it counts): equal
 * in every balancer with the same view. */
void ring_digest(const struct ring *ring, uint8_t ret_digest[16]);

#endif
