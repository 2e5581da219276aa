/* Fields of forms that come in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/form_field.h"

/* Feeds the text in pieces of n bytes, and its end unless it was found before. */
static enum field_status search(const char *name, const char *text, size_t n, char value[256])
{
    struct form_field field;
    struct key_text out;
    uint8_t room[255];
    form_field_begin(&field, name);
    key_text_begin(&out, room, sizeof room);
    enum field_status status = FIELD_MORE;
    for (size_t i = 0; i < strlen(text) && status == FIELD_MORE; i += n) {
        size_t left = strlen(text) - i;
        struct span piece = {(const uint8_t *)text + i, left < n ? left : n};
        status = form_field_feed(&field, piece, &out);
    }
    if (status == FIELD_MORE)
        status = form_field_end(&field, &out);
    struct span found = key_text_end(&out);
    snprintf(value, 256, "%.*s", (int)found.n, (const char *)found.p);
    return status;
}

/* NULL: absent. */
static void expect(const char *name, const char *text, const char *expected)
{
    char value[256];
    for (size_t n = 1; n <= strlen(text) + 1; n++) {
        enum field_status is = search(name, text, n, value);
        if ((is == FIELD_FOUND) != (expected != NULL) ||
            (expected != NULL && strcmp(value, expected) != 0))
            fail_msg("%s of %s in pieces of %zu: %d, \"%s\"", name, text, n, (int)is, value);
    }
}

static void test_a_field_is_found_by_its_name(void **state)
{
    (void)state;
    expect("id", "id=7", "7");
    expect("id", "a=1&id=7&b=2", "7");
    expect("id", "xid=1&idx=2&ID=3&i=4&id=5", "5");
    expect("id", "&&id=7=8", "7=8");
    expect("id", "a=id=7", NULL);
    expect("id", "", NULL);
    expect("id", "a=1&", NULL);
    expect("id", "id7", NULL);
}

static void test_the_first_of_a_name_counts(void **state)
{
    (void)state;
    expect("id", "id=1&id=2", "1");
    expect("id", "id&id=2", "");
    expect("id", "id=&id=2", "");
}

static void test_names_and_values_are_decoded(void **state)
{
    (void)state;
    expect("a b", "a+b=1", "1");
    expect("a b", "a%20b=%C3%a4+%26%3d", "\xc3\xa4 &=");
    expect("id", "%69d=%37", "7");
    expect("+", "%2B=%2b", "+");
}

static void test_a_percent_that_escapes_nothing_is_itself(void **state)
{
    (void)state;
    expect("id", "id=100%", "100%");
    expect("id", "id=%4", "%4");
    expect("id", "id=%g1%%41%4&a", "%g1%A%4");
    expect("a%", "a%=1", "1");
    expect("a%1", "a%1=1&b", "1");
    expect("a%%", "a%%=1", "1");
}

static void test_a_value_is_complete_only_where_it_ends(void **state)
{
    (void)state;
    struct form_field field;
    struct key_text out;
    uint8_t room[255];
    form_field_begin(&field, "id");
    key_text_begin(&out, room, sizeof room);
    assert_int_equal(form_field_feed(&field, SPAN("id=7"), &out), FIELD_MORE);
    assert_int_equal(form_field_feed(&field, SPAN("8&"), &out), FIELD_FOUND);
    assert_true(span_equal(key_text_end(&out), SPAN("78")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_field_is_found_by_its_name),
        cmocka_unit_test(test_the_first_of_a_name_counts),
        cmocka_unit_test(test_names_and_values_are_decoded),
        cmocka_unit_test(test_a_percent_that_escapes_nothing_is_itself),
        cmocka_unit_test(test_a_value_is_complete_only_where_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
