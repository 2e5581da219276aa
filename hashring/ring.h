/*
 * Rings: pure arithmetic from a 64-bit key hash to the index of a node.
 *
 * A ring is immutable once made, may be read by any number of threads, and belongs to its maker
 * until ring_free(). The layout depends only on the set of (id, weight), the options and
 * RING_VERSION: not on the order of the nodes, not on the machine, not on libm. Every balancer of
 * a fleet that sees the same nodes computes the same ring.
 *
 * Two kinds:
 * - slots: a table of 2^k slots, each owned by weighted rendezvous (highest random weight). A
 *   change of one node moves only keys to or from that node. Lookup is one load.
 * - vnodes: `points` virtual nodes per unit of weight on a 64-bit circle, with a bucket index.
 */
#ifndef QUOIT_HASHRING_RING_H
#define QUOIT_HASHRING_RING_H

#include <stddef.h>
#include <stdint.h>

/* Changes only when a layout does; golden vectors in tests/vectors pin each version. */
#define RING_VERSION 1

#define RING_NONE UINT32_MAX
#define RING_MAX_NODES 65534u
#define RING_MIN_SLOTS (1u << 10)
#define RING_MAX_SLOTS (1u << 22)
#define RING_MAX_POINTS (1u << 24) /* of all nodes together */

enum ring_kind { RING_SLOTS, RING_VNODES };

struct ring_options {
    enum ring_kind kind;
    uint32_t slots;  /* RING_SLOTS: a power of two, RING_MIN_SLOTS to RING_MAX_SLOTS */
    uint32_t points; /* RING_VNODES: points per unit of weight, 1 to 65536 */
    uint64_t seed;   /* mixed into the hash of ids; the same in the whole fleet */
};

/* A node: id is its identity (any bytes), weight its share. Weight <= 0 (or NaN) owns nothing;
 * others are rounded to multiples of 2^-16 and clamped to [2^-16, 65536]. */
struct ring_node {
    const char *id;
    size_t id_len;
    double weight;
};

struct ring;

/*
 * Builds a ring over nodes[0..n-1]; ids are copied. A pick returns an index into this array.
 * Returns 0 and writes *ret_ring, or -EINVAL (bad options, more than RING_MAX_NODES, two nodes
 * with the same id), -E2BIG (vnodes: more than RING_MAX_POINTS) or -ENOMEM. n may be 0: such a
 * ring picks RING_NONE. An option of the other kind is ignored.
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

/* The hash of a key under a ring's seed (XXH3-64 of the bytes). */
uint64_t ring_hash(uint64_t seed, const void *key, size_t n);

/* The owner of a key hash, or RING_NONE when no node has weight. */
uint32_t ring_pick(const struct ring *ring, uint64_t hash);

/*
 * The candidates for one key in order of preference: the owner first, then its alternatives, each
 * as often as its weight says. A node comes up again and again, even twice in a row; the caller
 * skips those it has seen. A node that leaves changes nothing in a walk up to where it stood.
 *
 * The second candidate of a slot ring is the slot's next best node; from the third on they are the
 * owners of slots chosen by a chain of hashes. Those of a vnodes ring are the next points of the
 * circle. Meeting each of n equal nodes takes about n log n steps: bound the steps, and fall back
 * on something else. Lives on the caller's stack.
 */
struct ring_walk {
    const struct ring *ring;
    uint64_t at;
    uint32_t step;
};

void ring_walk_start(struct ring_walk *walk, const struct ring *ring, uint64_t hash);

/* The next candidate; RING_NONE only for a ring without weight. Never ends by itself. */
uint32_t ring_walk_next(struct ring_walk *walk);

/* The exact share of the key space that node owns, 0 to 1. */
double ring_share(const struct ring *ring, uint32_t node);

/* Bytes held by the ring. */
size_t ring_size_bytes(const struct ring *ring);

/* What the ring was made with; lives as long as the ring. */
const struct ring_options *ring_options_of(const struct ring *ring);

/* 128 bits over kind, version, options and the sorted (id, weight): equal in every balancer with
 * the same view. */
void ring_digest(const struct ring *ring, uint8_t ret_digest[16]);

#endif
