#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "discovery/consul_head.h"

static uint64_t index_of(const char *text)
{
    const char *values[CONSUL_N_FIELDS] = {[CONSUL_FIELD_INDEX] = text};
    struct consul_head head;
    consul_head_read(values, &head);
    return head.index;
}

static void test_an_index_is_digits_that_fit(void **state)
{
    (void)state;
    assert_int_equal(index_of("1"), 1);
    assert_int_equal(index_of("007"), 7);
    assert_true(index_of("18446744073709551615") == UINT64_MAX);
    static const char *const none[] = {
        NULL, "", "0", "-1", "+1", " 1", "1 ", "0x10", "1.5", "1e3", "18446744073709551616", "x",
    };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_int_equal(index_of(none[i]), 0);
}

static void test_the_next_index_never_blocks_on_zero_nor_goes_back(void **state)
{
    (void)state;
    assert_int_equal(consul_index_next(0, 5), 5);
    assert_int_equal(consul_index_next(5, 5), 5);
    assert_int_equal(consul_index_next(5, 9), 9);
    assert_int_equal(consul_index_next(9, 5), 0);
    assert_int_equal(consul_index_next(0, 0), 1);
    assert_int_equal(consul_index_next(9, 0), 0);
    assert_true(consul_index_next(9, UINT64_MAX) == UINT64_MAX);
}

static void test_fields_left_out_prove_nothing(void **state)
{
    (void)state;
    const char *values[CONSUL_N_FIELDS] = {NULL};
    struct consul_head head;
    consul_head_read(values, &head);
    assert_false(head.says_leader);
    assert_false(head.says_no_leader);
    assert_false(head.filtered);
    assert_false(head.may_hide_if_anonymous);
    assert_int_equal(head.last_contact_ms, 0);
}

static void test_each_field_says_its_word(void **state)
{
    (void)state;
    const char *values[CONSUL_N_FIELDS] = {
        [CONSUL_FIELD_INDEX] = "12",
        [CONSUL_FIELD_KNOWN_LEADER] = "True",
        [CONSUL_FIELD_LAST_CONTACT] = "345",
        [CONSUL_FIELD_FILTERED] = "true",
        [CONSUL_FIELD_DEFAULT_POLICY] = "deny",
    };
    struct consul_head head;
    consul_head_read(values, &head);
    assert_int_equal(head.index, 12);
    assert_true(head.says_leader);
    assert_false(head.says_no_leader);
    assert_int_equal(head.last_contact_ms, 345);
    assert_true(head.filtered);
    assert_true(head.may_hide_if_anonymous);
    values[CONSUL_FIELD_KNOWN_LEADER] = "false";
    values[CONSUL_FIELD_FILTERED] = "false";
    values[CONSUL_FIELD_DEFAULT_POLICY] = "allow";
    consul_head_read(values, &head);
    assert_false(head.says_leader);
    assert_true(head.says_no_leader);
    assert_false(head.filtered);
    assert_false(head.may_hide_if_anonymous);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_index_is_digits_that_fit),
        cmocka_unit_test(test_the_next_index_never_blocks_on_zero_nor_goes_back),
        cmocka_unit_test(test_fields_left_out_prove_nothing),
        cmocka_unit_test(test_each_field_says_its_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
