/* The fields of a body that a key is made of, by the body's type and as it comes in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "key_support.h"

struct search {
    struct conf_arena arena;
    struct conf_key key;
    struct key_message message;
    struct key_body body;
};

/* Begins to look in a request with these field lines. */
static void begin(struct search *search, const char *text, const char *fields)
{
    char all[512];
    snprintf(all, sizeof all, "Host: h\r\n%s", fields);
    search->arena = (struct conf_arena){0};
    search->key = key_of_text(text, &search->arena);
    key_message_init(&search->message, "POST /p", all);
    key_body_begin(&search->body, &search->key, &search->message.request, search->message.bytes);
}

/* NULL: there is none. */
static void expect_key(struct search *search, const char *expected)
{
    const struct key_input input = {.request = &search->message.request,
                                    .message = search->message.bytes,
                                    .body = &search->body};
    struct key_room room;
    struct span key;
    assert_false(key_body_waits(&search->body));
    assert_int_equal(key_extract(&search->key, &input, &room, &key), expected != NULL);
    if (expected != NULL)
        assert_true(span_equal(key, span_of(expected)));
    conf_arena_free(&search->arena);
}

#define LENGTH "Content-Length: 9\r\n"
#define JSON LENGTH "Content-Type: application/json\r\n"
#define FORM LENGTH "Content-Type: application/x-www-form-urlencoded\r\n"

static void test_a_field_is_waited_for_until_it_is_complete(void **state)
{
    (void)state;
    struct search search;
    begin(&search, "json:id", JSON);
    assert_true(key_body_waits(&search.body));
    key_body_feed(&search.body, SPAN("{\"id\":\"a"));
    assert_true(key_body_waits(&search.body));
    key_body_feed(&search.body, SPAN("b\","));
    expect_key(&search, "ab");
}

static void test_several_fields_are_found_in_any_order(void **state)
{
    (void)state;
    struct search search;
    begin(&search, "{json:a}/{path}/{json:b.c|lower}", JSON);
    key_body_feed(&search.body, SPAN("{\"b\":{\"c\":\"XY\"},"));
    assert_true(key_body_waits(&search.body));
    key_body_feed(&search.body, SPAN("\"a\":1}"));
    expect_key(&search, "1//p/xy");
}

static void test_the_end_of_the_body_completes_a_form(void **state)
{
    (void)state;
    struct search search;
    begin(&search, "form:id", FORM);
    key_body_feed(&search.body, SPAN("a=1&id=7"));
    assert_true(key_body_waits(&search.body));
    key_body_end(&search.body);
    expect_key(&search, "7");
}

static void test_what_is_not_complete_when_it_is_given_up_is_lacking(void **state)
{
    (void)state;
    struct search search;
    begin(&search, "form:id", FORM);
    key_body_feed(&search.body, SPAN("a=1&id=7"));
    key_body_give_up(&search.body);
    expect_key(&search, NULL);
    begin(&search, "json:id", JSON);
    key_body_feed(&search.body, SPAN("{\"id\":7"));
    key_body_end(&search.body);
    expect_key(&search, NULL);
}

static void test_a_key_that_lacks_a_needed_field_waits_for_no_other(void **state)
{
    (void)state;
    struct search search;
    begin(&search, "{json:a}{json:b.x}", JSON);
    key_body_feed(&search.body, SPAN("{\"b\":0,"));
    expect_key(&search, NULL);
}

static void test_an_optional_field_may_be_absent(void **state)
{
    (void)state;
    struct search search;
    begin(&search, "{path}{json:a|optional}", JSON);
    assert_true(key_body_waits(&search.body));
    key_body_feed(&search.body, SPAN("{}"));
    expect_key(&search, "/p");
}

static void test_the_type_of_the_body_decides_what_is_looked_for(void **state)
{
    (void)state;
    static const struct {
        const char *key, *fields;
        bool waits;
    } rows[] = {
        {"json:a", JSON, true},
        {"json:a", LENGTH "CONTENT-TYPE: Application/JSON ; charset=utf-8\r\n", true},
        {"json:a", LENGTH "Content-Type: application/vnd.api+json\r\n", true},
        {"json:a", "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n", true},
        {"json:a", JSON "Content-Encoding: identity\r\n", true},
        {"json:a", JSON "Content-Encoding: gzip\r\n", false},
        {"json:a", "Content-Type: application/json\r\n", false},
        {"json:a", LENGTH, false},
        {"json:a", LENGTH "Content-Type:\r\n", false},
        {"json:a", LENGTH "Content-Type: +json\r\n", false},
        {"json:a", LENGTH "Content-Type: application/jsonx\r\n", false},
        {"json:a", LENGTH "Content-Type: text/plain; a=application/json\r\n", false},
        {"json:a", FORM, false},
        {"form:a", FORM, true},
        {"form:a", JSON, false},
        {"form:a", LENGTH "Content-Type: multipart/form-data; boundary=b\r\n", false},
        {"path", JSON, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search search;
        begin(&search, rows[i].key, rows[i].fields);
        if (key_body_waits(&search.body) != rows[i].waits)
            fail_msg("%s of %s", rows[i].key, rows[i].fields);
        conf_arena_free(&search.arena);
    }
}

static void test_an_empty_value_is_lacking(void **state)
{
    (void)state;
    struct search search;
    begin(&search, "json:a", JSON);
    key_body_feed(&search.body, SPAN("{\"a\":\"\"}"));
    expect_key(&search, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_field_is_waited_for_until_it_is_complete),
        cmocka_unit_test(test_several_fields_are_found_in_any_order),
        cmocka_unit_test(test_the_end_of_the_body_completes_a_form),
        cmocka_unit_test(test_what_is_not_complete_when_it_is_given_up_is_lacking),
        cmocka_unit_test(test_a_key_that_lacks_a_needed_field_waits_for_no_other),
        cmocka_unit_test(test_an_optional_field_may_be_absent),
        cmocka_unit_test(test_the_type_of_the_body_decides_what_is_looked_for),
        cmocka_unit_test(test_an_empty_value_is_lacking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
