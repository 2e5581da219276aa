/* Request ids and traceparent values: which are valid, and those that are made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "balancer/http/trace.h"

#define VALID "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void test_a_traceparent_of_the_first_version_is_exactly_as_defined(void **state)
{
    (void)state;
    assert_true(traceparent_is_valid(SPAN(VALID)));
    assert_true(
        traceparent_is_valid(SPAN("00-00000000000000000000000000000001-0000000000000001-ff")));
    static const char *const wrong[] = {
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0G",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "FE-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(traceparent_is_valid(span_of(wrong[i])));
    assert_false(traceparent_is_valid(SPAN(VALID "-")));
    assert_false(traceparent_is_valid(SPAN(VALID "-00")));
    assert_false(traceparent_is_valid(SPAN(VALID "0")));
}

static void test_a_traceparent_of_a_later_version_may_go_on_behind_a_dash(void **state)
{
    (void)state;
#define LATER "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert_true(traceparent_is_valid(SPAN(LATER)));
    assert_true(traceparent_is_valid(SPAN(LATER "-what-comes")));
    assert_true(traceparent_is_valid(SPAN(LATER "-")));
    assert_false(traceparent_is_valid(SPAN(LATER ".what")));
    assert_false(traceparent_is_valid(SPAN(LATER "0")));
}

static void test_no_part_of_a_valid_traceparent_may_be_missing(void **state)
{
    (void)state;
    for (size_t n = 0; n < TRACEPARENT_BYTES; n++) {
        uint8_t *copy = malloc(n + 1); /* of this size, so that a sanitizer sees what is read */
        assert_non_null(copy);
        memcpy(copy, VALID, n);
        assert_false(traceparent_is_valid((struct span){copy, n}));
        free(copy);
    }
}

static void test_a_request_id_is_a_bounded_run_of_harmless_characters(void **state)
{
    (void)state;
    char longest[REQUEST_ID_MAX_BYTES + 2];
    memset(longest, 'x', sizeof longest);
    longest[REQUEST_ID_MAX_BYTES] = '\0';
    assert_true(request_id_is_valid(span_of(longest)));
    longest[REQUEST_ID_MAX_BYTES] = 'x';
    longest[REQUEST_ID_MAX_BYTES + 1] = '\0';
    assert_false(request_id_is_valid(span_of(longest)));

    static const char *const good[] = {"a", "123e4567-e89b-12d3-a456-426614174000",
                                       "Root=1-67891233-abcdef012345678912345678",
                                       "c2FtcGxl+/==", "urn:x@y|z_1.2~3"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(request_id_is_valid(span_of(good[i])));
    static const char *const bad[] = {"",         " a",   "a b",  "a\tb",      "a\"b", "a\\b",
                                      "a,b",      "a;b",  "a<b",  "${jndi:x}", "\x7f", "\x01",
                                      "\xc3\xa4", "a\nb", "a(b)", "a\r\nX: y"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(request_id_is_valid(span_of(bad[i])));
}

static void test_ids_are_the_digits_of_the_generators_bits(void **state)
{
    (void)state;
    /* splitmix64 of seed 0 begins with e220a8397b1dcdaf, and of 1234567 with 599ed017fb08fc85. */
    struct id_source source = {{0, 1234567}};
    uint8_t id[REQUEST_ID_BYTES];
    id_source_next(&source, id);
    assert_memory_equal(id, "e220a8397b1dcdaf599ed017fb08fc85", sizeof id);
}

static void test_every_digit_comes_at_every_place(void **state)
{
    (void)state;
    struct id_source source;
    bool seen[REQUEST_ID_BYTES][16] = {{false}};
    assert_int_equal(id_source_seed(&source), 0);
    for (int i = 0; i < 2000; i++) {
        uint8_t id[REQUEST_ID_BYTES];
        id_source_next(&source, id);
        for (size_t at = 0; at < sizeof id; at++) {
            assert_true(strchr("0123456789abcdef", id[at]) != NULL);
            seen[at][id[at] <= '9' ? id[at] - '0' : id[at] - 'a' + 10] = true;
        }
    }
    for (size_t at = 0; at < REQUEST_ID_BYTES; at++)
        for (size_t digit = 0; digit < 16; digit++)
            assert_true(seen[at][digit]);
}

static void test_two_sources_do_not_agree(void **state)
{
    (void)state;
    struct id_source a, b;
    uint8_t of_a[REQUEST_ID_BYTES], of_b[REQUEST_ID_BYTES];
    assert_int_equal(id_source_seed(&a), 0);
    assert_int_equal(id_source_seed(&b), 0);
    id_source_next(&a, of_a);
    id_source_next(&b, of_b);
    assert_memory_not_equal(of_a, of_b, sizeof of_a);
}

static void test_a_trace_that_is_begun_here_is_valid_and_sampled(void **state)
{
    (void)state;
    struct id_source source;
    uint8_t first[TRACEPARENT_BYTES], second[TRACEPARENT_BYTES];
    assert_int_equal(id_source_seed(&source), 0);
    traceparent_make(&source, first);
    traceparent_make(&source, second);
    assert_true(traceparent_is_valid((struct span){first, sizeof first}));
    assert_memory_equal(first, "00-", 3);
    assert_memory_equal(first + 52, "-01", 3);
    assert_memory_not_equal(first, second, sizeof first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_traceparent_of_the_first_version_is_exactly_as_defined),
        cmocka_unit_test(test_a_traceparent_of_a_later_version_may_go_on_behind_a_dash),
        cmocka_unit_test(test_no_part_of_a_valid_traceparent_may_be_missing),
        cmocka_unit_test(test_a_request_id_is_a_bounded_run_of_harmless_characters),
        cmocka_unit_test(test_ids_are_the_digits_of_the_generators_bits),
        cmocka_unit_test(test_every_digit_comes_at_every_place),
        cmocka_unit_test(test_two_sources_do_not_agree),
        cmocka_unit_test(test_a_trace_that_is_begun_here_is_valid_and_sampled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
