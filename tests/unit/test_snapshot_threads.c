/* Workers pick while control publishes and health flaps: for the thread sanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "balancer/pool/pool.h"
#include "policy_support.h"

/* The first STEADY endpoints stay; the others leave for good, and new ones take their names. */
enum { WORKERS = 4, ENDPOINTS = 30, STEADY = 20, PUBLICATIONS = 60, PICKS = 200 };
enum { PATIENCE_S = 60 };

struct scene {
    struct conf_pool conf;
    struct pool pool;
    struct member members[ENDPOINTS];
    _Atomic bool stop;
};

struct worker {
    struct scene *scene;
    uint32_t number;
    pthread_t thread;
    uint64_t random;
    uint64_t generation;
    struct snapshot *snapshot;
    struct policy_state *state;
    uint64_t n_picked;
    _Atomic uint64_t seen; /* the number of the last snapshot taken */
};

/* As the workers of the data path do: the lock only when the generation has changed. */
static void refresh(struct worker *worker)
{
    struct pool *pool = &worker->scene->pool;
    uint64_t generation = atomic_load_explicit(&pool->generation, memory_order_acquire);
    if (worker->snapshot != NULL && generation == worker->generation)
        return;
    if (worker->snapshot != NULL)
        policy_state_free(worker->snapshot, worker->state);
    snapshot_unref(worker->snapshot);
    worker->snapshot = pool_acquire(pool);
    worker->state = policy_state_new(worker->snapshot, worker->random);
    worker->generation = generation;
    atomic_store_explicit(&worker->seen, worker->snapshot->number, memory_order_relaxed);
}

static void pick_one(struct worker *worker)
{
    worker->random += HASH_STEP;
    struct pick pick = {
        .snapshot = worker->snapshot,
        .state = worker->state,
        .hash = mix64(worker->random),
        .has_key = worker->random % 2 == 0,
        .random = mix64(worker->random + 1),
    };
    struct endpoint *endpoint = policy_pick(&pick);
    if (endpoint == NULL)
        return;
    endpoint_ref(endpoint);
    endpoint_add_in_flight(endpoint, worker->number, 1);
    endpoint_add_in_flight(endpoint, worker->number, -1);
    endpoint_unref(endpoint);
    worker->n_picked++;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    while (!atomic_load_explicit(&worker->scene->stop, memory_order_relaxed)) {
        refresh(worker);
        for (int i = 0; i < PICKS; i++)
            pick_one(worker);
    }
    if (worker->snapshot != NULL)
        policy_state_free(worker->snapshot, worker->state);
    snapshot_unref(worker->snapshot);
    return NULL;
}

static void *flap(void *argument)
{
    struct scene *scene = argument;
    for (uint64_t i = 0; !atomic_load_explicit(&scene->stop, memory_order_relaxed); i++) {
        struct endpoint *endpoint = scene->members[mix64(i) % STEADY].endpoint;
        uint8_t probe = mix64(i) >> 32 & 1 ? ENDPOINT_PROBE_UP : ENDPOINT_PROBE_DOWN;
        atomic_store_explicit(&endpoint->probe, probe, memory_order_relaxed);
    }
    return NULL;
}

static void wait_until_seen(const struct worker *worker, uint64_t number)
{
    struct timespec start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (atomic_load_explicit(&worker->seen, memory_order_relaxed) < number) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        assert_true(now.tv_sec - start.tv_sec < PATIENCE_S);
        sched_yield();
    }
}

/* Replaces one endpoint: the last holder of the old one, a worker as a rule, frees it. */
static void replace_endpoint(struct scene *scene, uint32_t i)
{
    struct endpoint *old = scene->members[i].endpoint;
    atomic_store_explicit(&old->source, ENDPOINT_SOURCE_REMOVED, memory_order_relaxed);
    scene->members[i].endpoint = bench_endpoint(i);
    endpoint_unref(old);
}

/* Publishes ever other sets of endpoints and weights, and waits for one worker each time. */
static void publish_many(struct scene *scene, const struct worker *workers)
{
    for (uint32_t i = 0; i < PUBLICATIONS; i++) {
        struct snapshot *previous = pool_acquire(&scene->pool);
        struct snapshot *next;
        size_t n = ENDPOINTS - mix64(i) % 5;
        scene->members[i % 5].weight = (double)(i % 7);
        replace_endpoint(scene, STEADY + i % (ENDPOINTS - STEADY));
        assert_int_equal(snapshot_build(&scene->conf, scene->members, n, previous, &next), 0);
        assert_int_equal(next->number, i + 1);
        snapshot_unref(previous);
        pool_publish(&scene->pool, next);
        wait_until_seen(&workers[i % WORKERS], i + 1);
    }
}

static void run_scene(enum conf_algorithm algorithm)
{
    static struct scene scene;
    static struct worker workers[WORKERS];
    pthread_t flapper;
    memset(&scene, 0, sizeof scene);
    memset(workers, 0, sizeof workers);
    scene.conf = bench_conf(algorithm);
    scene.conf.slots = RING_MIN_SLOTS;
    assert_int_equal(pool_init(&scene.pool, &scene.conf, WORKERS), 0);
    for (uint32_t i = 0; i < ENDPOINTS; i++)
        scene.members[i] = (struct member){bench_endpoint(i), 1};

    for (uint32_t w = 0; w < WORKERS; w++) {
        workers[w].scene = &scene;
        workers[w].number = w;
        workers[w].random = w;
        assert_int_equal(pthread_create(&workers[w].thread, NULL, work, &workers[w]), 0);
    }
    assert_int_equal(pthread_create(&flapper, NULL, flap, &scene), 0);
    publish_many(&scene, workers);
    atomic_store(&scene.stop, true);
    for (uint32_t w = 0; w < WORKERS; w++) {
        assert_int_equal(pthread_join(workers[w].thread, NULL), 0);
        assert_true(workers[w].n_picked > 0);
    }
    assert_int_equal(pthread_join(flapper, NULL), 0);

    pool_fini(&scene.pool);
    for (uint32_t i = 0; i < ENDPOINTS; i++) {
        assert_int_equal(atomic_load(&scene.members[i].endpoint->references), 1);
        assert_int_equal(endpoint_in_flight(scene.members[i].endpoint), 0);
        endpoint_unref(scene.members[i].endpoint);
    }
}

static void test_workers_pick_while_control_publishes_and_endpoints_flap(void **state)
{
    (void)state;
    /* The algorithms of other programs are one policy over another table: one of them will do. */
    for (int a = CONF_ALGORITHM_HASH; a <= CONF_ALGORITHM_NGINX; a++)
        run_scene((enum conf_algorithm)a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_pick_while_control_publishes_and_endpoints_flap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
