#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/http/h1_chars.h"
#include "balancer/http/h1_scan.h"

static void test_every_byte_at_every_place_stops_both_scanners_alike(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 50; n++) {
        uint8_t *bytes = malloc(n);
        memset(bytes, 'a', n);
        for (size_t at = 0; at < n; at++) {
            for (unsigned int c = 0; c < 256; c++) {
                bytes[at] = (uint8_t)c;
                const uint8_t *stop = h1_scan_text(bytes, bytes + n);
                assert_ptr_equal(stop, h1_scan_text_scalar(bytes, bytes + n));
                bool is_text = c == '\t' || (c >= 0x20 && c != 0x7f);
                assert_ptr_equal(stop, is_text ? bytes + n : bytes + at);
            }
            bytes[at] = 'a';
        }
        free(bytes);
    }
}

static void test_the_first_of_two_stops_counts(void **state)
{
    (void)state;
    uint8_t bytes[40];
    for (size_t first = 0; first < sizeof(bytes); first++)
        for (size_t second = first + 1; second < sizeof(bytes); second++) {
            memset(bytes, 0x80, sizeof(bytes));
            bytes[first] = '\r';
            bytes[second] = '\n';
            assert_ptr_equal(h1_scan_text(bytes, bytes + sizeof(bytes)), bytes + first);
        }
}

static void test_an_empty_text_ends_where_it_begins(void **state)
{
    (void)state;
    uint8_t byte = '\r';
    assert_ptr_equal(h1_scan_text(&byte, &byte), &byte);
    assert_ptr_equal(h1_scan_text_scalar(&byte, &byte), &byte);
}

static void test_every_byte_at_every_place_ends_both_runs_alike(void **state)
{
    (void)state;
    static const uint8_t classes[] = {H1_CHAR_TOKEN, H1_CHAR_PATH, H1_CHAR_QUERY, H1_CHAR_HOST};
    for (size_t n = 1; n <= 40; n++) {
        uint8_t *bytes = malloc(n);
        memset(bytes, 'a', n);
        for (size_t at = 0; at < n; at++) {
            for (unsigned int i = 0; i < 256 * sizeof(classes); i++) {
                bytes[at] = (uint8_t)(i / sizeof(classes));
                struct span text = {bytes, n};
                uint8_t class = classes[i % sizeof(classes)];
                size_t run = (h1_chars[bytes[at]] & class) != 0 ? n : at;
                assert_int_equal(h1_chars_run(text, class), run);
                assert_int_equal(h1_chars_run_scalar(text, class), run);
            }
            bytes[at] = 'a';
        }
        free(bytes);
    }
    assert_int_equal(h1_chars_run((struct span){NULL, 0}, H1_CHAR_TOKEN), 0);
}

static bool is_in(const char *set, unsigned int c)
{
    return c != 0 && c < 128 && strchr(set, (int)c) != NULL;
}

static bool is_alnum(unsigned int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void test_the_character_table_says_what_the_grammars_say(void **state)
{
    (void)state;
    for (unsigned int c = 0; c < 256; c++) {
        bool is_token = is_alnum(c) || is_in("!#$%&'*+-.^_`|~", c);
        bool is_host = is_alnum(c) || is_in("-._~!$&'()*+,;=", c);
        bool is_query = (c > 0x20 && c != 0x7f) && !is_in("#<>", c);
        bool is_path = is_query && !is_in("?\\", c);
        assert_int_equal((h1_chars[c] & H1_CHAR_TOKEN) != 0, is_token);
        assert_int_equal((h1_chars[c] & H1_CHAR_HOST) != 0, is_host);
        assert_int_equal((h1_chars[c] & H1_CHAR_QUERY) != 0, is_query);
        assert_int_equal((h1_chars[c] & H1_CHAR_PATH) != 0, is_path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_at_every_place_stops_both_scanners_alike),
        cmocka_unit_test(test_the_first_of_two_stops_counts),
        cmocka_unit_test(test_an_empty_text_ends_where_it_begins),
        cmocka_unit_test(test_every_byte_at_every_place_ends_both_runs_alike),
        cmocka_unit_test(test_the_character_table_says_what_the_grammars_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
