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

static void test_requests_leave_a_quarter_of_the_limit_to_responses(void **state)
{
    struct buffer_pool *pool = *state;
    pool->limit_bytes = UINT64_C(8) * SMALL;
    struct buffer b[8] = {0};
    assert_int_equal(buffer_pool_left(pool, BUFFER_FOR_REQUEST), 6);
    for (int i = 0; i < 6; i++) {
        assert_true(buffer_pool_allows(pool, BUFFER_FOR_REQUEST));
        fill(&b[i], pool, 1);
    }
    assert_false(buffer_pool_allows(pool, BUFFER_FOR_REQUEST));
    assert_int_equal(buffer_pool_left(pool, BUFFER_FOR_RESPONSE), 2);
    fill(&b[6], pool, 1);
    fill(&b[7], pool, 1);
    assert_false(buffer_pool_allows(pool, BUFFER_FOR_RESPONSE));
    struct buffer staging = {0};
    fill(&staging, pool, 1); /* what is under way gets on */
    assert_int_equal(pool->used_bytes, 9 * SMALL);
    assert_int_equal(buffer_pool_left(pool, BUFFER_FOR_RESPONSE), 0);
    buffer_release(&staging, pool);
    for (int i = 0; i < 8; i++)
        buffer_release(&b[i], pool);
    assert_int_equal(pool->used_bytes, 0);
    assert_true(buffer_pool_allows(pool, BUFFER_FOR_REQUEST));
    pool->limit_bytes = 0;
}

static void test_large_buffers_are_for_times_of_plenty(void **state)
{
    struct buffer_pool *pool = *state;
    pool->limit_bytes = UINT64_C(4) * BUFFER_LARGE_BYTES;
    struct buffer b[4] = {
        {.wants_large = true}, {.wants_large = true}, {.wants_large = true}, {.wants_large = true}};
    for (int i = 0; i < 4; i++)
        fill(&b[i], pool, 1);
    assert_int_equal(b[2].size, BUFFER_LARGE_BYTES); /* half of the limit was in use then */
    assert_int_equal(b[3].size, SMALL);
    for (int i = 0; i < 4; i++)
        buffer_release(&b[i], pool);
    assert_int_equal(pool->used_bytes, 0);
    pool->limit_bytes = 0;
}

static void test_without_a_limit_there_is_always_more(void **state)
{
    struct buffer_pool *pool = *state;
    assert_int_equal(buffer_pool_left(pool, BUFFER_FOR_REQUEST), UINT32_MAX);
    assert_true(buffer_pool_is_ample(pool));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_drained_buffer_gives_its_memory_back),
        cmocka_unit_test(test_a_full_buffer_has_no_room_until_something_is_taken),
        cmocka_unit_test(test_a_held_buffer_keeps_consumed_bytes_in_place),
        cmocka_unit_test(test_a_buffer_that_wants_to_be_large_is),
        cmocka_unit_test(test_append_is_all_or_nothing),
        cmocka_unit_test(test_requests_leave_a_quarter_of_the_limit_to_responses),
        cmocka_unit_test_setup_teardown(test_large_buffers_are_for_times_of_plenty, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_without_a_limit_there_is_always_more, setup, teardown),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
