/*
 * The slot ring: a table of 2^k slots; each has the two nodes whose darts land first (darts.h).
 *
 *   key hash ──► its upper k bits ──► slots[i] = { first, second }
 *
 * Building throws the darts of all nodes until nearly all slots have two, and looks up the rest
 * one by one. Deriving keeps what cannot have changed:
 *
 * - a slot loses a node (removed, or lighter than before): its two are looked up anew;
 * - a node is gained (added, or heavier): only its darts are thrown, until nearly all slots have
 *   got their second node; the few that get it later are tried one by one.
 *
 * Times are not kept: a dart's time is computed again when it is needed, which is faster than
 * reading 16 bytes a slot.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hashring/darts.h"
#include "hashring/layout.h"

struct slot {
    uint16_t first, second; /* NO_NODE: none */
};

struct ring_table {
    struct board board;
    uint32_t shift; /* of a key hash, to its slot */
    /* How far a gained node's darts are thrown, and the slots, one bit each, whose second dart may
     * land later than that: they are tried one by one. Matters of speed only. */
    uint64_t horizon;
    uint64_t *late;
    uint64_t horizon_weight; /* of all nodes together, when horizon was chosen */
    struct slot slots[];     /* late's words follow */
};

/* A slot in the making. */
struct bid {
    uint64_t first_time, second_time;
    struct slot slot;
};

/* The state of one build or derivation. */
struct maker {
    struct ring *ring;
    struct ring_table *table;
    struct thrower *throwers; /* by node index */
    uint32_t *owned;          /* slots by node index */
    uint16_t *weighted;       /* indexes of the nodes that throw, by order */
    uint32_t n, n_weighted;
};

/* Darts of one node in the order of their times. The slots ahead are known early enough to be
 * fetched from memory: they are scattered, and waiting for them would take most of the time. */
#define FLIGHT_AHEAD 16

struct flight {
    const struct thrower *thrower;
    struct board board;
    uint32_t k; /* the next dart */
    uint32_t slots[FLIGHT_AHEAD];
};

static const struct bid no_bid = {DART_NEVER, DART_NEVER, {NO_NODE, NO_NODE}};

static uint32_t slots_in(const struct ring_table *table)
{
    return table->board.mask + 1;
}

static bool lands_before(const struct maker *maker, uint64_t time, uint16_t node,
                         uint64_t other_time, uint16_t other)
{
    if (time != other_time)
        return time < other_time;
    /* Equal and not DART_NEVER: both are nodes. */
    return maker->throwers[node].order < maker->throwers[other].order;
}

/* Takes a dart into account. Of equal times the first taken wins: take them by order of the nodes.
 */
static inline void bid_take(struct bid *bid, uint64_t time, uint16_t node)
{
    bool is_first = time < bid->first_time;
    bool is_second = time < bid->second_time;
    uint64_t loser_time = is_first ? bid->first_time : time;
    uint16_t loser = is_first ? bid->slot.first : node;
    bid->first_time = is_first ? time : bid->first_time;
    bid->slot.first = is_first ? node : bid->slot.first;
    bid->second_time = is_second ? loser_time : bid->second_time;
    bid->slot.second = is_second ? loser : bid->slot.second;
}

static uint64_t time_at(const struct maker *maker, uint16_t node, uint32_t slot)
{
    if (node == NO_NODE)
        return DART_NEVER;
    const struct thrower *thrower = &maker->throwers[node];
    return dart_time(thrower, maker->table->board, dart_rank(thrower, maker->table->board, slot));
}

/* Looks a slot's nodes up the long way: one dart of every node. */
static struct bid look_up(const struct maker *maker, uint32_t slot)
{
    struct bid bid = no_bid;
    for (uint32_t i = 0; i < maker->n_weighted; i++) {
        uint16_t node = maker->weighted[i];
        bid_take(&bid, time_at(maker, node, slot), node);
    }
    return bid;
}

static void maker_fini(struct maker *maker)
{
    free(maker->throwers);
    free(maker->owned);
    free(maker->weighted);
    free(maker->table);
}

static int maker_init(struct maker *maker, struct ring *ring)
{
    uint32_t n_slots = ring->options.slots;
    size_t late_at = sizeof(struct ring_table) + n_slots * sizeof(struct slot);
    size_t size = late_at + n_slots / 8;
    *maker = (struct maker){
        .ring = ring,
        .n = ring->n,
        .table = malloc(size),
        .throwers = calloc(ring->n + (size_t)1, sizeof(struct thrower)),
        .owned = calloc(ring->n + (size_t)1, sizeof(uint32_t)),
        .weighted = calloc(ring->n + (size_t)1, sizeof(uint16_t)),
    };
    if (maker->table == NULL || maker->throwers == NULL || maker->owned == NULL ||
        maker->weighted == NULL) {
        maker_fini(maker);
        return -ENOMEM;
    }

    uint32_t bits = (uint32_t)__builtin_ctz(n_slots);
    maker->table->board = board_of(bits);
    maker->table->shift = 64 - bits;
    maker->table->late = (uint64_t *)((char *)maker->table + late_at);
    memset(maker->table->late, 0, n_slots / 8);
    for (uint32_t i = 0; i < ring->n; i++) {
        const struct ring_entry *entry = &ring->entries[i];
        thrower_init(&maker->throwers[i], entry->hash, entry->weight, entry->order);
    }
    for (uint32_t i = 0; i < ring->n; i++) {
        if (ring->sorted[i]->weight > 0)
            maker->weighted[maker->n_weighted++] = (uint16_t)ring->sorted[i]->index;
    }
    ring->table_size = size;
    return 0;
}

/* Hands the finished table to the ring. */
static void maker_finish(struct maker *maker)
{
    for (uint32_t i = 0; i < maker->n; i++)
        maker->ring->shares[i] = maker->owned[i] / (double)slots_in(maker->table);
    maker->ring->table = maker->table;
    maker->table = NULL;
    maker_fini(maker);
}

static void put_slot(struct maker *maker, uint32_t at, struct slot slot)
{
    maker->table->slots[at] = slot;
    if (slot.first != NO_NODE)
        maker->owned[slot.first]++;
}

/* Looks up a slot and puts it. */
static void put_anew(struct maker *maker, uint32_t at)
{
    struct bid bid = look_up(maker, at);
    put_slot(maker, at, bid.slot);
    if (bid.second_time > maker->table->horizon)
        maker->table->late[at / 64] |= UINT64_C(1) << at % 64;
}

/* Few nodes: looking up every slot costs less than throwing. */
static void fill_by_looking_up(struct maker *maker)
{
    maker->table->horizon = DART_NEVER;
    for (uint32_t at = 0; at < slots_in(maker->table); at++)
        put_anew(maker, at);
}

/* Starts a node's darts at the k-th. */
static void flight_start(struct flight *flight, const struct maker *maker, uint16_t node,
                         uint32_t k)
{
    flight->thrower = &maker->throwers[node];
    flight->board = maker->table->board;
    flight->k = k;
    for (uint32_t i = 0; i < FLIGHT_AHEAD; i++, k++)
        flight->slots[k % FLIGHT_AHEAD] = dart_slot(flight->thrower, flight->board, k);
}

/* The slot of the next dart; fetches what a later one will hit from the table of that stride. */
static inline uint32_t flight_next(struct flight *flight, const void *table, size_t stride)
{
    uint32_t *place = &flight->slots[flight->k % FLIGHT_AHEAD];
    uint32_t slot = *place;
    *place = dart_slot(flight->thrower, flight->board, flight->k + FLIGHT_AHEAD);
    __builtin_prefetch((const char *)table + *place * stride, 1);
    flight->k++;
    return slot;
}

/* Throws a node's darts from the k-th on that land until horizon; returns the next one's rank. */
static uint32_t throw_until(const struct maker *maker, struct bid *bids, uint16_t node, uint32_t k,
                            uint64_t horizon)
{
    struct flight flight;
    flight_start(&flight, maker, node, k);
    while (flight.k <= flight.board.mask) {
        uint64_t time = dart_time(flight.thrower, flight.board, flight.k);
        if (time > horizon)
            break;
        bid_take(&bids[flight_next(&flight, bids, sizeof bids[0])], time, node);
    }
    return flight.k;
}

/* Up to as many nodes looking up all slots is faster than throwing. */
#define FEW_NODES 5

/* Darts a slot: about where throwing more costs as much as looking up the slots that are left,
 * a share of (1 + d) e^-d of them at n darts each. */
static uint32_t darts_wanted(uint32_t n_weighted)
{
    return 31 - (uint32_t)__builtin_clz(n_weighted | 2);
}

/* Throws all nodes' darts in rounds of growing horizon until there are enough of them; returns
 * the horizon. */
static uint64_t throw_all(const struct maker *maker, struct bid *bids, uint32_t *ranks)
{
    uint64_t wanted = (uint64_t)darts_wanted(maker->n_weighted) * slots_in(maker->table);
    uint64_t horizon =
        ((wanted << (LOGARITHM_ONE_BITS - maker->table->board.bits)) / maker->ring->total_weight);
    uint64_t thrown = 0;
    /* Nodes of very unequal weight need several rounds: the heavy ones run out of darts. */
    while (thrown < wanted - wanted / 4) {
        thrown = 0;
        horizon = horizon < DART_NEVER / 2 ? horizon + horizon / 2 + 1 : DART_NEVER;
        for (uint32_t i = 0; i < maker->n_weighted; i++) {
            ranks[i] = throw_until(maker, bids, maker->weighted[i], ranks[i], horizon);
            thrown += ranks[i];
        }
    }
    return horizon;
}

/* Many nodes: throw, then look up the slots that were not hit twice. */
static int fill_by_throwing(struct maker *maker)
{
    uint32_t n_slots = slots_in(maker->table);
    struct bid *bids = malloc(n_slots * sizeof bids[0]);
    uint32_t *ranks = calloc(maker->n_weighted, sizeof ranks[0]);
    if (bids == NULL || ranks == NULL) {
        free(bids);
        free(ranks);
        return -ENOMEM;
    }

    for (uint32_t at = 0; at < n_slots; at++)
        bids[at] = no_bid;
    maker->table->horizon = throw_all(maker, bids, ranks);
    for (uint32_t at = 0; at < n_slots; at++) {
        if (bids[at].second_time == DART_NEVER)
            put_anew(maker, at);
        else
            put_slot(maker, at, bids[at].slot);
    }
    free(bids);
    free(ranks);
    return 0;
}

static int slots_build(struct ring *ring)
{
    struct maker maker;
    int r = maker_init(&maker, ring);
    if (r < 0)
        return r;

    maker.table->horizon_weight = ring->total_weight;
    if (maker.n_weighted <= FEW_NODES)
        fill_by_looking_up(&maker);
    else
        r = fill_by_throwing(&maker);
    if (r < 0)
        maker_fini(&maker);
    else
        maker_finish(&maker);
    return r;
}

/* What a derivation does with an old node, by old index; the index it has now is in the lower
 * half. A slot's two words are or-ed: an upper half of 0 needs no further look. */
#define FATE_INDEX 0xffffu
#define FATE_HEAVIER (1u << 16) /* its slots' two nodes may have changed places */
#define FATE_LOST (1u << 17)    /* its slots are looked up anew */

/* The changes from one ring to the next. */
struct change {
    uint32_t *fates; /* by old index, NO_NODE included */
    bool *is_gained; /* by new index */
    double lost;     /* share of the key space */
    uint64_t gained; /* weight of the nodes whose darts must be thrown */
};

static void change_fini(struct change *change)
{
    free(change->fates);
    free(change->is_gained);
}

static void find_fates(struct change *change, const struct ring *ring, const struct ring *old,
                       const uint32_t *index_now)
{
    change->fates[NO_NODE] = NO_NODE;
    for (uint32_t i = 0; i < ring->n; i++)
        change->is_gained[i] = ring->entries[i].weight > 0;
    for (uint32_t i = 0; i < old->n; i++) {
        uint64_t before = old->entries[i].weight;
        uint32_t index = index_now[i];
        uint64_t after = index == RING_NONE ? 0 : ring->entries[index].weight;
        change->fates[i] = after > 0 ? index : NO_NODE;
        if (after < before) {
            change->fates[i] |= FATE_LOST;
            change->lost += old->shares[i];
        } else if (after > before) {
            change->fates[i] |= FATE_HEAVIER;
        }
        if (after > 0 && after <= before)
            change->is_gained[index] = false;
    }
    for (uint32_t i = 0; i < ring->n; i++)
        change->gained += change->is_gained[i] ? ring->entries[i].weight : 0;
}

static int change_init(struct change *change, const struct ring *ring, const struct ring *old,
                       const uint32_t *index_now)
{
    *change = (struct change){
        .fates = calloc((size_t)NO_NODE + 1, sizeof change->fates[0]),
        .is_gained = calloc(ring->n + (size_t)1, sizeof change->is_gained[0]),
    };
    if (change->fates == NULL || change->is_gained == NULL) {
        change_fini(change);
        return -ENOMEM;
    }
    find_fates(change, ring, old, index_now);
    return 0;
}

/* Whether building from nothing is likely to be faster: a matter of speed only. */
static bool change_is_large(const struct change *change, const struct maker *maker,
                            const struct ring *old)
{
    double lookups = 2 * change->lost * maker->n_weighted; /* darts, a slot of the table */
    uint64_t weight = maker->ring->total_weight;
    return lookups > 2 * darts_wanted(maker->n_weighted) || change->gained > weight / 2 ||
           weight / 2 > old->table->horizon_weight || old->table->horizon_weight / 2 > weight;
}

/* Brings the two nodes into the order of their new times. */
static struct slot sort_slot(const struct maker *maker, struct slot slot, uint32_t at)
{
    uint64_t first_time = time_at(maker, slot.first, at);
    uint64_t second_time = time_at(maker, slot.second, at);
    if (lands_before(maker, first_time, slot.first, second_time, slot.second))
        return slot;
    return (struct slot){slot.second, slot.first};
}

static void carry_owned(struct maker *maker, const struct ring *old, const uint32_t *fates)
{
    for (uint32_t i = 0; i < old->n; i++) {
        uint32_t index = fates[i] & FATE_INDEX;
        if (index != NO_NODE) /* shares are whole slots, exact in a double */
            maker->owned[index] = (uint32_t)(old->shares[i] * slots_in(maker->table));
    }
}

/* A slot one of whose nodes has changed; the first is counted as owner. */
static void carry_changed_slot(struct maker *maker, struct slot slot, uint32_t fate, uint32_t at)
{
    if (slot.first != NO_NODE)
        maker->owned[slot.first]--;
    if (fate & FATE_LOST)
        put_anew(maker, at);
    else
        put_slot(maker, at, sort_slot(maker, slot, at));
}

/* The old table in the new numbers, with the lost and the heavier nodes put right. */
static void carry_slots(struct maker *maker, const struct ring_table *old, const uint32_t *fates)
{
    for (uint32_t i = 0; i < slots_in(old); i++) {
        uint32_t first = fates[old->slots[i].first];
        uint32_t second = fates[old->slots[i].second];
        struct slot slot = {(uint16_t)first, (uint16_t)second};
        maker->table->slots[i] = slot;
        if (((first | second) & ~FATE_INDEX) != 0)
            carry_changed_slot(maker, slot, first | second, i);
    }
}

/* A gained node's dart hits a finished slot. */
static void hit_slot(struct maker *maker, uint32_t at, uint64_t time, uint16_t node)
{
    struct slot *slot = &maker->table->slots[at];
    if (slot->first == node || slot->second == node)
        return; /* heavier, or looked up: already where it belongs */
    if (!lands_before(maker, time, node, time_at(maker, slot->second, at), slot->second))
        return;
    if (!lands_before(maker, time, node, time_at(maker, slot->first, at), slot->first)) {
        slot->second = node;
        return;
    }
    if (slot->first != NO_NODE)
        maker->owned[slot->first]--;
    maker->owned[node]++;
    *slot = (struct slot){node, slot->first};
}

/* The next late slot from at on; the number of slots when there is none. */
static uint32_t next_late(const struct ring_table *table, uint32_t at)
{
    uint32_t n = slots_in(table);
    while (at < n) {
        uint64_t word = table->late[at / 64] >> at % 64;
        if (word != 0)
            return at + (uint32_t)__builtin_ctzll(word);
        at = (at / 64 + 1) * 64;
    }
    return n;
}

static void throw_gained(struct maker *maker, uint16_t node)
{
    struct flight flight;
    flight_start(&flight, maker, node, 0);
    while (flight.k <= flight.board.mask) {
        uint64_t time = dart_time(flight.thrower, flight.board, flight.k);
        if (time > maker->table->horizon)
            break;
        uint32_t at = flight_next(&flight, maker->table->slots, sizeof(struct slot));
        hit_slot(maker, at, time, node);
    }
    for (uint32_t at = next_late(maker->table, 0); at <= flight.board.mask;
         at = next_late(maker->table, at + 1))
        hit_slot(maker, at, time_at(maker, node, at), node);
}

/* Takes the slots that are no longer late off the list. */
static void forget_early(struct maker *maker)
{
    struct ring_table *table = maker->table;
    for (uint32_t at = next_late(table, 0); at < slots_in(table); at = next_late(table, at + 1)) {
        if (time_at(maker, table->slots[at].second, at) <= table->horizon)
            table->late[at / 64] &= ~(UINT64_C(1) << at % 64);
    }
}

static int slots_derive(struct ring *ring, const struct ring *old, const uint32_t *index_now)
{
    struct change change;
    int r = change_init(&change, ring, old, index_now);
    if (r < 0)
        return r;

    struct maker maker;
    r = maker_init(&maker, ring);
    if (r < 0) {
        change_fini(&change);
        return r;
    }
    if (change_is_large(&change, &maker, old)) {
        maker_fini(&maker);
        change_fini(&change);
        return slots_build(ring);
    }

    maker.table->horizon = old->table->horizon;
    maker.table->horizon_weight = old->table->horizon_weight;
    memcpy(maker.table->late, old->table->late, ring->options.slots / 8);
    carry_owned(&maker, old, change.fates);
    carry_slots(&maker, old->table, change.fates);
    for (uint32_t i = 0; i < maker.n; i++) {
        if (change.is_gained[i])
            throw_gained(&maker, (uint16_t)i);
    }
    forget_early(&maker);
    change_fini(&change);
    maker_finish(&maker);
    return 0;
}

static int slots_check(const struct ring_options *options)
{
    uint32_t n = options->slots;
    bool is_power = n != 0 && (n & (n - 1)) == 0;
    return is_power && n >= RING_MIN_SLOTS && n <= RING_MAX_SLOTS ? 0 : -EINVAL;
}

static uint32_t slots_option(const struct ring_options *options)
{
    return options->slots;
}

static uint32_t slots_pick(const struct ring_table *table, uint64_t hash)
{
    uint16_t node = table->slots[hash >> table->shift].first;
    return node == NO_NODE ? RING_NONE : node;
}

/* The slot's first, its second, then the owners of slots chosen by a chain of hashes. */
static uint32_t slots_walk_next(const struct ring_table *table, struct ring_walk *walk)
{
    if (walk->step == 1) {
        uint16_t second = table->slots[walk->at >> table->shift].second;
        walk->step = 2;
        if (second != NO_NODE)
            return second;
    }
    if (walk->step == 2)
        walk->at = mix64(walk->at + HASH_STEP);
    else
        walk->step++;
    return slots_pick(table, walk->at);
}

static uint32_t slots_slot(const struct ring_table *table, uint64_t hash, uint32_t *ret_n)
{
    *ret_n = slots_in(table);
    return (uint32_t)(hash >> table->shift);
}

const struct ring_ops slots_ops = {
    .check = slots_check,
    .key_hash = ring_key_hash_seeded,
    .build = slots_build,
    .derive = slots_derive,
    .pick = slots_pick,
    .walk_next = slots_walk_next,
    .slot = slots_slot,
    .option = slots_option,
};
