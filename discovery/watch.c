#include "discovery/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "discovery/backoff.h"
#include "discovery/consul_answer.h"
#include "discovery/guard.h"
#include "discovery/instance_set.h"
#include "discovery/query.h"

enum watch_state { WATCH_STOPPED, WATCH_WAITING, WATCH_QUEUED, WATCH_ASKING };

/* The moves allowed from each state. */
static const unsigned moves[] = {
    [WATCH_STOPPED] = 1U << WATCH_WAITING,
    [WATCH_WAITING] = 1U << WATCH_QUEUED | 1U << WATCH_ASKING,
    [WATCH_QUEUED] = 1U << WATCH_WAITING,
    [WATCH_ASKING] = 1U << WATCH_WAITING,
};

/* Which agent is asked, and how the next question to it reads. */
struct position {
    size_t address;  /* index into the configured addresses */
    size_t n_tried;  /* addresses that failed in a row, in this round of all of them */
    uint64_t index;  /* 0: ask at once, not for a change */
    bool consistent; /* this once the leader must answer */
};

struct watch {
    struct watch_host *host;
    const struct conf_pool *conf;
    size_t pool;
    enum watch_state state;
    bool has_slot; /* counted off host->n_slots */
    TAILQ_ENTRY(watch) link;
    struct ev_timer timer;
    struct query *query;
    struct position position;
    struct instance_set *set; /* the last applied; NULL before the first */
    uint64_t index_seen;      /* of the last good answer, for the observer */
    struct guard guard;
    struct backoff backoff;
    struct pace pace;
};

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* splitmix64, by Sebastiano Vigna: good enough to spread retries. */
static uint64_t next_random(struct watch_host *host)
{
    uint64_t z = host->random += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static void move_to(struct watch *watch, enum watch_state state)
{
    assert(moves[watch->state] & 1U << state);
    watch->state = state;
}

static const char *address_of(const struct watch *watch)
{
    return watch->host->consul->addresses[watch->position.address];
}

static void tell(const struct watch *watch, struct discovery_event event)
{
    event.pool = watch->pool;
    event.address = address_of(watch);
    event.index = watch->index_seen;
    watch->host->observer(watch->host->context, &event);
}

static void wait_for(struct watch *watch, uint32_t delay_ms)
{
    move_to(watch, WATCH_WAITING);
    ev_now_update(watch->host->loop);
    ev_timer_set(&watch->timer, delay_ms / 1000.0, 0.0);
    ev_timer_start(watch->host->loop, &watch->timer);
}

static void release_slot(struct watch *watch)
{
    struct watch_host *host = watch->host;
    if (!watch->has_slot)
        return;
    watch->has_slot = false;
    struct watch *next = TAILQ_FIRST(&host->queue);
    if (next == NULL) {
        host->n_slots++;
        return;
    }
    /* Handed over, so that nobody overtakes; by the timer, so that failures do not nest. */
    TAILQ_REMOVE(&host->queue, next, link);
    next->has_slot = true;
    wait_for(next, 0);
}

/* True, or the watch stands in the queue. */
static bool take_slot(struct watch *watch)
{
    struct watch_host *host = watch->host;
    if (watch->has_slot)
        return true;
    if (host->n_slots == 0) {
        move_to(watch, WATCH_QUEUED);
        TAILQ_INSERT_TAIL(&host->queue, watch, link);
        return false;
    }
    host->n_slots--;
    watch->has_slot = true;
    return true;
}

static void rotate_address(struct watch *watch)
{
    struct position *position = &watch->position;
    position->n_tried++;
    position->address = (position->address + 1) % watch->host->consul->n_addresses;
}

static uint32_t back_off(struct watch *watch)
{
    watch->position.n_tried = 0;
    return backoff_fail(&watch->backoff, next_random(watch->host));
}

/* When to ask next after a failure, and whom. */
static uint32_t plan_retry(struct watch *watch, enum query_outcome outcome)
{
    switch (outcome) {
    case QUERY_MISTAKEN: /* no agent will understand it better, nor soon */
        back_off(watch);
        return watch->backoff.max_ms;
    case QUERY_DENIED:
        if (query_has_new_token(watch->query))
            return watch->backoff.min_ms;
        rotate_address(watch);
        return back_off(watch);
    case QUERY_OVERLOADED:
        rotate_address(watch);
        return back_off(watch);
    default:
        rotate_address(watch);
        if (watch->position.n_tried < watch->host->consul->n_addresses)
            return 0;
        return back_off(watch);
    }
}

/* The last set stays. The index starts over: it may be another agent's, or a restarted one's. */
static void fail(struct watch *watch, enum query_outcome outcome, const char *error)
{
    const char *address = address_of(watch);
    guard_fail(&watch->guard);
    watch->position.index = 0;
    watch->position.consistent = false;
    uint32_t retry_ms = plan_retry(watch, outcome);
    wait_for(watch, retry_ms);
    watch->host->observer(watch->host->context, &(struct discovery_event){
                                                    .type = DISCOVERY_FAILED,
                                                    .pool = watch->pool,
                                                    .error = error,
                                                    .address = address,
                                                    .retry_ms = retry_ms,
                                                    .index = watch->index_seen,
                                                });
}

static void ask(struct watch *watch)
{
    const struct watch_host *host = watch->host;
    move_to(watch, WATCH_ASKING);
    struct consul_query question = {
        .service = &watch->conf->service,
        .meta_key = watch->conf->identity.meta_key,
        .index = watch->position.index,
        .wait_ms = host->wait_ms,
        .mode = host->consul->stale && !watch->position.consistent ? CONSUL_STALE : CONSUL_DEFAULT,
    };
    int error = query_start(watch->query, address_of(watch), &question);
    if (error == 0)
        return;
    release_slot(watch);
    fail(watch, QUERY_FAILED, error == -ENOMEM ? "out of memory" : "cannot read the token file");
}

static void on_timer(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct watch *watch = timer->data;
    if (take_slot(watch))
        ask(watch);
}

/* The set passes to the observer; the watch keeps a copy to compare with. */
static int apply(struct watch *watch, struct instance_set *set)
{
    struct instance_set *copy = instance_set_copy(set);
    if (copy == NULL)
        return -ENOMEM;
    instance_set_free(watch->set);
    watch->set = copy;
    tell(watch, (struct discovery_event){.type = DISCOVERY_UPDATED, .set = set});
    return 0;
}

/* Instances that begin or cease to be left out are news, too: an operator wants to know. */
static bool is_news(const struct watch *watch, const struct instance_set *set)
{
    return watch->set == NULL || watch->set->n_rejected != set->n_rejected ||
           !instance_set_equal(watch->set, set);
}

static bool is_too_old(const struct watch *watch, const struct consul_head *head)
{
    const struct conf_consul *consul = watch->host->consul;
    return consul->stale && !watch->position.consistent &&
           (head->says_no_leader || head->last_contact_ms > consul->max_stale_ms);
}

static enum guard_verdict judge(struct watch *watch, const struct consul_head *head,
                                const struct instance_set *set)
{
    const struct conf_consul *consul = watch->host->consul;
    bool anonymous = consul->token == NULL && consul->token_file == NULL;
    struct guard_answer answer = {
        .is_empty = set->n == 0,
        .empties = set->n == 0 && watch->set != NULL && watch->set->n > 0,
        .removes = watch->set != NULL && instance_set_removes(watch->set, set),
        .known_leader = head->says_leader,
        .may_hide = head->filtered || (anonymous && head->may_hide_if_anonymous && set->n == 0),
    };
    return guard_judge(&watch->guard, &answer, monotonic_ms(), consul->hold_ms);
}

static void contacted(struct watch *watch)
{
    tell(watch, (struct discovery_event){.type = DISCOVERY_CONTACTED});
}

/* Asks the leader again and again, and never for a change: only so can a hold end in time. */
static void hold(struct watch *watch, struct instance_set *set)
{
    instance_set_free(set);
    watch->position.index = 0;
    watch->position.consistent = true;
    wait_for(watch, guard_interval_ms(watch->host->consul->hold_ms));
    tell(watch, (struct discovery_event){.type = DISCOVERY_HELD, .error = watch->guard.why_held});
}

/* An answer that is too old may be behind the last set, but it is better than none at all. */
static void ask_consistently(struct watch *watch, struct instance_set *set)
{
    watch->position.index = 0;
    watch->position.consistent = true;
    wait_for(watch, pace_take(&watch->pace, monotonic_ms()));
    if (watch->set != NULL || set->n == 0 || apply(watch, set) != 0)
        instance_set_free(set);
}

static void take_answer(struct watch *watch, const struct consul_head *head,
                        struct instance_set *set)
{
    struct position *position = &watch->position;
    watch->index_seen = head->index;
    if (is_too_old(watch, head)) {
        ask_consistently(watch, set);
        return;
    }
    watch->backoff.n_failures = 0;
    position->n_tried = 0;
    if (judge(watch, head, set) == GUARD_HOLD) {
        hold(watch, set);
        return;
    }
    bool news = is_news(watch, set);
    if (news && apply(watch, set) != 0) {
        instance_set_free(set);
        fail(watch, QUERY_FAILED, "out of memory");
        return;
    }
    position->index = consul_index_next(position->index, head->index);
    position->consistent = false;
    wait_for(watch, pace_take(&watch->pace, monotonic_ms()));
    if (!news) {
        instance_set_free(set);
        contacted(watch);
    }
}

static void on_answer(void *context, const struct query_result *result)
{
    struct watch *watch = context;
    release_slot(watch);
    if (result->outcome == QUERY_GOOD)
        take_answer(watch, &result->head, result->set);
    else
        fail(watch, result->outcome, result->error);
}

int watch_new(struct watch_host *host, const struct conf_pool *conf, size_t pool,
              struct watch **ret_watch)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return -ENOMEM;
    watch->host = host;
    watch->conf = conf;
    watch->pool = pool;
    watch->backoff = (struct backoff){.min_ms = host->consul->backoff_min_ms,
                                      .max_ms = host->consul->backoff_max_ms};
    pace_init(&watch->pace, monotonic_ms());
    ev_init(&watch->timer, on_timer);
    watch->timer.data = watch;
    int error = query_new(host->curl, host->consul, on_answer, watch, &watch->query);
    if (error != 0) {
        free(watch);
        return error;
    }
    *ret_watch = watch;
    return 0;
}

void watch_start(struct watch *watch, uint32_t delay_ms)
{
    wait_for(watch, delay_ms);
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->state == WATCH_QUEUED)
        TAILQ_REMOVE(&watch->host->queue, watch, link);
    ev_timer_stop(watch->host->loop, &watch->timer);
    query_free(watch->query);
    instance_set_free(watch->set);
    free(watch);
}
