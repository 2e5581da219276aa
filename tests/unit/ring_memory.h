/*
 * Rings when memory runs out: each allocation fails once, and nothing is left behind or half done.
 * The test names the source of one kind, RING_SOURCE, and the options, RING_OPTIONS, and defines
 * RING_IS_CIRCLE if the kind uses circle.c; they and ring.c are compiled into the test with an
 * allocator that counts, in place of the library's. Include
 * after <cmocka.h>.
 */
#ifndef QUOIT_TESTS_RING_MEMORY_H
#define QUOIT_TESTS_RING_MEMORY_H

#include <stdbool.h>
#include <stdlib.h>

#include "failing_memory.h"

#define malloc counted_malloc
#define calloc counted_calloc
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "hashring/ring.c"
#ifdef RING_IS_CIRCLE
#include "hashring/circle.c"
#endif
#include RING_SOURCE
/* NOLINTEND(bugprone-suspicious-include) */
#undef malloc
#undef calloc

#include "ring_support.h"

static const struct ring_options memory_options = RING_OPTIONS;

/* old NULL: a new ring. The number of allocations that one success takes. */
static long fail_one_by_one(const struct ring *old, const struct fleet *fleet)
{
    for (long i = 0; i < 100; i++) {
        struct ring *ring = NULL;
        until_failure = i;
        int error = old != NULL ? ring_derive(old, fleet->nodes, fleet->n, &ring)
                                : ring_new(&memory_options, fleet->nodes, fleet->n, &ring);
        bool has_failed = until_failure < 0;
        until_failure = -1;
        if (!has_failed) {
            assert_int_equal(error, 0);
            ring_free(ring);
            return i;
        }
        assert_int_equal(error, -ENOMEM);
        assert_null(ring);
    }
    fail_msg("it never succeeds");
    return 0;
}

static void test_making_a_ring_fails_whole(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 40; n += 20) {
        struct fleet *fleet = fleet_equal(n, 1);
        assert_true(fail_one_by_one(NULL, fleet) >= 8);
        free(fleet);
    }
}

static void test_deriving_a_ring_fails_whole_and_leaves_the_old_one(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_equal(40, 1);
    struct fleet *larger = fleet_equal(41, 1);
    struct fleet *smaller = fleet_equal(5, 1); /* so much so that it is built anew */
    struct ring *ring = ring_of(&memory_options, fleet);
    struct ring *same = ring_of(&memory_options, fleet);
    assert_true(fail_one_by_one(ring, larger) >= 8);
    assert_true(fail_one_by_one(ring, smaller) >= 8);
    assert_same_ring(ring, fleet, same, fleet, 1024);
    ring_free(ring);
    ring_free(same);
    free(fleet);
    free(larger);
    free(smaller);
}

#endif
