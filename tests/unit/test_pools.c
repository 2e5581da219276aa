/* Pools under control: what sources and probes say, and what becomes of weights over time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/control/pools.h"
#include "balancer/log/log.h"
#include "discovery/instance_set.h"
#include "hashring/hash.h"

#define SECOND UINT64_C(1000000)
/* The ramp of these tests: 64 steps of half a second. */
#define RAMP_S UINT64_C(32)

enum { SLOTS = 1 << 14, MAX_INSTANCES = 8, FIRST_PORT = 8001, MAX_STEPS = 1000 };

/* One pool, what Consul says of it, and the time. Instance i is "a", "b", … on port 8001 + i. */
struct world {
    struct conf_pool pool;
    struct conf conf;
    struct health *health;
    struct pools *pools;
    struct instance list[MAX_INSTANCES];
    bool is_listed[MAX_INSTANCES];
    uint64_t now_us;
};

static void ignore_report(void *context, uint64_t cookie, const struct health_report *report)
{
    (void)context, (void)cookie, (void)report;
}

static void world_init(struct world *world, enum conf_algorithm algorithm, uint64_t ramp_s)
{
    static const char *const names[MAX_INSTANCES] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    *world = (struct world){
        .pool = {.name = (char *)"web",
                 .service = {.name = (char *)"web", .use_warning = true},
                 .algorithm = algorithm,
                 .slots = SLOTS,
                 .points = 160,
                 .ramp_ms = (uint32_t)ramp_s * 1000},
        .now_us = SECOND, /* the machine has just started */
    };
    world->conf = (struct conf){.pools = &world->pool, .n_pools = 1, .workers = 1};
    for (int i = 0; i < MAX_INSTANCES; i++)
        world->list[i] = (struct instance){.datacenter = (char *)"dc",
                                           .node = (char *)"n",
                                           .service_id = (char *)names[i],
                                           .host = (char *)"127.0.0.1",
                                           .port = (uint16_t)(FIRST_PORT + i),
                                           .weight = 1};
    const struct conf_log log = {.level = CONF_LOG_ERROR};
    log_init(&log);
    assert_int_equal(health_start(ignore_report, NULL, &world->health), 0);
    assert_int_equal(pools_new(&world->conf, world->health, world->now_us, &world->pools), 0);
}

static void world_fini(struct world *world)
{
    pools_free(world->pools);
    health_stop(world->health);
}

/* Consul speaks. */
static void update(struct world *world)
{
    struct instance list[MAX_INSTANCES];
    size_t n = 0;
    for (int i = 0; i < MAX_INSTANCES; i++)
        if (world->is_listed[i])
            list[n++] = world->list[i];
    const struct discovery_event event = {.type = DISCOVERY_UPDATED,
                                          .set = instance_set_build(list, n),
                                          .error = "",
                                          .address = "",
                                          .index = 1};
    assert_non_null(event.set);
    (void)pools_take_discovery(world->pools, &event, world->now_us);
    instance_set_free(event.set);
}

static void list_first(struct world *world, int n)
{
    for (int i = 0; i < n; i++)
        world->is_listed[i] = true;
    update(world);
}

static void add(struct world *world, int i)
{
    world->is_listed[i] = true;
    update(world);
}

static void say(struct world *world, int i, enum instance_status status)
{
    world->list[i].status = status;
    update(world);
}

static void reweight(struct world *world, int i, double weight)
{
    world->list[i].weight = weight;
    update(world);
}

static struct snapshot *snapshot_now(struct world *world)
{
    return pool_acquire(pools_array(world->pools));
}

static uint64_t number(struct world *world)
{
    struct snapshot *snapshot = snapshot_now(world);
    uint64_t n = snapshot->number;
    snapshot_unref(snapshot);
    return n;
}

/* The member at i's port; the pool keeps it for as long as it is listed. */
static struct member member_of(struct world *world, int i)
{
    struct snapshot *snapshot = snapshot_now(world);
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", FIRST_PORT + i);
    struct member found = {.endpoint = NULL};
    for (uint32_t k = 0; k < snapshot->n; k++)
        if (strcmp(snapshot->members[k].endpoint->address, address) == 0)
            found = snapshot->members[k];
    snapshot_unref(snapshot);
    return found;
}

static double weight(struct world *world, int i)
{
    struct member member = member_of(world, i);
    assert_non_null(member.endpoint);
    return member.weight;
}

static const char *state_word(struct world *world, int i)
{
    return endpoint_state_word(member_of(world, i).endpoint);
}

static void probe(struct world *world, int i, bool up)
{
    const struct endpoint *endpoint = member_of(world, i).endpoint;
    assert_non_null(endpoint);
    uint64_t serial = endpoint != NULL ? endpoint->serial : 0;
    (void)pools_take_verdict(world->pools, serial, up, "", world->now_us);
}

static bool has_next_step(const struct world *world)
{
    return pools_next_step_us(world->pools) != POOLS_NEVER;
}

/* Time passes; every step is taken when it is due. Returns how many there were. */
static unsigned pass(struct world *world, uint64_t us)
{
    uint64_t until_us = world->now_us + us;
    unsigned n = 0;
    for (; pools_next_step_us(world->pools) <= until_us; n++) {
        assert_true(n < MAX_STEPS);
        assert_true(pools_next_step_us(world->pools) >= world->now_us);
        world->now_us = pools_next_step_us(world->pools);
        assert_true(pools_step(world->pools, world->now_us));
    }
    world->now_us = until_us;
    return n;
}

/* ---- whose key is whose ---- */

struct owners {
    struct endpoint *of[SLOTS];
};

static void note_owners(struct world *world, struct owners *owners)
{
    struct snapshot *snapshot = snapshot_now(world);
    for (uint64_t i = 0; i < SLOTS; i++) {
        uint32_t node = ring_pick(snapshot->ring, (UINT64_MAX / SLOTS + 1) * i + mix64(i) / SLOTS);
        owners->of[i] = node == RING_NONE ? NULL : snapshot->members[node].endpoint;
    }
    snapshot_unref(snapshot);
}

static unsigned count_of(const struct owners *owners, const struct endpoint *endpoint)
{
    unsigned n = 0;
    for (int i = 0; i < SLOTS; i++)
        n += owners->of[i] == endpoint;
    return n;
}

/* Takes all steps; at each, keys move only to (`gains`) or only away from endpoint, and each key
 * moves once. */
static unsigned check_steps(struct world *world, struct owners *before,
                            const struct endpoint *endpoint, bool gains)
{
    static bool has_moved[SLOTS];
    memset(has_moved, 0, sizeof has_moved);
    struct owners after;
    unsigned n = 0;
    while (has_next_step(world)) {
        assert_true(n++ < MAX_STEPS);
        (void)pass(world, pools_next_step_us(world->pools) - world->now_us);
        note_owners(world, &after);
        for (int i = 0; i < SLOTS; i++) {
            if (before->of[i] == after.of[i])
                continue;
            assert_false(has_moved[i]);
            assert_ptr_equal(gains ? after.of[i] : before->of[i], endpoint);
            has_moved[i] = true;
        }
        *before = after;
    }
    return n;
}

/* ---- growing ---- */

static void check_growth(enum conf_algorithm algorithm)
{
    struct world world;
    struct owners owners, first;
    world_init(&world, algorithm, RAMP_S);
    list_first(&world, 4);
    note_owners(&world, &owners);
    first = owners;
    add(&world, 4);
    const struct endpoint *new = member_of(&world, 4).endpoint;
    assert_string_equal(endpoint_state_word(new), "up");
    assert_float_equal(weight(&world, 4), 1.0 / 64, 1e-9);
    note_owners(&world, &owners);
    for (int i = 0; i < SLOTS; i++)
        assert_true(owners.of[i] == first.of[i] || owners.of[i] == new);
    assert_in_range(count_of(&owners, new), 1, SLOTS / 100);
    assert_in_range(check_steps(&world, &owners, new, true), 32, 65);
    assert_in_range(count_of(&owners, new), SLOTS / 7, SLOTS / 4);
    assert_float_equal(weight(&world, 4), 1, 0);
    assert_false(has_next_step(&world));
    world_fini(&world);
}

static void test_a_new_endpoint_wins_its_keys_one_by_one_and_nobody_else_does(void **state)
{
    (void)state;
    check_growth(CONF_ALGORITHM_HASH);
    check_growth(CONF_ALGORITHM_RING);
}

static void test_a_ramped_pool_ends_as_one_that_never_ramped(void **state)
{
    (void)state;
    struct world ramped, plain;
    uint8_t digests[2][16];
    struct world *worlds[] = {&ramped, &plain};
    for (int w = 0; w < 2; w++) {
        world_init(worlds[w], CONF_ALGORITHM_HASH, w == 0 ? RAMP_S : 0);
        list_first(worlds[w], 3);
        worlds[w]->list[5].weight = 3;
        add(worlds[w], 5);
        pass(worlds[w], 11 * SECOND);
        reweight(worlds[w], 0, 0.25);
        pass(worlds[w], 2 * RAMP_S * SECOND);
        struct snapshot *snapshot = snapshot_now(worlds[w]);
        ring_digest(snapshot->ring, digests[w]);
        snapshot_unref(snapshot);
        world_fini(worlds[w]);
    }
    assert_memory_equal(digests[0], digests[1], sizeof digests[0]);
}

static void test_without_a_ramp_weights_change_at_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, 0);
    list_first(&world, 2);
    add(&world, 2);
    assert_float_equal(weight(&world, 2), 1, 0);
    reweight(&world, 2, 7);
    assert_float_equal(weight(&world, 2), 7, 0);
    say(&world, 0, INSTANCE_MAINTENANCE);
    assert_string_equal(state_word(&world, 0), "maintenance");
    assert_false(has_next_step(&world));
    world_fini(&world);
}

static void test_endpoints_that_ramp_at_once_share_the_snapshots(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    uint64_t first = number(&world);
    world.is_listed[3] = world.is_listed[4] = true;
    update(&world);
    pass(&world, RAMP_S * SECOND / 4 + 1);
    add(&world, 5);
    double early = weight(&world, 3), late = weight(&world, 5);
    assert_float_equal(early, weight(&world, 4), 0);
    assert_true(early > 0.2 && early < 0.3 && late < 0.02);
    pass(&world, 2 * RAMP_S * SECOND);
    for (int i = 0; i < 6; i++)
        assert_float_equal(weight(&world, i), 1, 0);
    assert_in_range(number(&world) - first, 70, 85); /* one and a quarter ramps, of 64 steps */
    world_fini(&world);
}

static void test_the_steps_of_a_ramp_wait_for_their_time(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 2);
    assert_false(has_next_step(&world));
    add(&world, 2);
    uint64_t n = number(&world);
    assert_int_equal(pools_next_step_us(world.pools), world.now_us + SECOND / 2);
    assert_false(pools_step(world.pools, world.now_us + SECOND / 2 - 1));
    world.now_us += SECOND / 4;
    update(&world); /* nothing new */
    probe(&world, 0, false);
    probe(&world, 0, true);
    assert_int_equal(pools_next_step_us(world.pools), world.now_us + SECOND / 4);
    assert_int_equal(number(&world), n);
    assert_int_equal(pass(&world, SECOND), 2);
    world_fini(&world);
}

/* ---- who does not ramp ---- */

static void test_the_first_endpoints_of_a_pool_are_whole_at_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    world.list[1].status = INSTANCE_CRITICAL;
    list_first(&world, 3);
    uint64_t n = number(&world);
    for (int i = 0; i < 3; i++)
        assert_float_equal(weight(&world, i), 1, 0);
    world.now_us += SECOND;
    say(&world, 1, INSTANCE_PASSING); /* it was only slow to start */
    assert_string_equal(state_word(&world, 1), "up");
    assert_int_equal(number(&world), n);
    assert_false(has_next_step(&world));
    world_fini(&world);
}

static void test_a_pool_without_a_warm_endpoint_does_not_ramp(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 2);
    say(&world, 0, INSTANCE_CRITICAL);
    say(&world, 1, INSTANCE_CRITICAL);
    add(&world, 2);
    assert_float_equal(weight(&world, 2), 1, 0);
    assert_false(has_next_step(&world));
    say(&world, 2, INSTANCE_MAINTENANCE); /* nobody could take its keys meanwhile */
    assert_string_equal(state_word(&world, 2), "maintenance");
    world_fini(&world);
}

static void test_when_the_last_warm_endpoint_goes_the_others_are_whole_at_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 1);
    add(&world, 1);
    pass(&world, 5 * SECOND);
    add(&world, 2);
    probe(&world, 0, false);
    assert_float_equal(weight(&world, 1), 1, 0);
    assert_float_equal(weight(&world, 2), 1, 0);
    assert_false(has_next_step(&world));
    world_fini(&world);
}

/* ---- outages ---- */

static void test_a_flap_rebuilds_nothing(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    uint64_t n = number(&world);
    for (int i = 0; i < 3; i++) {
        say(&world, 1, INSTANCE_CRITICAL);
        assert_string_equal(state_word(&world, 1), "critical");
        pass(&world, (RAMP_S - 1) * SECOND);
        say(&world, 1, INSTANCE_PASSING);
        assert_string_equal(state_word(&world, 1), "up");
        probe(&world, 2, false);
        assert_string_equal(state_word(&world, 2), "probe_down");
        pass(&world, (RAMP_S - 1) * SECOND);
        probe(&world, 2, true);
        assert_string_equal(state_word(&world, 2), "up");
    }
    assert_int_equal(number(&world), n);
    assert_false(has_next_step(&world));
    world_fini(&world);
}

static void test_after_an_outage_as_long_as_a_ramp_keys_come_back_one_by_one(void **state)
{
    (void)state;
    struct world world;
    struct owners before, owners;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    note_owners(&world, &before);
    const struct endpoint *lost = member_of(&world, 1).endpoint;
    probe(&world, 1, false);
    pass(&world, RAMP_S * SECOND);
    assert_float_equal(weight(&world, 1), 1, 0);
    probe(&world, 1, true);
    assert_true(endpoint_is_usable(lost));
    assert_float_equal(weight(&world, 1), 1.0 / 64, 1e-9);
    note_owners(&world, &owners);
    for (int i = 0; i < SLOTS; i++)
        assert_true(owners.of[i] == before.of[i] || before.of[i] == lost);
    check_steps(&world, &owners, lost, true);
    assert_memory_equal(&owners, &before, sizeof owners);
    world_fini(&world);
}

static void test_an_outage_counts_from_its_beginning_whatever_happens_meanwhile(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    say(&world, 1, INSTANCE_CRITICAL);
    pass(&world, (RAMP_S - 1) * SECOND);
    say(&world, 2, INSTANCE_WARNING);
    say(&world, 1, INSTANCE_MAINTENANCE);
    pass(&world, SECOND);
    say(&world, 1, INSTANCE_PASSING);
    assert_float_equal(weight(&world, 1), 1.0 / 64, 1e-9);
    world_fini(&world);
}

static void test_an_instance_that_registers_critical_ramps_once_it_passes(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    world.list[3].status = INSTANCE_CRITICAL;
    add(&world, 3);
    assert_false(has_next_step(&world));
    world.now_us += SECOND;
    say(&world, 3, INSTANCE_PASSING);
    assert_float_equal(weight(&world, 3), 1.0 / 64, 1e-9);
    pass(&world, 2 * RAMP_S * SECOND);
    assert_float_equal(weight(&world, 3), 1, 0);
    world_fini(&world);
}

static void test_an_outage_within_a_ramp_holds_it_up(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 2);
    add(&world, 2);
    pass(&world, RAMP_S * SECOND / 2);
    double reached = weight(&world, 2);
    probe(&world, 2, false);
    assert_false(has_next_step(&world));
    pass(&world, 3 * SECOND);
    uint64_t n = number(&world);
    probe(&world, 2, true);
    assert_float_equal(weight(&world, 2), reached, 0);
    assert_int_equal(number(&world), n);
    assert_true(has_next_step(&world));
    pass(&world, 2 * RAMP_S * SECOND);
    assert_float_equal(weight(&world, 2), 1, 0);
    world_fini(&world);
}

/* ---- draining ---- */

static void check_drain(bool by_weight)
{
    struct world world;
    struct owners owners;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 4);
    note_owners(&world, &owners);
    const struct endpoint *leaver = member_of(&world, 2).endpoint;
    if (by_weight)
        reweight(&world, 2, 0);
    else
        say(&world, 2, INSTANCE_MAINTENANCE);
    assert_string_equal(endpoint_state_word(leaver), "draining");
    assert_true(endpoint_is_usable(leaver));
    pass(&world, RAMP_S * SECOND / 2);
    assert_float_equal(weight(&world, 2), 0.5, 0.02);
    note_owners(&world, &owners);
    assert_in_range(count_of(&owners, leaver), SLOTS / 10, SLOTS / 5);
    assert_in_range(check_steps(&world, &owners, leaver, false), 30, 34);
    assert_int_equal(count_of(&owners, leaver), 0);
    assert_float_equal(weight(&world, 2), 0, 0);
    assert_string_equal(endpoint_state_word(leaver), by_weight ? "up" : "maintenance");
    world_fini(&world);
}

static void test_a_draining_endpoint_gives_its_keys_up_one_by_one(void **state)
{
    (void)state;
    check_drain(true);
    check_drain(false);
}

static void test_who_comes_back_from_a_drain_begins_small(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    say(&world, 0, INSTANCE_MAINTENANCE);
    pass(&world, 2 * RAMP_S * SECOND);
    assert_string_equal(state_word(&world, 0), "maintenance");
    say(&world, 0, INSTANCE_PASSING);
    assert_string_equal(state_word(&world, 0), "up");
    assert_float_equal(weight(&world, 0), 1.0 / 64, 1e-9);
    pass(&world, 2 * RAMP_S * SECOND);
    assert_float_equal(weight(&world, 0), 1, 0);
    world_fini(&world);
}

static void test_who_gets_a_weight_again_begins_small(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    reweight(&world, 0, 0);
    pass(&world, 2 * RAMP_S * SECOND);
    assert_float_equal(weight(&world, 0), 0, 0);
    reweight(&world, 0, 2);
    assert_string_equal(state_word(&world, 0), "up");
    assert_float_equal(weight(&world, 0), 2.0 / 64, 1e-9);
    pass(&world, 2 * RAMP_S * SECOND);
    assert_float_equal(weight(&world, 0), 2, 0);
    world_fini(&world);
}

static void test_nobody_drains_who_has_no_requests(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 2);
    probe(&world, 0, false);
    reweight(&world, 0, 0);
    probe(&world, 0, true);
    assert_float_equal(weight(&world, 0), 0, 0);
    assert_string_equal(state_word(&world, 0), "up");
    reweight(&world, 1, 0); /* the last one: nobody could take its keys meanwhile */
    assert_float_equal(weight(&world, 1), 0, 0);
    assert_false(has_next_step(&world));
    world_fini(&world);
}

/* Rather one that is about to leave than nobody. */
static void test_a_drain_goes_on_when_the_last_warm_endpoint_fails(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    say(&world, 0, INSTANCE_MAINTENANCE);
    reweight(&world, 1, 0);
    pass(&world, 2 * SECOND);
    probe(&world, 2, false);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(state_word(&world, i), "draining");
        assert_true(weight(&world, i) > 0.9);
    }
    pass(&world, 2 * RAMP_S * SECOND);
    assert_string_equal(state_word(&world, 0), "maintenance");
    assert_float_equal(weight(&world, 1), 0, 0);
    world_fini(&world);
}

static void test_who_drains_and_fails_leaves_at_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    say(&world, 0, INSTANCE_MAINTENANCE);
    pass(&world, SECOND);
    probe(&world, 0, false);
    assert_string_equal(state_word(&world, 0), "maintenance");
    assert_false(has_next_step(&world));
    world_fini(&world);
}

static void test_critical_and_deregistered_endpoints_leave_at_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 4);
    uint64_t n = number(&world);
    say(&world, 0, INSTANCE_CRITICAL);
    assert_false(endpoint_is_usable(member_of(&world, 0).endpoint));
    assert_int_equal(number(&world), n);
    world.is_listed[1] = false;
    update(&world);
    assert_null(member_of(&world, 1).endpoint);
    assert_int_equal(number(&world), n + 1);
    say(&world, 0, INSTANCE_MAINTENANCE); /* it has nothing left to give up */
    assert_string_equal(state_word(&world, 0), "maintenance");
    assert_false(has_next_step(&world));
    world_fini(&world);
}

/* ---- changes of mind ---- */

static void test_a_drain_that_is_called_off_grows_from_where_it_was(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    say(&world, 0, INSTANCE_MAINTENANCE);
    pass(&world, RAMP_S * SECOND / 2);
    double reached = weight(&world, 0);
    say(&world, 0, INSTANCE_PASSING);
    assert_string_equal(state_word(&world, 0), "up");
    assert_float_equal(weight(&world, 0), reached, 0);
    pass(&world, SECOND);
    assert_true(weight(&world, 0) > reached && weight(&world, 0) < 0.6);
    pass(&world, 2 * RAMP_S * SECOND);
    assert_float_equal(weight(&world, 0), 1, 0);
    world_fini(&world);
}

static void test_another_weight_in_mid_ramp_goes_on_from_where_it_was(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    reweight(&world, 0, 5);
    assert_float_equal(weight(&world, 0), 1, 0);
    pass(&world, RAMP_S * SECOND / 2);
    double reached = weight(&world, 0);
    assert_float_equal(reached, 3, 0.1);
    reweight(&world, 0, 0.5);
    assert_float_equal(weight(&world, 0), reached, 0);
    pass(&world, RAMP_S * SECOND / 2);
    assert_float_equal(weight(&world, 0), 1.75, 0.1);
    pass(&world, RAMP_S * SECOND);
    assert_float_equal(weight(&world, 0), 0.5, 0);
    assert_false(has_next_step(&world));
    world_fini(&world);
}

static void test_who_leaves_in_mid_ramp_is_new_when_it_comes_back(void **state)
{
    (void)state;
    struct world world;
    struct owners before, after;
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    note_owners(&world, &before);
    add(&world, 3);
    pass(&world, RAMP_S * SECOND / 2);
    world.is_listed[3] = false;
    update(&world);
    note_owners(&world, &after);
    assert_memory_equal(&after, &before, sizeof after);
    assert_false(has_next_step(&world));
    pass(&world, SECOND);
    add(&world, 3);
    assert_float_equal(weight(&world, 3), 1.0 / 64, 1e-9);
    assert_true(has_next_step(&world));
    world_fini(&world);
}

static void test_the_live_weight_follows_states_and_ramps(void **state)
{
    (void)state;
    struct world world;
    static const double expected[] = {3, 2, 3, 3 + 1.0 / 64, 4};
    double found[5];
    world_init(&world, CONF_ALGORITHM_HASH, RAMP_S);
    list_first(&world, 3);
    for (int i = 0; i < 5; i++) {
        if (i == 1 || i == 2)
            probe(&world, 0, i == 2);
        if (i == 3)
            add(&world, 3);
        if (i == 4)
            pass(&world, 2 * RAMP_S * SECOND);
        struct snapshot *snapshot = snapshot_now(&world);
        found[i] = atomic_load(&snapshot->live_weight);
        snapshot_unref(snapshot);
        assert_float_equal(found[i], expected[i], 1e-9);
    }
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_endpoint_wins_its_keys_one_by_one_and_nobody_else_does),
        cmocka_unit_test(test_a_ramped_pool_ends_as_one_that_never_ramped),
        cmocka_unit_test(test_without_a_ramp_weights_change_at_once),
        cmocka_unit_test(test_endpoints_that_ramp_at_once_share_the_snapshots),
        cmocka_unit_test(test_the_steps_of_a_ramp_wait_for_their_time),
        cmocka_unit_test(test_the_first_endpoints_of_a_pool_are_whole_at_once),
        cmocka_unit_test(test_a_pool_without_a_warm_endpoint_does_not_ramp),
        cmocka_unit_test(test_when_the_last_warm_endpoint_goes_the_others_are_whole_at_once),
        cmocka_unit_test(test_a_flap_rebuilds_nothing),
        cmocka_unit_test(test_after_an_outage_as_long_as_a_ramp_keys_come_back_one_by_one),
        cmocka_unit_test(test_an_outage_counts_from_its_beginning_whatever_happens_meanwhile),
        cmocka_unit_test(test_an_instance_that_registers_critical_ramps_once_it_passes),
        cmocka_unit_test(test_an_outage_within_a_ramp_holds_it_up),
        cmocka_unit_test(test_a_draining_endpoint_gives_its_keys_up_one_by_one),
        cmocka_unit_test(test_who_comes_back_from_a_drain_begins_small),
        cmocka_unit_test(test_who_gets_a_weight_again_begins_small),
        cmocka_unit_test(test_nobody_drains_who_has_no_requests),
        cmocka_unit_test(test_a_drain_goes_on_when_the_last_warm_endpoint_fails),
        cmocka_unit_test(test_who_drains_and_fails_leaves_at_once),
        cmocka_unit_test(test_critical_and_deregistered_endpoints_leave_at_once),
        cmocka_unit_test(test_a_drain_that_is_called_off_grows_from_where_it_was),
        cmocka_unit_test(test_another_weight_in_mid_ramp_goes_on_from_where_it_was),
        cmocka_unit_test(test_who_leaves_in_mid_ramp_is_new_when_it_comes_back),
        cmocka_unit_test(test_the_live_weight_follows_states_and_ramps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
