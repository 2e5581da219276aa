#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "balancer/proxy/buffer.h"
#include "balancer/proxy/h2_guard.h"
#include "balancer/proxy/h2_inbox.h"

static struct buffer_pool pool;

static int begin(void **state)
{
    (void)state;
    buffer_pool_init(&pool, 64); /* so small that everything crosses pieces */
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(pool.used_bytes, 0);
    buffer_pool_fini(&pool);
    return 0;
}

/* Reads all there is, step bytes at a time, behind what text holds; returns the payload's bytes. */
static size_t read_all(struct h2_inbox *inbox, char *text, size_t step)
{
    size_t at = strlen(text), n, payload, sum = 0;
    while ((n = h2_inbox_read(inbox, &pool, (uint8_t *)text + at, step, &payload)) > 0) {
        at += n;
        sum += payload;
    }
    text[at] = '\0';
    return sum;
}

static void test_a_body_in_chunks_reads_the_same_in_steps_of_any_size(void **state)
{
    (void)state;
    static const char expected[] = "HEAD\r\n\r\n5\r\nhello\r\n11\r\n, this is a world\r\n"
                                   "0\r\nx-sum: 1\r\n\r\n";
    for (size_t step = 1; step < 100; step++) {
        struct h2_inbox inbox = {.framing = H2_CHUNKED};
        char text[512] = "";
        h2_inbox_add_head(&inbox, &pool, SPAN("HEAD\r\n\r\n"));
        h2_inbox_add_payload(&inbox, &pool, SPAN("hello"));
        assert_int_equal(read_all(&inbox, text, step), 5);
        assert_false(h2_inbox_has_bytes(&inbox));
        h2_inbox_add_payload(&inbox, &pool, SPAN(", this is"));
        h2_inbox_add_payload(&inbox, &pool, SPAN(" a world"));
        h2_inbox_add_trailers(&inbox, &pool, SPAN("x-sum: 1\r\n"));
        h2_inbox_end(&inbox);
        assert_true(h2_inbox_has_bytes(&inbox));
        assert_int_equal(read_all(&inbox, text, step), 17);
        assert_false(h2_inbox_has_bytes(&inbox));
        assert_string_equal(text, expected);
    }
}

static void test_a_raw_body_has_no_framing_and_no_trailers(void **state)
{
    (void)state;
    struct h2_inbox inbox = {.framing = H2_RAW};
    char text[512] = "";
    h2_inbox_add_head(&inbox, &pool, SPAN("HEAD\r\n\r\n"));
    h2_inbox_add_payload(&inbox, &pool, SPAN("hello"));
    h2_inbox_add_trailers(&inbox, &pool, SPAN("x: y\r\n"));
    h2_inbox_end(&inbox);
    assert_int_equal(read_all(&inbox, text, 3), 5);
    assert_string_equal(text, "HEAD\r\n\r\nhello");
    assert_false(h2_inbox_has_bytes(&inbox));
}

static void test_a_chunk_is_what_has_come_before_it_was_read(void **state)
{
    (void)state;
    struct h2_inbox inbox = {.framing = H2_CHUNKED};
    char text[512] = "";
    for (int i = 0; i < 300; i++) /* one byte each: still one chunk */
        h2_inbox_add_payload(&inbox, &pool, SPAN("x"));
    assert_int_equal(inbox.bytes.n, 300);
    assert_int_equal(read_all(&inbox, text, 1000), 300);
    assert_memory_equal(text, "12c\r\nxxx", 8);
    h2_inbox_end(&inbox);
    text[0] = '\0';
    read_all(&inbox, text, 1000);
    assert_string_equal(text, "0\r\n\r\n");
}

static void test_a_cleared_chain_holds_no_memory(void **state)
{
    (void)state;
    struct chain chain = {0};
    for (int i = 0; i < 100; i++)
        chain_add(&chain, &pool, SPAN("0123456789"));
    assert_int_equal(chain.n, 1000);
    chain_clear(&chain, &pool);
    assert_int_equal(chain.n, 0);
    assert_int_equal(pool.used_bytes, 0);
}

static void test_a_chain_gives_out_its_pieces_in_order(void **state)
{
    (void)state;
    struct chain chain = {0};
    for (int i = 0; i < 100; i++)
        chain_add(&chain, &pool, SPAN("0123456789"));
    for (size_t at = 0; at < 1000;) {
        struct span front = chain_front(&chain);
        size_t n = front.n > 7 ? 7 : front.n;
        assert_true(n > 0);
        assert_int_equal(front.p[0], '0' + (int)(at % 10));
        chain_drop(&chain, &pool, n);
        at += n;
        assert_int_equal(chain.n, 1000 - at);
    }
    assert_int_equal(chain_front(&chain).n, 0);
    assert_int_equal(pool.used_bytes, 0);
}

static void test_a_budget_is_used_up_and_refills(void **state)
{
    (void)state;
    for (int nuisance = 0; nuisance < H2_NUISANCES; nuisance++) {
        struct h2_guard guard = {0};
        uint64_t now_us = UINT64_C(1000000000);
        unsigned n = 0;
        while (h2_guard_count(&guard, (enum h2_nuisance)nuisance, now_us))
            assert_true(++n < 10000);
        assert_true(n >= 100); /* a burst is no attack */
        now_us += UINT64_C(60000000);
        for (unsigned i = 0; i < 10; i++) /* ten a second for ever are none either */
            for (unsigned k = 0; k < 10; k++, now_us += 100000)
                assert_true(h2_guard_count(&guard, (enum h2_nuisance)nuisance, now_us));
    }
}

static void test_what_a_peer_had_cause_for_uses_nothing_up(void **state)
{
    (void)state;
    struct h2_guard guard = {0};
    uint64_t now_us = UINT64_C(1000000000);
    for (unsigned i = 0; i < 10000; i++) {
        h2_guard_allow(&guard, H2_NUISANCE_CONTROL, 2);
        assert_true(h2_guard_count(&guard, H2_NUISANCE_CONTROL, now_us));
        assert_true(h2_guard_count(&guard, H2_NUISANCE_CONTROL, now_us));
    }
    unsigned n = 0; /* nothing is saved up either */
    while (h2_guard_count(&guard, H2_NUISANCE_CONTROL, now_us))
        assert_true(++n < 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_in_chunks_reads_the_same_in_steps_of_any_size),
        cmocka_unit_test(test_a_raw_body_has_no_framing_and_no_trailers),
        cmocka_unit_test(test_a_chunk_is_what_has_come_before_it_was_read),
        cmocka_unit_test(test_a_cleared_chain_holds_no_memory),
        cmocka_unit_test(test_a_chain_gives_out_its_pieces_in_order),
        cmocka_unit_test(test_a_budget_is_used_up_and_refills),
        cmocka_unit_test(test_what_a_peer_had_cause_for_uses_nothing_up),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
