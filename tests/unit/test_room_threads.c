/* Workers share the room at an endpoint: for the thread sanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>

#include "policy_support.h"

enum { THREADS = 4, ROUNDS = 20000, MAX = 2 };

struct scene {
    struct endpoint *endpoint;
    _Atomic uint32_t n, most, n_found, n_refused;
};

static void note_most(struct scene *scene, uint32_t n)
{
    uint32_t most = atomic_load(&scene->most);
    while (n > most && !atomic_compare_exchange_weak(&scene->most, &most, n))
        ;
}

/* Who has room counts itself within it. */
static void *take_and_give(void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (!endpoint_take_room(scene->endpoint, MAX)) {
            atomic_fetch_add(&scene->n_refused, 1);
            continue;
        }
        note_most(scene, atomic_fetch_add(&scene->n, 1) + 1);
        atomic_fetch_add(&scene->n_found, 1);
        atomic_fetch_sub(&scene->n, 1);
        endpoint_give_room(scene->endpoint);
    }
    return NULL;
}

static void test_workers_never_have_more_connections_than_there_may_be(void **state)
{
    (void)state;
    struct scene scene = {.endpoint = bench_endpoint(0)};
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &scene), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_in_range(scene.most, 1, MAX);
    assert_int_equal(scene.n_found + scene.n_refused, THREADS * ROUNDS);
    assert_int_equal(atomic_load(&scene.endpoint->connections), 0);
    assert_true(endpoint_has_room(scene.endpoint, 1));
    assert_false(endpoint_has_room(scene.endpoint, 0));
    endpoint_unref(scene.endpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_never_have_more_connections_than_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
