#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/key.h"

static const struct h1_limits limits = {.head_bytes = 4096, .target_bytes = 1024, .fields = 50};

/* The key of a request made of this target and these field lines; NULL in `expected`: none. */
static void expect_key(enum conf_key_source source, const char *name, const char *target,
                       const char *fields, const char *expected)
{
    char text[1024], key_name[64];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h.example\r\n%s\r\n", target, fields);
    snprintf(key_name, sizeof(key_name), "%s", name != NULL ? name : "");
    struct h1_request request;
    h1_request_init(&request);
    const uint8_t *message = (const uint8_t *)text;
    assert_int_equal(h1_request_parse(&request, &limits, message, strlen(text)), H1_DONE);

    struct conf_key key = {.source = source, .name = name != NULL ? key_name : NULL};
    struct span untouched = SPAN("untouched");
    struct span is = untouched;
    const struct key_input input = {
        .request = &request, .message = message, .peer = SPAN("192.0.2.1")};
    bool has_key = key_extract(&key, &input, NULL, &is); /* no room: nothing is built */
    assert_int_equal(has_key, expected != NULL);
    if (!span_equal(is, expected != NULL ? span_of(expected) : untouched))
        fail_msg("expected '%s', got '%.*s' for %s", expected, (int)is.n, (const char *)is.p, text);
}

static void test_a_path_is_without_its_query(void **state)
{
    (void)state;
    expect_key(CONF_KEY_PATH, NULL, "/a/b%20?x=1", "", "/a/b%20");
    expect_key(CONF_KEY_PATH, NULL, "/?", "", "/");
    expect_key(CONF_KEY_PATH, NULL, "http://o/p?q", "", "/p");
    expect_key(CONF_KEY_PATH, NULL, "http://o", "", "/");
    expect_key(CONF_KEY_PATH, NULL, "http://o?q", "", "/");
}

static void test_a_uri_is_path_and_query_as_they_came(void **state)
{
    (void)state;
    expect_key(CONF_KEY_URI, NULL, "/a?x=1&y", "", "/a?x=1&y");
    expect_key(CONF_KEY_URI, NULL, "/a?", "", "/a?");
    expect_key(CONF_KEY_URI, NULL, "/a", "", "/a");
    expect_key(CONF_KEY_URI, NULL, "http://o/p?q", "", "/p?q");
    expect_key(CONF_KEY_URI, NULL, "http://o/p", "", "/p");
    expect_key(CONF_KEY_URI, NULL, "http://o", "", "/");
    expect_key(CONF_KEY_URI, NULL, "http://o?q", "", "?q");
}

static void test_a_query_argument_is_the_first_of_its_name(void **state)
{
    (void)state;
    expect_key(CONF_KEY_QUERY, "id", "/?id=7", "", "7");
    expect_key(CONF_KEY_QUERY, "id", "/?a=1&id=7&id=8", "", "7");
    expect_key(CONF_KEY_QUERY, "id", "/?&&a&id==7?&b", "", "=7?");
    expect_key(CONF_KEY_QUERY, "id", "/?xid=1&idx=2&ID=3&id=4", "", "4");
    expect_key(CONF_KEY_QUERY, "id", "/?id=%37;b", "", "%37;b");
    expect_key(CONF_KEY_QUERY, "id", "http://o?id=7", "", "7");
    expect_key(CONF_KEY_QUERY, "id", "/?id=&id=7", "", NULL);
    expect_key(CONF_KEY_QUERY, "id", "/?id&id=7", "", NULL);
    expect_key(CONF_KEY_QUERY, "id", "/?i%64=7", "", NULL);
    expect_key(CONF_KEY_QUERY, "id", "/?a=id=7", "", NULL);
    expect_key(CONF_KEY_QUERY, "id", "/id=7", "", NULL);
    expect_key(CONF_KEY_QUERY, "id", "/?", "", NULL);
}

static void test_a_header_is_the_first_of_its_name_in_any_case(void **state)
{
    (void)state;
    expect_key(CONF_KEY_HEADER, "X-User", "/", "x-uSER:  ann \r\nX-User: bob\r\n", "ann");
    expect_key(CONF_KEY_HEADER, "user-agent", "/", "User-Agent: curl\r\n", "curl");
    expect_key(CONF_KEY_HEADER, "X-User", "/", "X-User:\r\nX-User: bob\r\n", NULL);
    expect_key(CONF_KEY_HEADER, "X-User", "/", "X-Users: ann\r\n", NULL);
    expect_key(CONF_KEY_HEADER, "Host", "/", "", "h.example");
    expect_key(CONF_KEY_HEADER, "Host", "http://o:80/", "", "o:80");
}

static void test_a_cookie_is_found_in_all_cookie_fields(void **state)
{
    (void)state;
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie: id=7\r\n", "7");
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie: a=b; id=7; id=8\r\n", "7");
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie: a=b;id=7\r\n", "7");
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie: a=b\r\nX: id=1\r\ncookie: c; id=7=8\r\n",
               "7=8");
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie: id=\"7 8\"\r\n", "\"7 8\"");
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie: xid=1; idx=2; ID=3\r\n", NULL);
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie: id=; id=7\r\n", NULL);
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie: id\r\nCookie: id=7\r\n", NULL);
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie: a=id=7\r\n", NULL);
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie:\r\n", NULL);
    expect_key(CONF_KEY_COOKIE, "id", "/", "Cookie: ;;, ;\r\n", NULL);
    expect_key(CONF_KEY_COOKIE, "id", "/", "", NULL);
}

static void test_the_client_is_its_address(void **state)
{
    (void)state;
    expect_key(CONF_KEY_CLIENT, NULL, "/", "", "192.0.2.1");
}

static void test_no_source_is_no_key(void **state)
{
    (void)state;
    expect_key(CONF_KEY_NONE, NULL, "/", "", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_path_is_without_its_query),
        cmocka_unit_test(test_a_uri_is_path_and_query_as_they_came),
        cmocka_unit_test(test_a_query_argument_is_the_first_of_its_name),
        cmocka_unit_test(test_a_header_is_the_first_of_its_name_in_any_case),
        cmocka_unit_test(test_a_cookie_is_found_in_all_cookie_fields),
        cmocka_unit_test(test_the_client_is_its_address),
        cmocka_unit_test(test_no_source_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
