/* Fields of JSON documents that come in pieces, and of what only looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/json_field.h"

/* Feeds the text in pieces of n bytes; what is found goes to value. */
static enum field_status search(const char *path, const char *text, size_t n, char value[256])
{
    struct json_field field;
    struct key_text out;
    uint8_t room[255];
    json_field_begin(&field, path);
    key_text_begin(&out, room, sizeof room);
    enum field_status status = FIELD_MORE;
    for (size_t i = 0; i < strlen(text) && status == FIELD_MORE; i += n) {
        size_t left = strlen(text) - i;
        struct span piece = {(const uint8_t *)text + i, left < n ? left : n};
        status = json_field_feed(&field, piece, &out);
    }
    struct span found = key_text_end(&out);
    snprintf(value, 256, "%.*s", (int)found.n, (const char *)found.p);
    return status;
}

static void expect(const char *path, const char *text, enum field_status status,
                   const char *expected)
{
    char value[256];
    for (size_t n = 1; n <= strlen(text); n++) {
        enum field_status is = search(path, text, n, value);
        if (is != status || (status == FIELD_FOUND && strcmp(value, expected) != 0))
            fail_msg("%s of %s in pieces of %zu: %d, \"%s\"", path, text, n, (int)is, value);
    }
}

static void expect_found(const char *path, const char *text, const char *value)
{
    expect(path, text, FIELD_FOUND, value);
}

static void expect_absent(const char *path, const char *text)
{
    expect(path, text, FIELD_ABSENT, NULL);
}

static void test_a_member_is_found_by_its_name(void **state)
{
    (void)state;
    expect_found("id", "{\"id\":\"7\"}", "7");
    expect_found("id", " \t\r\n{ \"a\" : 1 , \"id\" : \"x y\" , ", "x y");
    expect_found("id", "{\"i\":1,\"idd\":2,\"ID\":3,\"id\":4}", "4");
    expect_found("id", "{\"id\":\"\"", "");
}

static void test_a_path_leads_into_objects_and_arrays(void **state)
{
    (void)state;
    expect_found("user.id", "{\"id\":1,\"user\":{\"name\":\"n\",\"id\":\"u\"}}", "u");
    expect_found("a.b.c", "{\"a\":{\"x\":{\"b\":1},\"b\":{\"c\":true}}}", "true");
    expect_found("a.1.b", "{\"a\":[{\"b\":1},{\"b\":2}]}", "2");
    expect_found("0.0", "[[\"x\"]]", "x");
    expect_found("2", "[[1,2,3],{\"2\":4},5]", "5");
    expect_found("0", "{\"0\":\"object\"}", "object");
    expect_found("10", "[0,1,2,3,4,5,6,7,8,9,\"ten\"]", "ten");
}

static void test_what_is_beside_the_path_is_skipped(void **state)
{
    (void)state;
    expect_found("id", "{\"a\":{\"id\":1},\"b\":[{\"id\":2},[],{},\"id\"],\"id\":3}", "3");
    expect_found("id", "{\"\":\"}\\\"\",\"id\":\"x\"", "x");
    expect_found("a.id", "{\"b\":{\"a\":{\"id\":1}},\"a\":{\"id\":2}}", "2");
}

static void test_scalars_are_what_they_look_like(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0", "-0", "12", "1.50", "0.0", "1e5", "1E+05", "-1.2e-3", "0e0", "12345678901234567890"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"id\":%s}", numbers[i]);
        expect_found("id", text, numbers[i]);
        snprintf(text, sizeof text, "[%s ,1]", numbers[i]);
        expect_found("0", text, numbers[i]);
    }
    expect_found("id", "{\"id\":true}", "true");
    expect_found("id", "{\"id\":false}", "false");
}

static void test_a_number_is_found_only_at_its_end(void **state)
{
    (void)state;
    expect("id", "{\"id\":12", FIELD_MORE, NULL);
    expect("id", "{\"id\":\"12", FIELD_MORE, NULL);
    expect("id", "{\"id\":tru", FIELD_MORE, NULL);
}

static void test_escapes_are_resolved(void **state)
{
    (void)state;
    expect_found("s", "{\"s\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t");
    expect_found("s", "{\"s\":\"\\u0041\\u00e4\\u20AC\\ud83d\\ude00.\"}",
                 "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80.");
    expect_found("s", "{\"s\":\"\xc3\xa4\"}", "\xc3\xa4");
    expect_found("a\"b", "{\"a\\u0022b\":1}", "1");
    expect_found("\xc3\xa4", "{\"\\u00E4\":\"x\"}", "x");
}

static void test_null_and_containers_are_no_value(void **state)
{
    (void)state;
    expect_absent("id", "{\"id\":null");
    expect_absent("id", "{\"id\":{");
    expect_absent("id", "{\"id\":[");
    expect_absent("a.b", "{\"a\":1,\"a\":{\"b\":2}}");
    expect_absent("a.b", "{\"a\":\"b\"");
    expect_absent("a.b", "{\"a\":null");
}

static void test_a_field_is_absent_when_its_container_closes(void **state)
{
    (void)state;
    expect_absent("id", "{}");
    expect_absent("id", "{\"a\":{\"id\":1}}");
    expect_absent("a.id", "{\"a\":{}");
    expect_absent("a.1", "{\"a\":[0]");
    expect_absent("a.x", "{\"a\":[0,1]");
    expect_absent("0", "[]");
    expect_absent("01", "[0,1,2]");
    expect_absent("id", "\"id\"");
    expect_absent("id", "12");
    expect_absent("id", "true");
}

static void test_what_is_not_json_ends_the_search(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "x",
        "\xef\xbb\xbf{",
        "{,",
        "{1",
        "{\"a\"1",
        "{\"a\":,",
        "{\"a\":1,}",
        "{\"a\":1;",
        "{\"a\":1]",
        "{\"a\":[1}",
        "{\"a\":[1,]",
        "{\"a\":[,",
        "{\"a\":01",
        "{\"a\":+1",
        "{\"a\":.5",
        "{\"a\":-}",
        "{\"a\":-a",
        "{\"a\":1.}",
        "{\"a\":1.e1",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":1.2.",
        "{\"a\":1-",
        "{\"a\":1x",
        "{\"a\":0x1",
        "{\"a\":tRue",
        "{\"a\":nul ",
        "{\"a\":NaN",
        "{\"a\":'b'",
        "{\"a\":\"\n",
        "{\"a\":\"\x1f",
        "{\"a\n",
        "{\"a\":\"\\x",
        "{\"a\":\"\\u12g",
        "{\"a\":\"\\ud800\"",
        "{\"a\":\"\\ud800x",
        "{\"a\":\"\\ud800\\n",
        "{\"a\":\"\\ud800\\u0041",
        "{\"a\":\"\\ud800\\ud800",
        "{\"a\":\"\\udc00",
        "{\"a\":1}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_absent("id", texts[i]);
    expect_absent("a", "{\"a\":1x");
    expect_absent("a", "{\"a\":-,");
}

static void test_the_first_of_a_name_counts(void **state)
{
    (void)state;
    expect_found("id", "{\"id\":1,\"id\":2}", "1");
}

static void test_what_follows_the_field_is_not_looked_at(void **state)
{
    (void)state;
    expect_found("id", "{\"id\":\"1\"]]]", "1");
}

static void test_nesting_is_bounded(void **state)
{
    (void)state;
    char text[200] = "{\"a\":";
    size_t n = strlen(text);
    memset(text + n, '[', 63);
    text[n + 63] = '\0';
    expect("id", text, FIELD_MORE, NULL);
    memset(text + n + 63, ']', 63);
    snprintf(text + n + 126, sizeof text - n - 126, ",\"id\":1}");
    expect_found("id", text, "1");
    memset(text + n, '[', 64);
    expect_absent("id", text);
}

static void test_a_long_value_is_folded(void **state)
{
    (void)state;
    char text[1000] = "{\"id\":\"", one[256], two[256];
    size_t n = strlen(text);
    memset(text + n, 'x', 900);
    memcpy(text + n + 900, "a\"}", 4);
    assert_int_equal(search("id", text, 1000, one), FIELD_FOUND);
    text[n + 900] = 'b';
    assert_int_equal(search("id", text, 1, two), FIELD_FOUND);
    assert_int_equal(strlen(one), 255);
    assert_string_not_equal(one, two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_member_is_found_by_its_name),
        cmocka_unit_test(test_a_path_leads_into_objects_and_arrays),
        cmocka_unit_test(test_what_is_beside_the_path_is_skipped),
        cmocka_unit_test(test_scalars_are_what_they_look_like),
        cmocka_unit_test(test_a_number_is_found_only_at_its_end),
        cmocka_unit_test(test_escapes_are_resolved),
        cmocka_unit_test(test_null_and_containers_are_no_value),
        cmocka_unit_test(test_a_field_is_absent_when_its_container_closes),
        cmocka_unit_test(test_what_is_not_json_ends_the_search),
        cmocka_unit_test(test_the_first_of_a_name_counts),
        cmocka_unit_test(test_what_follows_the_field_is_not_looked_at),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_a_long_value_is_folded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
