#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "balancer/pool/heat.h"
#include "hashring/hash.h"

#define SECOND_US UINT64_C(1000000)

static uint64_t now_us = 5 * SECOND_US;

static double count(struct heat *heat, uint32_t key)
{
    char text[100];
    int n = snprintf(text, sizeof text, "/objects/%u", key);
    return heat_count(heat, mix64(key), (struct span){(const uint8_t *)text, (size_t)n}, now_us);
}

/* So many requests, a tenth of them for key 1, the others each for a key of its own. */
static void count_many(struct heat *heat, uint32_t n)
{
    static uint32_t cold = 1000;
    for (uint32_t i = 0; i < n; i++)
        (void)count(heat, i % 10 == 0 ? 1 : cold++);
}

static void test_the_first_requests_are_not_hot(void **state)
{
    (void)state;
    struct heat *heat = heat_new();
    assert_non_null(heat);
    assert_true(count(heat, 1) == 0);
    for (int i = 0; i < 50; i++)
        assert_true(count(heat, 1) < 0.01);
    heat_free(heat);
}

static void test_a_hot_key_has_its_share_and_a_cold_one_none(void **state)
{
    (void)state;
    struct heat *heat = heat_new();
    count_many(heat, 100000);
    assert_true(fabs(heat_share(heat, mix64(1)) - 0.1) < 0.005);
    assert_true(heat_share(heat, mix64(2)) == 0);
    assert_int_equal(heat_total(heat), 100000);
    heat_free(heat);
}

static void test_requests_fade_with_their_number(void **state)
{
    (void)state;
    struct heat *heat = heat_new();
    count_many(heat, 1000000);
    assert_true(heat_total(heat) <= 400000 && heat_total(heat) > 150000);
    assert_true(fabs(heat_share(heat, mix64(1)) - 0.1) < 0.01);
    heat_free(heat);
}

static void test_a_hot_key_is_forgotten_in_time(void **state)
{
    (void)state;
    struct heat *heat = heat_new();
    for (int i = 0; i < 10000; i++)
        (void)count(heat, 1);
    assert_true(heat_share(heat, mix64(1)) > 0.9);
    /* A quiet pool: time alone lets it fade. */
    for (int i = 0; i < 12; i++) {
        now_us += 11 * SECOND_US;
        (void)count(heat, 2);
    }
    assert_true(heat_share(heat, mix64(1)) == 0);
    heat_free(heat);
}

static void test_the_hot_keys_are_named(void **state)
{
    (void)state;
    struct heat *heat = heat_new();
    struct heat_key keys[HEAT_TOP];
    assert_int_equal(heat_top(heat, keys), 0);
    count_many(heat, 100000);
    assert_int_equal(heat_top(heat, keys), 1);
    assert_true(keys[0].hash == mix64(1));
    assert_int_equal(keys[0].n, 10);
    assert_memory_equal(keys[0].bytes, "/objects/1", 10);
    assert_true(fabs(keys[0].share - 0.1) < 0.005);
    heat_free(heat);
}

static void test_of_a_long_key_the_beginning_is_kept(void **state)
{
    (void)state;
    struct heat *heat = heat_new();
    struct heat_key keys[HEAT_TOP];
    uint8_t text[1000];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 1000; i++)
        (void)heat_count(heat, 3, (struct span){text, sizeof text}, now_us);
    assert_int_equal(heat_top(heat, keys), 1);
    assert_int_equal(keys[0].n, sizeof text);
    assert_memory_equal(keys[0].bytes, text, HEAT_KEY_BYTES);
    heat_free(heat);
}

/* One thread counts while another reads: what it reads is whole. */

struct scene {
    struct heat *heat;
    _Atomic bool stop;
};

static void *keep_counting(void *argument)
{
    struct scene *scene = argument;
    for (uint32_t i = 0; !atomic_load(&scene->stop); i++) {
        uint8_t letter = (uint8_t)('a' + i / 100 % 26);
        uint8_t text[HEAT_KEY_BYTES];
        memset(text, letter, sizeof text);
        (void)heat_count(scene->heat, letter, (struct span){text, sizeof text}, now_us);
    }
    return NULL;
}

static void test_another_thread_reads_along(void **state)
{
    (void)state;
    struct scene scene = {.heat = heat_new()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keep_counting, &scene), 0);
    for (int i = 0, n_seen = 0; i < 20000 || n_seen == 0; i++) {
        struct heat_key keys[HEAT_TOP];
        size_t n = heat_top(scene.heat, keys);
        for (size_t k = 0; k < n; k++) {
            assert_true(keys[k].hash >= 'a' && keys[k].hash <= 'z');
            for (size_t b = 0; b < HEAT_KEY_BYTES; b++)
                assert_int_equal(keys[k].bytes[b], keys[k].hash);
        }
        n_seen += n > 0;
    }
    atomic_store(&scene.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    heat_free(scene.heat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_requests_are_not_hot),
        cmocka_unit_test(test_a_hot_key_has_its_share_and_a_cold_one_none),
        cmocka_unit_test(test_requests_fade_with_their_number),
        cmocka_unit_test(test_a_hot_key_is_forgotten_in_time),
        cmocka_unit_test(test_the_hot_keys_are_named),
        cmocka_unit_test(test_of_a_long_key_the_beginning_is_kept),
        cmocka_unit_test(test_another_thread_reads_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
