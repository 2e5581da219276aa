#include "balancer/proxy/choice.h"

#include "balancer/proxy/explained.h"
#include "balancer/proxy/session.h"
#include "balancer/proxy/upstream.h"
#include "balancer/proxy/worker.h"

static struct pool_local *pool_local_of(const struct request *r)
{
    return &r->view->pool->locals[request_worker(r)->index];
}

static void count_key(struct request *r)
{
    struct heat *heat = pool_local_of(r)->heat;
    if (heat != NULL && r->has_key)
        r->key_share = heat_count(heat, r->hash, r->key, worker_now_us(request_worker(r)));
}

static void count_way(struct request *r, enum pick_way way)
{
    struct pool_stats *stats = &pool_local_of(r)->stats;
    if (way == PICK_OVERFLOW)
        counter_add(&stats->overflowed, 1);
    else if (way == PICK_HOT)
        counter_add(&stats->hot_spread, 1);
}

/* A key that must not be served elsewhere waits for its endpoint, and so does a session. */
static bool may_avoid_full(const struct request *r)
{
    return !r->has_key || r->pool->affinity == CONF_AFFINITY_CACHE;
}

bool choice_is_tied(const struct request *r)
{
    return r->session == STICKY_HIT || !may_avoid_full(r);
}

/* One with room, if there is one that the request may go to. */
static struct endpoint *pick_by_policy(const struct request *r, struct pick *choice)
{
    choice->max_connections = may_avoid_full(r) ? r->pool->max_connections : 0;
    struct endpoint *endpoint = policy_pick(choice);
    if (endpoint != NULL || choice->max_connections == 0)
        return endpoint;
    choice->max_connections = 0;
    return policy_pick(choice);
}

struct endpoint *choice_make(struct request *r)
{
    struct worker *worker = request_worker(r);
    r->view = worker_pool(worker, (size_t)(r->pool - worker->proxy->conf->pools));
    struct pick_trace trace = explained_trace(r);
    struct pick choice = {.snapshot = r->view->snapshot,
                          .state = r->view->state,
                          .hash = r->hash,
                          .has_key = r->has_key,
                          .in_flight = pool_in_flight(r->view->pool),
                          .random = worker_random(worker),
                          .tried = r->tried,
                          .n_tried = r->n_tried,
                          .trace = &trace};
    struct endpoint *own = session_pick(r, &choice);
    if (own != NULL) {
        explained_note(r, &choice, own, "session");
        return own;
    }
    if (r->n_attempts == 0 && r->queued_us == 0) {
        r->home = policy_home(&choice);
        count_key(r);
    }
    choice.key_share = r->key_share;
    struct endpoint *endpoint = pick_by_policy(r, &choice);
    count_way(r, trace.way);
    explained_note(r, &choice, endpoint, NULL);
    return endpoint;
}

bool choice_has_other(const struct request *r)
{
    if (r->n_tried >= r->pool->retries)
        return false;
    const struct snapshot *snapshot = r->view->snapshot;
    const struct pick others = {.snapshot = snapshot,
                                .tried = r->tried,
                                .n_tried = r->n_tried,
                                .max_connections = r->pool->max_connections};
    for (uint32_t i = 0; i < snapshot->n; i++) {
        const struct member *member = &snapshot->members[i];
        if (member->endpoint != r->upstream->endpoint && pick_allows(&others, member))
            return true;
    }
    return false;
}
