/* The simulation's own parts: popularity, caches and queues are what they are said to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "cache.h"
#include "lru.h"
#include "zipf.h"

static void test_objects_come_by_zipfs_law(void **state)
{
    (void)state;
    enum { OBJECTS = 1000, DRAWS = 2000000 };
    static uint32_t counts[OBJECTS];
    static const double exponents[] = {0, 0.5, 1, 1.5};
    for (size_t e = 0; e < sizeof exponents / sizeof exponents[0]; e++) {
        double exponent = exponents[e];
        struct zipf *zipf = zipf_new(OBJECTS, exponent);
        struct draws draws = draws_of(1, 0);
        double sum = 0;
        for (uint32_t i = 0; i < OBJECTS; i++) {
            counts[i] = 0;
            sum += pow(i + 1.0, -exponent);
        }
        for (uint32_t i = 0; i < DRAWS; i++) {
            uint32_t object = zipf_draw(zipf, &draws);
            assert_true(object < OBJECTS);
            counts[object]++;
        }
        for (uint32_t i = 0; i < OBJECTS; i++) {
            double expected = DRAWS * pow(i + 1.0, -exponent) / sum;
            assert_true(fabs(counts[i] - expected) < 6 * sqrt(expected));
        }
        zipf_free(zipf);
    }
}

static void test_the_object_longest_not_asked_for_makes_room(void **state)
{
    (void)state;
    struct lru *lru = lru_new(10, 3);
    assert_false(lru_touch(lru, 1));
    assert_false(lru_touch(lru, 2));
    assert_false(lru_touch(lru, 3));
    assert_true(lru_touch(lru, 1));
    assert_false(lru_touch(lru, 4)); /* 2 goes */
    assert_true(lru_touch(lru, 1));
    assert_true(lru_touch(lru, 3));
    assert_true(lru_touch(lru, 4));
    assert_false(lru_touch(lru, 2)); /* 1 goes */
    assert_false(lru_touch(lru, 1));
    lru_free(lru);
}

/* Against a list that is searched. */
static void test_a_cache_holds_what_was_asked_for_last(void **state)
{
    (void)state;
    enum { OBJECTS = 60, CAPACITY = 17, REQUESTS = 20000 };
    struct lru *lru = lru_new(OBJECTS, CAPACITY);
    struct draws draws = draws_of(1, 0);
    uint32_t last[OBJECTS] = {0}; /* when; 0: never */
    for (uint32_t now = 1; now <= REQUESTS; now++) {
        uint32_t object = draw_below(&draws, OBJECTS), newer = 0;
        for (uint32_t i = 0; i < OBJECTS; i++)
            newer += last[i] > last[object];
        assert_int_equal(lru_touch(lru, object), last[object] > 0 && newer < CAPACITY);
        last[object] = now;
    }
    lru_free(lru);
}

static void test_requests_wait_when_all_workers_are_busy(void **state)
{
    (void)state;
    struct cache cache;
    struct draws draws = draws_of(1, 0);
    bool is_hit;
    cache_init(&cache, 100, 50);
    double first_ms = INFINITY;
    for (uint32_t i = 0; i < CACHE_WORKERS; i++) {
        double end_ms = cache_serve(&cache, i, 0, &draws, &is_hit);
        assert_false(is_hit);
        assert_true(end_ms >= 5 && end_ms < 15);
        first_ms = fmin(first_ms, end_ms);
    }
    double end_ms = cache_serve(&cache, 0, 1, &draws, &is_hit);
    assert_true(is_hit);
    assert_true(end_ms >= first_ms + 0.5 && end_ms < first_ms + 1.5);
    end_ms = cache_serve(&cache, 0, 100, &draws, &is_hit);
    assert_true(end_ms >= 100.5 && end_ms < 101.5);
    cache_fini(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_come_by_zipfs_law),
        cmocka_unit_test(test_the_object_longest_not_asked_for_makes_room),
        cmocka_unit_test(test_a_cache_holds_what_was_asked_for_last),
        cmocka_unit_test(test_requests_wait_when_all_workers_are_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
