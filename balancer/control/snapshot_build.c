#include "balancer/control/snapshot_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/pool/ring_choice.h"
#include "balancer/pool/sticky.h"

static int compare_members(const void *a, const void *b)
{
    const struct member *left = a;
    const struct member *right = b;
    return strcmp(left->endpoint->id, right->endpoint->id);
}

static bool has_twins(const struct snapshot *snapshot)
{
    for (uint32_t i = 1; i < snapshot->n; i++) {
        if (compare_members(&snapshot->members[i - 1], &snapshot->members[i]) == 0)
            return true;
    }
    return false;
}

static int id_to_member(const void *id, const void *member)
{
    return strcmp(id, ((const struct member *)member)->endpoint->id);
}

/* The nodes are the snapshot's n members; their positions are those of the endpoints in members. */
static void fill_nodes(const struct snapshot *snapshot, const struct member *members, uint32_t n,
                       struct ring_node *nodes)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct member *member = &snapshot->members[i];
        nodes[i] = (struct ring_node){.id = member->endpoint->id,
                                      .id_len = strlen(member->endpoint->id),
                                      .weight = member->weight};
    }
    for (uint32_t position = 0; position < n; position++) {
        const struct member *member = bsearch(members[position].endpoint->id, snapshot->members, n,
                                              sizeof snapshot->members[0], id_to_member);
        nodes[member - snapshot->members].position = position;
    }
}

static int make_ring(struct snapshot *snapshot, const struct member *members, uint32_t n,
                     const struct ring_options *options, const struct snapshot *previous)
{
    struct ring_node *nodes = calloc(n + (size_t)1, sizeof nodes[0]);
    if (nodes == NULL)
        return -ENOMEM;

    fill_nodes(snapshot, members, n, nodes);
    const struct ring *old = previous != NULL ? previous->ring : NULL;
    int r = old != NULL && ring_choice_is_same(ring_options_of(old), options)
                ? ring_derive(old, nodes, n, &snapshot->ring)
                : ring_new(options, nodes, n, &snapshot->ring);
    free(nodes);
    return r;
}

int snapshot_build(const struct conf_pool *conf, const struct member *members, size_t n,
                   const struct snapshot *previous, struct snapshot **ret)
{
    if (n > RING_MAX_NODES)
        return -EINVAL;
    struct snapshot *snapshot = snapshot_new(conf, (uint32_t)n);
    if (snapshot == NULL)
        return -ENOMEM;

    snapshot->number = previous != NULL ? previous->number + 1 : 1;
    for (size_t i = 0; i < n; i++) {
        snapshot->members[i] = members[i];
        endpoint_ref(members[i].endpoint);
    }
    if (n > 0)
        qsort(snapshot->members, n, sizeof snapshot->members[0], compare_members);

    int r = has_twins(snapshot) ? -EINVAL : 0;
    struct ring_options options;
    if (r == 0 && ring_choice(conf, &options))
        r = make_ring(snapshot, members, (uint32_t)n, &options, previous);
    if (r == 0 && conf->sticky.name != NULL)
        r = sticky_index_new(snapshot->members, snapshot->n, &snapshot->sticky);
    if (r < 0) {
        snapshot_unref(snapshot);
        return r;
    }
    snapshot_count_live(snapshot);
    *ret = snapshot;
    return 0;
}
