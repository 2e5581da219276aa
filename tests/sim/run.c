#include "run.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer.h"
#include "balancer/control/ramp.h"
#include "cache.h"
#include "draw.h"
#include "hashring/ring.h"
#include "zipf.h"

/* Latencies by steps of 50 us; the last one takes what is longer. */
enum { LATENCY_STEPS = 4000, LATENCY_STEPS_PER_MS = 20 };

enum { KEY_BYTES = 24, FLASH_OBJECT = RUN_OBJECTS / 2 };

/* What chance decides. */
enum matter { ARRIVALS, OBJECTS, SERVICE, CHOICES, PLACES, N_MATTERS };

struct key {
    uint64_t hash;
    uint8_t n;
    char text[KEY_BYTES];
};

/* A request in flight. */
struct flight {
    double end_ms;
    uint16_t endpoint;
    uint8_t balancer, worker;
};

/* A binary heap: the next one to end is the first. */
struct flights {
    struct flight *list;
    size_t n, room;
};

struct tally {
    uint64_t requests, hits, overflowed, hot, late;
    double sum_ms;
    uint64_t by_endpoint[BALANCER_MAX_ENDPOINTS];
    uint64_t latencies[LATENCY_STEPS];
};

struct world {
    const struct plan *plan;
    struct outcome *outcome;
    struct balancer balancers[RUN_MAX_BALANCERS];
    struct cache caches[BALANCER_MAX_ENDPOINTS];
    struct zipf *zipf;
    struct key *keys;
    struct flights flights;
    struct tally tally;
    struct draws draws[N_MATTERS];
    double now_ms, start_ms; /* start: when the warm-up ended; 0 before */
    double next_step_ms;     /* of the event */
    struct ramp ramp;        /* of the endpoints that join */
    bool has_crashed;
};

struct plan plan_default(const struct scheme *scheme, double rate)
{
    return (struct plan){
        .scheme = scheme,
        .zipf = 1.0,
        .rate = rate,
        .endpoints = 20,
        .capacity = 2500,
        .balancers = 1,
        .workers = 1,
        .warm_up = 1000000,
        .measured = 1000000,
        .seed = 1,
    };
}

/* --- requests in flight -------------------------------------------------------------------- */

static void flights_push(struct flights *flights, struct flight flight)
{
    if (flights->n == flights->room) {
        flights->room = flights->room > 0 ? 2 * flights->room : 1024;
        flights->list = realloc(flights->list, flights->room * sizeof flights->list[0]);
        assert(flights->list != NULL);
    }
    size_t at = flights->n++;
    for (; at > 0 && flights->list[(at - 1) / 2].end_ms > flight.end_ms; at = (at - 1) / 2)
        flights->list[at] = flights->list[(at - 1) / 2];
    flights->list[at] = flight;
}

static struct flight flights_pop(struct flights *flights)
{
    struct flight first = flights->list[0];
    struct flight last = flights->list[--flights->n];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < flights->n) {
        if (child + 1 < flights->n && flights->list[child + 1].end_ms < flights->list[child].end_ms)
            child++;
        if (flights->list[child].end_ms >= last.end_ms)
            break;
        flights->list[at] = flights->list[child];
        at = child;
    }
    flights->list[at] = last;
    return first;
}

static void land(struct world *world)
{
    while (world->flights.n > 0 && world->flights.list[0].end_ms <= world->now_ms) {
        struct flight flight = flights_pop(&world->flights);
        balancer_done(&world->balancers[flight.balancer], flight.worker, flight.endpoint);
    }
}

/* --- one request --------------------------------------------------------------------------- */

static double since_start_s(const struct world *world)
{
    return (world->now_ms - world->start_ms) / 1e3;
}

static bool has_happened(const struct world *world)
{
    return world->start_ms > 0 && since_start_s(world) >= world->plan->event.at_s;
}

static uint32_t draw_object(struct world *world)
{
    struct draws *draws = &world->draws[OBJECTS];
    double hot_part = world->plan->event.hot_part;
    if (hot_part > 0 && has_happened(world) && draw_unit(draws) < hot_part)
        return FLASH_OBJECT;
    return zipf_draw(world->zipf, draws);
}

static void count_window(struct world *world, bool is_hit)
{
    double window = since_start_s(world) / RUN_WINDOW_S;
    if (window >= RUN_MAX_WINDOWS)
        return;
    struct window *counts = &world->outcome->windows[(uint32_t)window];
    world->outcome->n_windows = (uint32_t)window;
    counts->requests++;
    counts->misses += is_hit ? 0 : 1;
}

static void count(struct world *world, uint32_t endpoint, enum pick_way way, bool is_hit,
                  double latency_ms)
{
    struct tally *tally = &world->tally;
    double step = latency_ms * LATENCY_STEPS_PER_MS;
    tally->requests++;
    tally->hits += is_hit;
    tally->overflowed += way == PICK_OVERFLOW;
    tally->hot += way == PICK_HOT;
    tally->late += latency_ms > RUN_LIMIT_MS;
    tally->sum_ms += latency_ms;
    tally->by_endpoint[endpoint]++;
    tally->latencies[step < LATENCY_STEPS ? (uint32_t)step : LATENCY_STEPS - 1]++;
    count_window(world, is_hit);
}

static void serve_one(struct world *world)
{
    const struct plan *plan = world->plan;
    uint32_t object = draw_object(world);
    const struct key *key = &world->keys[object];
    uint32_t balancer = draw_below(&world->draws[PLACES], plan->balancers);
    struct balancer_request request = {
        .worker = draw_below(&world->draws[PLACES], plan->workers),
        .hash = key->hash,
        .key = {(const uint8_t *)key->text, key->n},
        .now_us = (uint64_t)(world->now_ms * 1e3) + 1,
        .random = draw_bits(&world->draws[CHOICES]),
    };
    enum pick_way way;
    bool is_hit;
    uint32_t endpoint = balancer_choose(&world->balancers[balancer], &request, &way);
    double end_ms = cache_serve(&world->caches[endpoint], object, world->now_ms,
                                &world->draws[SERVICE], &is_hit);
    flights_push(&world->flights, (struct flight){.end_ms = end_ms,
                                                  .endpoint = (uint16_t)endpoint,
                                                  .balancer = (uint8_t)balancer,
                                                  .worker = (uint8_t)request.worker});
    if (world->start_ms > 0)
        count(world, endpoint, way, is_hit, end_ms - world->now_ms);
}

/* --- the event ----------------------------------------------------------------------------- */

/* A step of the newcomers' ramp, as control takes them. */
static void step_join(struct world *world)
{
    const struct event *event = &world->plan->event;
    uint64_t now_us = (uint64_t)(world->now_ms * 1e3);
    struct ramp *ramp = &world->ramp;
    double part = 1;
    if (event->ramp_s > 0 && !ramp_is_running(ramp))
        *ramp = (struct ramp){.from = ramp_first_weight(1),
                              .to = 1,
                              .begin_us = now_us,
                              .length_us = (uint64_t)(event->ramp_s * 1e6)};
    if (event->ramp_s > 0)
        part = ramp_weight(ramp, now_us);
    uint32_t old_n = world->plan->endpoints;
    for (uint32_t i = 0; i < world->plan->balancers; i++)
        balancer_resize(&world->balancers[i], old_n + event->join, old_n, part);
    bool is_over = event->ramp_s <= 0 || ramp_is_over(ramp, now_us);
    world->next_step_ms =
        is_over ? INFINITY : world->now_ms + (double)ramp_step_us(ramp->length_us) / 1e3;
}

static void step_event(struct world *world)
{
    const struct event *event = &world->plan->event;
    if (!has_happened(world) || world->now_ms < world->next_step_ms)
        return;
    if (event->join > 0)
        step_join(world);
    if (event->crash && !world->has_crashed) {
        world->has_crashed = true;
        for (uint32_t i = 0; i < world->plan->balancers; i++)
            balancer_take_down(&world->balancers[i], 0);
    }
}

/* --- a world and its end ------------------------------------------------------------------- */

static void name_keys(struct world *world)
{
    struct ring_options options = {.kind = RING_SLOTS};
    if (world->balancers[0].pool.has_ring)
        options = world->balancers[0].pool.ring_options;
    world->keys = calloc(RUN_OBJECTS, sizeof world->keys[0]);
    assert(world->keys != NULL);
    for (uint32_t i = 0; i < RUN_OBJECTS; i++) {
        struct key *key = &world->keys[i];
        int n = snprintf(key->text, KEY_BYTES, "/%u/object/%u", (unsigned)world->plan->seed, i);
        assert(n > 0 && n < KEY_BYTES);
        key->n = (uint8_t)n;
        key->hash = ring_key_hash(&options, key->text, (size_t)n);
    }
}

static void world_init(struct world *world, const struct plan *plan, struct outcome *outcome)
{
    assert(plan->balancers <= RUN_MAX_BALANCERS);
    assert(plan->endpoints + plan->event.join <= BALANCER_MAX_ENDPOINTS);
    memset(world, 0, sizeof *world);
    memset(outcome, 0, sizeof *outcome);
    world->plan = plan;
    world->outcome = outcome;
    for (uint32_t i = 0; i < plan->balancers; i++)
        balancer_init(&world->balancers[i], plan->scheme, plan->endpoints, plan->workers,
                      plan->seed);
    for (uint32_t i = 0; i < plan->endpoints + plan->event.join; i++)
        cache_init(&world->caches[i], RUN_OBJECTS, plan->capacity);
    world->zipf = zipf_new(RUN_OBJECTS, plan->zipf);
    name_keys(world);
    for (uint64_t i = 0; i < N_MATTERS; i++)
        world->draws[i] = draws_of(plan->seed, i);
}

static void world_fini(struct world *world)
{
    for (uint32_t i = 0; i < world->plan->balancers; i++)
        balancer_fini(&world->balancers[i]);
    for (uint32_t i = 0; i < world->plan->endpoints + world->plan->event.join; i++)
        cache_fini(&world->caches[i]);
    zipf_free(world->zipf);
    free(world->keys);
    free(world->flights.list);
}

/* The latency that this part of the requests does not exceed. */
static double percentile(const struct tally *tally, double part)
{
    double wanted = part * (double)tally->requests, sum = 0;
    uint32_t step = 0;
    while (step < LATENCY_STEPS - 1 && (sum += (double)tally->latencies[step]) < wanted)
        step++;
    return (step + 1.0) / LATENCY_STEPS_PER_MS;
}

static void sum_up(const struct world *world)
{
    const struct tally *tally = &world->tally;
    struct outcome *outcome = world->outcome;
    double requests = (double)tally->requests;
    uint64_t most = 0;
    for (uint32_t i = 0; i < world->plan->endpoints; i++)
        most = tally->by_endpoint[i] > most ? tally->by_endpoint[i] : most;
    outcome->hit_rate = (double)tally->hits / requests;
    outcome->max_to_average = (double)most * world->plan->endpoints / requests;
    outcome->mean_ms = tally->sum_ms / requests;
    outcome->p99_ms = percentile(tally, 0.99);
    outcome->p999_ms = percentile(tally, 0.999);
    outcome->overflowed = (double)tally->overflowed / requests;
    outcome->hot = (double)tally->hot / requests;
    outcome->is_sustained = tally->late * 100 <= world->plan->measured;
}

/* Too many are late already for the rate to be sustained. */
static bool is_lost(const struct world *world)
{
    bool has_event = world->plan->event.at_s > 0;
    return !has_event && world->tally.late * 100 > world->plan->measured;
}

static double gap_ms(struct world *world, uint64_t request)
{
    double rate = world->plan->rate;
    if (!world->plan->cold_start && request < world->plan->warm_up / 3)
        rate /= 2;
    return draw_exponential(&world->draws[ARRIVALS], 1e3 / rate);
}

void run(const struct plan *plan, struct outcome *ret_outcome)
{
    static struct world world; /* too large for the stack */
    world_init(&world, plan, ret_outcome);
    for (uint64_t i = 0; i < plan->warm_up + plan->measured && !is_lost(&world); i++) {
        world.now_ms += gap_ms(&world, i);
        if (i == plan->warm_up)
            world.start_ms = world.now_ms;
        land(&world);
        step_event(&world);
        serve_one(&world);
    }
    sum_up(&world);
    world_fini(&world);
}
