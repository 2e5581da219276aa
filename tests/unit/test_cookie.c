/* The pairs of Cookie fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "balancer/http/cookie.h"

struct expected {
    const char *whole, *name, *value;
};

static void assert_span(struct span is, const char *expected)
{
    if (!span_equal(is, span_of(expected)))
        fail_msg("expected '%s', got '%.*s'", expected, (int)is.n, (const char *)is.p);
}

static void assert_pairs(const char *field, const struct expected *expected, size_t n)
{
    struct span rest = span_of(field);
    struct cookie_pair pair;
    for (size_t i = 0; i < n; i++) {
        assert_true(cookie_next(&rest, &pair));
        assert_span(pair.whole, expected[i].whole);
        assert_span(pair.name, expected[i].name);
        assert_span(pair.value, expected[i].value);
    }
    assert_false(cookie_next(&rest, &pair));
    assert_false(cookie_next(&rest, &pair));
}

#define ASSERT_PAIRS(field, ...)                                                                   \
    do {                                                                                           \
        const struct expected pairs[] = {__VA_ARGS__};                                             \
        assert_pairs(field, pairs, sizeof pairs / sizeof pairs[0]);                                \
    } while (0)

static void test_pairs_come_in_order(void **state)
{
    (void)state;
    ASSERT_PAIRS("a=1", {"a=1", "a", "1"});
    ASSERT_PAIRS("a=1; b=2; a=3", {"a=1", "a", "1"}, {"b=2", "b", "2"}, {"a=3", "a", "3"});
}

static void test_white_space_around_pairs_is_no_part_of_them(void **state)
{
    (void)state;
    ASSERT_PAIRS("a=1;b=2", {"a=1", "a", "1"}, {"b=2", "b", "2"});
    ASSERT_PAIRS(" a=1 ;\t b=2 \t", {"a=1", "a", "1"}, {"b=2", "b", "2"});
    ASSERT_PAIRS("a = 1", {"a = 1", "a ", " 1"});
}

static void test_empty_pieces_are_no_pairs(void **state)
{
    (void)state;
    assert_pairs("", NULL, 0);
    assert_pairs(";", NULL, 0);
    assert_pairs(" ;; ; ", NULL, 0);
    ASSERT_PAIRS(";;a=1;;", {"a=1", "a", "1"});
}

static void test_the_first_equals_sign_ends_the_name(void **state)
{
    (void)state;
    ASSERT_PAIRS("a=b=c", {"a=b=c", "a", "b=c"});
    ASSERT_PAIRS("a==", {"a==", "a", "="});
    ASSERT_PAIRS("=1", {"=1", "", "1"});
    ASSERT_PAIRS("a=", {"a=", "a", ""});
    ASSERT_PAIRS("a", {"a", "a", ""});
}

static void test_quotes_and_escapes_are_bytes_like_others(void **state)
{
    (void)state;
    ASSERT_PAIRS("a=\"1\"; b=%3D", {"a=\"1\"", "a", "\"1\""}, {"b=%3D", "b", "%3D"});
    ASSERT_PAIRS("a=\"1;2\"", {"a=\"1", "a", "\"1"}, {"2\"", "2\"", ""});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_come_in_order),
        cmocka_unit_test(test_white_space_around_pairs_is_no_part_of_them),
        cmocka_unit_test(test_empty_pieces_are_no_pairs),
        cmocka_unit_test(test_the_first_equals_sign_ends_the_name),
        cmocka_unit_test(test_quotes_and_escapes_are_bytes_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
