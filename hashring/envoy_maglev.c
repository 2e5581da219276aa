/*
 * Envoy: lb_policy MAGLEV.
 *
 * A table of M slots, M a prime. Every node wants the slots in an order of its own, a stride
 * through the table that starts and steps by the XXH64 of its id, "ip:port"; the nodes take turns,
 * sorted by id, each turn the next slot it wants that is still free. A node of the highest weight
 * has a turn in every round, others as often as theirs says. A key's slot is its XXH64 modulo M.
 *
 * When hosts fail, Envoy fills another table with those that are left, in which other keys may move
 * too; here such a node's keys go on to slots chosen by a chain of hashes and all others stay.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "hashring/hash.h"
#include "hashring/layout.h"

struct ring_table {
    uint32_t n;       /* slots */
    uint32_t is_full; /* 0: no node has weight, no slot has a node */
    uint16_t nodes[];
};

/* A node while the table is filled. */
struct seat {
    const struct ring_entry *entry;
    double part;   /* of the whole weight */
    double target; /* its next turn is in the round that, times part, reaches this */
    uint32_t next; /* the slot it wants */
    uint32_t skip;
};

struct seats {
    struct seat *items;
    uint32_t n;
    double most; /* the highest part */
};

static uint64_t maglev_key_hash(const struct ring_options *options, const void *key, size_t n)
{
    (void)options;
    return XXH64(key, n, 0);
}

static int compare_seats(const void *a, const void *b)
{
    const struct ring_entry *left = ((const struct seat *)a)->entry;
    const struct ring_entry *right = ((const struct seat *)b)->entry;
    size_t common = left->id_len < right->id_len ? left->id_len : right->id_len;
    int order = common > 0 ? memcmp(left->id, right->id, common) : 0;
    return order != 0 ? order : (left->id_len > right->id_len) - (left->id_len < right->id_len);
}

static struct seat seat_of(const struct ring *ring, const struct ring_entry *entry)
{
    uint32_t n = ring->options.table_size;
    return (struct seat){
        .entry = entry,
        .part = (double)entry->weight / (double)ring->total_weight,
        .next = (uint32_t)(XXH64(entry->id, entry->id_len, 0) % n),
        .skip = (uint32_t)(XXH64(entry->id, entry->id_len, 1) % (n - 1)) + 1,
    };
}

/* The nodes with weight; the caller frees items. */
static int seats_init(struct seats *seats, const struct ring *ring)
{
    *seats = (struct seats){.items = calloc(ring->n + (size_t)1, sizeof seats->items[0])};
    if (seats->items == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < ring->n; i++) {
        const struct ring_entry *entry = &ring->entries[i];
        if (entry->weight == 0)
            continue;
        struct seat seat = seat_of(ring, entry);
        seats->most = seat.part > seats->most ? seat.part : seats->most;
        seats->items[seats->n++] = seat;
    }
    qsort(seats->items, seats->n, sizeof seats->items[0], compare_seats);
    return 0;
}

/* Takes the next free slot that the seat wants; there is one. */
static void take_slot(struct ring_table *table, struct seat *seat)
{
    while (table->nodes[seat->next] != NO_NODE)
        seat->next = (uint32_t)(((uint64_t)seat->next + seat->skip) % table->n);
    table->nodes[seat->next] = (uint16_t)seat->entry->index;
}

static void fill_table(struct ring_table *table, struct seats *seats)
{
    uint32_t taken = 0;
    for (uint32_t round = 1; taken < table->n; round++) {
        for (uint32_t i = 0; i < seats->n && taken < table->n; i++) {
            struct seat *seat = &seats->items[i];
            if (round * seat->part < seat->target)
                continue;
            seat->target += seats->most;
            take_slot(table, seat);
            taken++;
        }
    }
    table->is_full = 1;
}

static int maglev_build(struct ring *ring)
{
    struct seats seats;
    int r = seats_init(&seats, ring);
    if (r < 0)
        return r;

    uint32_t n = ring->options.table_size;
    size_t size = sizeof(struct ring_table) + n * sizeof(uint16_t);
    struct ring_table *table = malloc(size);
    if (table == NULL) {
        free(seats.items);
        return -ENOMEM;
    }
    table->n = n;
    table->is_full = 0;
    for (uint32_t i = 0; i < n; i++)
        table->nodes[i] = NO_NODE;
    if (seats.n > 0)
        fill_table(table, &seats);
    for (uint32_t i = 0; table->is_full && i < n; i++)
        ring->shares[table->nodes[i]] += 1;
    for (uint32_t i = 0; i < ring->n; i++)
        ring->shares[i] /= n;
    ring->table = table;
    ring->table_size = size;
    free(seats.items);
    return 0;
}

static int maglev_check(const struct ring_options *options)
{
    uint32_t n = options->table_size;
    if (n < 2 || n > RING_MAX_MAGLEV)
        return -EINVAL;
    for (uint32_t divisor = 2; divisor * divisor <= n; divisor++) {
        if (n % divisor == 0)
            return -EINVAL;
    }
    return 0;
}

static uint32_t maglev_option(const struct ring_options *options)
{
    return options->table_size;
}

static uint32_t maglev_pick(const struct ring_table *table, uint64_t hash)
{
    return table->is_full ? table->nodes[hash % table->n] : RING_NONE;
}

static uint32_t maglev_walk_next(const struct ring_table *table, struct ring_walk *walk)
{
    uint32_t node = maglev_pick(table, walk->at);
    walk->at = mix64(walk->at + HASH_STEP);
    return node;
}

static uint32_t maglev_slot(const struct ring_table *table, uint64_t hash, uint32_t *ret_n)
{
    *ret_n = table->is_full ? table->n : 0;
    return table->is_full ? (uint32_t)(hash % table->n) : RING_NONE;
}

const struct ring_ops envoy_maglev_ops = {
    .check = maglev_check,
    .key_hash = maglev_key_hash,
    .build = maglev_build,
    .pick = maglev_pick,
    .walk_next = maglev_walk_next,
    .slot = maglev_slot,
    .option = maglev_option,
};
