#include "balancer/explain/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hashring/hash.h"

/* As many as a hot key is spread over, and steps of its walk to find them. */
enum { MAX_ALTERNATIVES = 32, MAX_STEPS = 256 };

enum side { BEFORE, AFTER, SIDES };

/* One of the two rings; its nodes are some of the plan's endpoints. */
struct table {
    struct ring *ring;
    uint32_t *endpoints; /* by node: the index in the plan's; the last entry stands for nobody */
    uint32_t n;
    uint64_t *owned; /* slots or keys, by endpoint */
    double *parts;   /* of one hot key, by endpoint */
};

struct planning {
    const struct ring_options *options;
    struct plan_endpoint *endpoints;
    uint32_t n; /* the index n is nobody's: keys without an owner */
    struct table tables[SIDES];
    struct plan *plan;
};

static struct plan_side *side_of(struct plan_endpoint *endpoint, enum side side)
{
    return side == BEFORE ? &endpoint->before : &endpoint->after;
}

/* ---- the rings ---- */

static uint32_t list_nodes(struct planning *planning, enum side side, struct ring_node *nodes)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < planning->n; i++) {
        const struct plan_side *at = side_of(&planning->endpoints[i], side);
        if (!at->is_there)
            continue;
        const char *id = planning->endpoints[i].id;
        planning->tables[side].endpoints[n] = i;
        nodes[n++] = (struct ring_node){
            .id = id, .id_len = strlen(id), .weight = at->weight, .position = at->position};
    }
    return n;
}

static int table_init(struct planning *planning, enum side side)
{
    struct table *table = &planning->tables[side];
    size_t n = planning->n + (size_t)1;
    struct ring_node *nodes = calloc(n, sizeof nodes[0]);
    table->endpoints = calloc(n, sizeof table->endpoints[0]);
    table->owned = calloc(n, sizeof table->owned[0]);
    table->parts = calloc(n, sizeof table->parts[0]);
    int rc = -ENOMEM;
    if (nodes != NULL && table->endpoints != NULL && table->owned != NULL && table->parts != NULL) {
        table->n = list_nodes(planning, side, nodes);
        rc = ring_new(planning->options, nodes, table->n, &table->ring);
    }
    free(nodes);
    return rc;
}

static void table_fini(struct table *table)
{
    ring_free(table->ring);
    free(table->endpoints);
    free(table->owned);
    free(table->parts);
}

/* ---- the keys ---- */

static uint32_t owner_of(const struct planning *planning, enum side side, uint64_t hash)
{
    const struct table *table = &planning->tables[side];
    uint32_t node = ring_pick(table->ring, hash);
    return node != RING_NONE ? table->endpoints[node] : planning->n;
}

/* The hash of the i-th slot, or of the i-th of the keys that are tried. */
static uint64_t hash_of(const struct planning *planning, uint64_t i)
{
    if (planning->plan->is_exact)
        return i * (UINT64_MAX / planning->plan->n_tried + 1);
    uint64_t key = mix64_nth(0, i);
    return ring_key_hash(planning->options, &key, sizeof key);
}

static void compare_keys(struct planning *planning)
{
    struct plan *plan = planning->plan;
    uint64_t moved = 0, gained = 0;
    uint64_t *before = planning->tables[BEFORE].owned, *after = planning->tables[AFTER].owned;
    plan->is_exact = planning->options->kind == RING_SLOTS;
    plan->n_tried = plan->is_exact ? planning->options->slots : PLAN_SAMPLES;
    for (uint64_t i = 0; i < plan->n_tried; i++) {
        uint64_t hash = hash_of(planning, i);
        uint32_t from = owner_of(planning, BEFORE, hash), to = owner_of(planning, AFTER, hash);
        before[from]++;
        after[to]++;
        moved += from != to;
    }
    for (uint32_t i = 0; i <= planning->n; i++)
        gained += after[i] > before[i] ? after[i] - before[i] : 0;
    plan->moved = (double)moved / (double)plan->n_tried;
    plan->necessary = (double)gained / (double)plan->n_tried;
}

static void fill_shares(struct planning *planning, enum side side)
{
    const struct table *table = &planning->tables[side];
    for (uint32_t node = 0; node < table->n; node++)
        side_of(&planning->endpoints[table->endpoints[node]], side)->share =
            ring_share(table->ring, node);
}

/* ---- the traffic ---- */

static bool is_among(const uint32_t *nodes, uint32_t n, uint32_t node)
{
    for (uint32_t i = 0; i < n; i++) {
        if (nodes[i] == node)
            return true;
    }
    return false;
}

/* The first different nodes of the key's walk, as many as share it. */
static uint32_t find_alternatives(const struct table *table, const struct plan_hot_key *key,
                                  uint32_t ret_nodes[MAX_ALTERNATIVES])
{
    uint32_t n = 0, wanted = key->alternatives > 1 ? key->alternatives : 1;
    struct ring_walk walk;
    ring_walk_start(&walk, table->ring, key->hash);
    for (int step = 0; step < MAX_STEPS && n < wanted && n < MAX_ALTERNATIVES; step++) {
        uint32_t node = ring_walk_next(&walk);
        if (node == RING_NONE)
            break;
        if (!is_among(ret_nodes, n, node))
            ret_nodes[n++] = node;
    }
    return n;
}

static void divide_hot_key(struct planning *planning, enum side side,
                           const struct plan_hot_key *key)
{
    struct table *table = &planning->tables[side];
    uint32_t nodes[MAX_ALTERNATIVES];
    uint32_t n = find_alternatives(table, key, nodes);
    double weight = 0;
    memset(table->parts, 0, (planning->n + (size_t)1) * sizeof table->parts[0]);
    for (uint32_t i = 0; i < n; i++)
        weight += side_of(&planning->endpoints[table->endpoints[nodes[i]]], side)->weight;
    if (n == 0)
        table->parts[planning->n] = key->share;
    for (uint32_t i = 0; i < n; i++) {
        struct plan_side *at = side_of(&planning->endpoints[table->endpoints[nodes[i]]], side);
        double part = key->share * at->weight / weight;
        at->load += part;
        table->parts[table->endpoints[nodes[i]]] = part;
    }
}

static void weigh_hot_key(struct planning *planning, const struct plan_hot_key *key)
{
    for (enum side side = BEFORE; side < SIDES; side++)
        divide_hot_key(planning, side, key);
    for (uint32_t i = 0; i <= planning->n; i++) {
        double gain = planning->tables[AFTER].parts[i] - planning->tables[BEFORE].parts[i];
        planning->plan->moved_traffic += gain > 0 ? gain : 0;
    }
}

static void weigh_traffic(struct planning *planning, const struct plan_hot_key *keys, size_t n)
{
    double rest = 1;
    planning->plan->moved_traffic = 0;
    for (size_t i = 0; i < n; i++) {
        weigh_hot_key(planning, &keys[i]);
        rest -= keys[i].share;
    }
    rest = rest > 0 ? rest : 0;
    planning->plan->moved_traffic += rest * planning->plan->moved;
    for (uint32_t i = 0; i < planning->n; i++) {
        struct plan_endpoint *endpoint = &planning->endpoints[i];
        endpoint->before.load += rest * endpoint->before.share;
        endpoint->after.load += rest * endpoint->after.share;
    }
}

static void clear_results(struct planning *planning)
{
    for (uint32_t i = 0; i < planning->n; i++) {
        for (enum side side = BEFORE; side < SIDES; side++) {
            struct plan_side *at = side_of(&planning->endpoints[i], side);
            at->share = at->load = 0;
        }
    }
}

int plan_make(const struct ring_options *options, struct plan_endpoint *endpoints, size_t n,
              const struct plan_hot_key *hot_keys, size_t n_hot_keys, struct plan *ret_plan)
{
    if (n > 2 * (size_t)RING_MAX_NODES)
        return -EINVAL;
    struct plan plan = {0};
    struct planning planning = {
        .options = options, .endpoints = endpoints, .n = (uint32_t)n, .plan = &plan};
    int rc = table_init(&planning, BEFORE);
    if (rc == 0)
        rc = table_init(&planning, AFTER);
    if (rc == 0) {
        clear_results(&planning);
        compare_keys(&planning);
        fill_shares(&planning, BEFORE);
        fill_shares(&planning, AFTER);
        weigh_traffic(&planning, hot_keys, n_hot_keys);
        *ret_plan = plan;
    }
    table_fini(&planning.tables[BEFORE]);
    table_fini(&planning.tables[AFTER]);
    return rc;
}
