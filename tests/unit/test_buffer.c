#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "balancer/proxy/buffer.h"

#define SMALL 4096

static int setup(void **state)
{
    static struct buffer_pool pool;
    buffer_pool_init(&pool, SMALL);
    *state = &pool;
    return 0;
}

static int teardown(void **state)
{
    buffer_pool_fini(*state);
    return 0;
}

static void fill(struct buffer *b, struct buffer_pool *pool, uint32_t n)
{
    assert_true(buffer_reserve(b, pool) >= n);
    for (uint32_t i = 0; i < n; i++)
        b->data[b->end + i] = (uint8_t)('a' + i % 26);
    buffer_added(b, n);
}

static void test_a_drained_buffer_gives_its_memory_back(void **state)
{
    struct buffer b = {0};
    fill(&b, *state, 100);
    buffer_consume(&b, *state, 40);
    assert_non_null(b.data);
    buffer_consume(&b, *state, 60);
    assert_null(b.data);
    assert_true(buffer_has_room(&b));
}

static void test_a_full_buffer_has_no_room_until_something_is_taken(void **state)
{
    struct buffer b = {0};
    fill(&b, *state, SMALL);
    assert_false(buffer_has_room(&b));
    assert_int_equal(buffer_reserve(&b, *state), 0);
    buffer_consume(&b, *state, 1000);
    assert_true(buffer_has_room(&b));
    assert_int_equal(buffer_reserve(&b, *state), 1000);
    assert_int_equal(buffer_bytes(&b)[0], 'a' + 1000 % 26);
    assert_int_equal(buffer_used(&b), SMALL - 1000);
    buffer_release(&b, *state);
}

static void test_a_held_buffer_keeps_consumed_bytes_in_place(void **state)
{
    struct buffer b = {0};
    fill(&b, *state, 3000);
    const uint8_t *first = buffer_bytes(&b);
    buffer_hold(&b);
    buffer_consume(&b, *state, 3000);
    assert_int_equal(buffer_used(&b), 0);
    fill(&b, *state, SMALL - 3000);
    assert_false(buffer_has_room(&b));
    assert_int_equal(buffer_reserve(&b, *state), 0);
    assert_int_equal(first[0], 'a');
    b.start = 0; /* sent again from the first byte */
    assert_ptr_equal(buffer_bytes(&b), first);
    buffer_consume(&b, *state, SMALL);
    buffer_unhold(&b, *state);
    assert_null(b.data);
}

static void test_a_buffer_that_wants_to_be_large_is(void **state)
{
    struct buffer b = {.wants_large = true};
    assert_int_equal(buffer_reserve(&b, *state), BUFFER_LARGE_BYTES);
    buffer_release(&b, *state);
    assert_true(b.wants_large);
}

static void test_append_is_all_or_nothing(void **state)
{
    struct buffer b = {0};
    fill(&b, *state, SMALL - 3);
    assert_false(buffer_append(&b, *state, SPAN("four")));
    assert_int_equal(buffer_used(&b), SMALL - 3);
    assert_true(buffer_append(&b, *state, SPAN("abc")));
    assert_int_equal(buffer_used(&b), SMALL);
    assert_memory_equal(b.data + SMALL - 3, "abc", 3);
    buffer_release(&b, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_drained_buffer_gives_its_memory_back),
        cmocka_unit_test(test_a_full_buffer_has_no_room_until_something_is_taken),
        cmocka_unit_test(test_a_held_buffer_keeps_consumed_bytes_in_place),
        cmocka_unit_test(test_a_buffer_that_wants_to_be_large_is),
        cmocka_unit_test(test_append_is_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
