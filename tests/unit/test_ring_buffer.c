#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/log/ring_buffer.h"

static int make_ring(void **state)
{
    struct ring_buffer *ring = aligned_alloc(_Alignof(struct ring_buffer), sizeof *ring);
    ring_buffer_init(ring);
    *state = ring;
    return 0;
}

static int free_ring(void **state)
{
    free(*state);
    return 0;
}

static void test_bytes_come_out_as_they_went_in_across_the_edge(void **state)
{
    struct ring_buffer *ring = *state;
    static char record[1000];
    uint8_t next_in = 0, next_out = 0;
    for (int round = 0; round < 3000; round++) {
        for (size_t i = 0; i < sizeof record; i++)
            record[i] = (char)next_in++;
        assert_true(ring_buffer_put(ring, record, sizeof record));
        size_t got = 0;
        for (struct span run; (run = ring_buffer_peek(ring, 300)).n > 0; got += run.n) {
            assert_true(run.n <= 300);
            for (size_t i = 0; i < run.n; i++)
                assert_int_equal(run.p[i], next_out++);
            ring_buffer_drop(ring, run.n);
        }
        assert_int_equal(got, sizeof record);
    }
}

static void test_a_full_ring_refuses_whole_records_and_takes_again(void **state)
{
    struct ring_buffer *ring = *state;
    static char record[RING_BUFFER_BYTES / 4];
    for (int i = 0; i < 4; i++)
        assert_true(ring_buffer_put(ring, record, sizeof record));
    assert_false(ring_buffer_put(ring, record, 1));
    ring_buffer_drop(ring, 10);
    assert_false(ring_buffer_put(ring, record, 11));
    assert_true(ring_buffer_put(ring, record, 10));
    assert_false(ring_buffer_put(ring, record, 1));
}

static void test_the_reader_is_called_once_for_each_half_full_ring(void **state)
{
    struct ring_buffer *ring = *state;
    static char record[RING_BUFFER_BYTES / 8];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++) {
            assert_true(ring_buffer_put(ring, record, sizeof record));
            assert_false(ring_buffer_wants_reader(ring));
        }
        assert_true(ring_buffer_put(ring, record, sizeof record));
        assert_true(ring_buffer_wants_reader(ring));
        assert_true(ring_buffer_put(ring, record, sizeof record));
        assert_false(ring_buffer_wants_reader(ring));
        ring_buffer_reader_is_here(ring);
        for (struct span run; (run = ring_buffer_peek(ring, SIZE_MAX)).n > 0;)
            ring_buffer_drop(ring, run.n);
    }
}

enum { RECORDS = 200000 };

/* Records of 1 to 64 bytes: the length, then the low byte of the record's number. */
static void *put_records(void *arg)
{
    struct ring_buffer *ring = arg;
    char record[64];
    for (unsigned i = 0; i < RECORDS; i++) {
        size_t n = i % sizeof record + 1;
        memset(record, (int)(i & 0xff), n);
        record[0] = (char)n;
        while (!ring_buffer_put(ring, record, n))
            sched_yield();
    }
    return NULL;
}

static void test_two_threads_agree_on_every_byte(void **state)
{
    struct ring_buffer *ring = *state;
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, put_records, ring), 0);
    unsigned record = 0;
    size_t left = 0; /* bytes of the record */
    while (record < RECORDS) {
        struct span run = ring_buffer_peek(ring, 4096);
        for (size_t i = 0; i < run.n; i++) {
            if (left == 0) {
                assert_int_equal(run.p[i], record % 64 + 1);
                left = run.p[i];
            } else {
                assert_int_equal(run.p[i], record & 0xff);
            }
            if (--left == 0)
                record++;
        }
        ring_buffer_drop(ring, run.n);
        if (run.n == 0)
            sched_yield();
    }
    pthread_join(writer, NULL);
    assert_int_equal(ring_buffer_peek(ring, 1).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bytes_come_out_as_they_went_in_across_the_edge,
                                        make_ring, free_ring),
        cmocka_unit_test_setup_teardown(test_a_full_ring_refuses_whole_records_and_takes_again,
                                        make_ring, free_ring),
        cmocka_unit_test_setup_teardown(test_the_reader_is_called_once_for_each_half_full_ring,
                                        make_ring, free_ring),
        cmocka_unit_test_setup_teardown(test_two_threads_agree_on_every_byte, make_ring, free_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
