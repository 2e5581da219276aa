/* Text of bounded length, and what becomes of more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/key_text.h"

/* What text becomes in `size` bytes, given in pieces of n. */
static void write_text(const char *text, size_t size, size_t n, char written[128])
{
    uint8_t room[100];
    struct key_text out;
    key_text_begin(&out, room, size);
    for (size_t i = 0; i < strlen(text); i += n) {
        size_t left = strlen(text) - i;
        key_text_add(&out, (struct span){(const uint8_t *)text + i, left < n ? left : n});
    }
    struct span all = key_text_end(&out);
    assert_ptr_equal(all.p, room);
    assert_true(all.n <= size);
    snprintf(written, 128, "%.*s", (int)all.n, (const char *)all.p);
}

static void test_what_fits_stays_as_it_is(void **state)
{
    (void)state;
    char written[128];
    write_text("0123456789abcdefghij", 20, 20, written);
    assert_string_equal(written, "0123456789abcdefghij");
    write_text("", 17, 1, written);
    assert_string_equal(written, "");
}

/* By FNV-1a as published: "3456789abcdefoobar" is behind the first three bytes. */
static void test_what_does_not_fit_is_folded(void **state)
{
    (void)state;
    char written[128];
    write_text("0123456789abcdefghijfoobar", 17 + 20, 99, written);
    assert_string_equal(written, "0123456789abcdefghijfoobar");
    write_text("foobar0123456789foobarfoobar", 17 + 5, 99, written);
    assert_int_equal(strlen(written), 22);
    write_text("01234567890123456789foobar", 17 + 3, 5, written);
    assert_int_equal(strlen(written), 20);
    assert_memory_equal(written, "012~", 4);
    write_text("0123456789abcdefoobar", 17 + 3, 99, written);
    assert_string_equal(written, "012~85754297e407ceed");
}

static void test_the_pieces_it_comes_in_do_not_matter(void **state)
{
    (void)state;
    char text[91], whole[128], pieces[128];
    for (size_t length = 0; length < sizeof text; length++) {
        for (size_t i = 0; i < length; i++)
            text[i] = (char)('!' + i);
        text[length] = '\0';
        write_text(text, 40, sizeof text, whole);
        for (size_t n = 1; n < 50; n++) {
            write_text(text, 40, n, pieces);
            assert_string_equal(whole, pieces);
        }
    }
}

static void test_a_byte_that_does_not_fit_counts(void **state)
{
    (void)state;
    char one[128], two[128];
    for (size_t at = 0; at < 60; at++) {
        char text[61];
        memset(text, 'x', 60);
        text[60] = '\0';
        write_text(text, 30, 7, one);
        text[at] = 'y';
        write_text(text, 30, 7, two);
        assert_string_not_equal(one, two);
    }
}

static void test_lower_case_is_ascii_only(void **state)
{
    (void)state;
    uint8_t room[200];
    struct key_text out;
    key_text_begin(&out, room, sizeof room);
    key_text_add_lower(&out, SPAN("@AZ[`az{\xc4"));
    char many[100];
    memset(many, 'Q', sizeof many);
    key_text_add_lower(&out, (struct span){(const uint8_t *)many, sizeof many});
    struct span all = key_text_end(&out);
    memset(many, 'q', sizeof many);
    assert_int_equal(all.n, 9 + sizeof many);
    assert_memory_equal(all.p, "@az[`az{\xc4", 9);
    assert_memory_equal(all.p + 9, many, sizeof many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_fits_stays_as_it_is),
        cmocka_unit_test(test_what_does_not_fit_is_folded),
        cmocka_unit_test(test_the_pieces_it_comes_in_do_not_matter),
        cmocka_unit_test(test_a_byte_that_does_not_fit_counts),
        cmocka_unit_test(test_lower_case_is_ascii_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
