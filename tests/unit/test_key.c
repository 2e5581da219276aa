#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/cidr.h"
#include "key_support.h"

static const struct h1_limits limits = {.head_bytes = 4096, .target_bytes = 1024, .fields = 50};

/* The key of a request made of this target and these field lines; NULL in `expected`: none. */
static void expect_key(enum conf_key_source source, const char *name, const char *target,
                       const char *fields, const char *expected)
{
    char text[1024], key_name[64];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h.example\r\n%s\r\n", target, fields);
    snprintf(key_name, sizeof(key_name), "%s", name != NULL ? name : "");
    struct h1_request request;
    struct h1_field request_fields[H1_MAX_FIELDS];
    h1_request_init(&request, request_fields);
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

/* ---- templates */

#define HOST "Host: h.example\r\n"

/* The key that this text takes from a request; NULL: none. */
static void expect_built(const char *text, const char *start, const char *fields,
                         const char *expected)
{
    struct conf_arena arena = {0};
    struct conf_key key = key_of_text(text, &arena);
    struct key_message message;
    key_message_init(&message, start, fields);
    const struct key_input input = {
        .request = &message.request, .message = message.bytes, .peer = SPAN("192.0.2.199")};
    struct key_room room;
    struct span untouched = SPAN("untouched"), is = untouched;
    assert_int_equal(key_extract(&key, &input, &room, &is), expected != NULL);
    if (!span_equal(is, expected != NULL ? span_of(expected) : untouched))
        fail_msg("%s of %s: \"%.*s\", not \"%s\"", text, start, (int)is.n, (const char *)is.p,
                 expected != NULL ? expected : "(none)");
    conf_arena_free(&arena);
}

static void test_a_template_joins_text_and_parts(void **state)
{
    (void)state;
    expect_built("{host}{path}", "GET /a?b", HOST, "h.example/a");
    expect_built("<{method}|{{{path}}}>", "GET /a?b", HOST, "<GET|{/a}>");
    expect_built("{query:a}/{header:X}/{cookie:c}/{client}", "GET /?a=1",
                 HOST "X: x\r\nCookie: c=d\r\n", "1/x/d/192.0.2.199");
}

static void test_a_host_is_lower_case_without_port(void **state)
{
    (void)state;
    expect_built("host", "GET /", "Host: WWW.Example:8080\r\n", "www.example");
    expect_built("host", "GET http://A.b:1/", HOST, "a.b");
    expect_built("host", "GET /", "Host: [2001:DB8::1]:80\r\n", "[2001:db8::1]");
    expect_built("host", "GET /", "Host: [::1]\r\n", "[::1]");
    expect_built("host", "GET /", "Host:\r\n", NULL);
}

static void test_a_filter_folds_case(void **state)
{
    (void)state;
    expect_built("{path|lower}", "GET /A/b%C3%84Z?Q", HOST, "/a/b%c3%84z");
    expect_built("{header:x|lower}{method}", "GET /", HOST "X: \xc3\x84[Z]\r\n", "\xc3\x84[z]GET");
}

static void test_a_path_may_be_cut_behind_segments(void **state)
{
    (void)state;
    expect_built("path:1", "GET /a/b/c", HOST, "/a");
    expect_built("path:2", "GET /a/b/c", HOST, "/a/b");
    expect_built("path:3", "GET /a/b/c", HOST, "/a/b/c");
    expect_built("path:9", "GET /a/b/c", HOST, "/a/b/c");
    expect_built("path:1", "GET /a/", HOST, "/a");
    expect_built("path:2", "GET /a/", HOST, "/a/");
    expect_built("path:1", "GET //a", HOST, "/");
    expect_built("path:1", "GET /", HOST, "/");
    expect_built("path:1", "GET http://o", HOST, "/");
    expect_built("path:1", "OPTIONS *", HOST, "*");
}

static void test_sorted_arguments_do_not_hang_on_their_order(void **state)
{
    (void)state;
    expect_built("{query|sorted}", "GET /?b=1&a=2&c", HOST, "a=2&b=1&c");
    expect_built("{query|sorted}", "GET /?c&&a=2&b=1&", HOST, "a=2&b=1&c");
    expect_built("{uri|sorted}", "GET /x?b=1&a=2", HOST, "/x?a=2&b=1");
    expect_built("{uri|sorted}", "GET /x?", HOST, "/x");
    expect_built("{uri|sorted}", "GET /x", HOST, "/x");
    expect_built("{uri|sorted|lower}", "GET /X?B=Z&a=Y", HOST, "/x?b=z&a=y");
    expect_built("{query|sorted}", "GET /?ab=1&a=2&a-=3&aa", HOST, "a=2&a-=3&aa&ab=1");
}

static void test_arguments_of_one_name_keep_their_order(void **state)
{
    (void)state;
    expect_built("{query|sorted}", "GET /?b=2&a=9&b=1&a=1&b=3", HOST, "a=9&a=1&b=2&b=1&b=3");
}

static void test_what_is_beyond_the_sorted_arguments_is_not_lost(void **state)
{
    (void)state;
    char start[4096] = "GET /?", expected[4096] = "";
    size_t n = strlen(start), m = 0;
    for (int i = 0; i < 256; i++) {
        n += (size_t)snprintf(start + n, sizeof start - n, "%03d&", 255 - i);
        m += (size_t)snprintf(expected + m, sizeof expected - m, "%03d&", i);
    }
    snprintf(start + n, sizeof start - n, "z&y");
    snprintf(expected + m, sizeof expected - m, "z&y");
    expect_built("{query|sorted}", start, HOST, expected);
}

static void test_a_template_lacks_its_key_with_a_named_part_that_is_not_optional(void **state)
{
    (void)state;
    expect_built("{host}{cookie:id}", "GET /", HOST, NULL);
    expect_built("{host}{cookie:id|optional}", "GET /", HOST, "h.example");
    expect_built("{host}{query:v|optional}", "GET /?v=2", HOST, "h.example2");
    expect_built("{path}?{query}", "GET /a", HOST, "/a?");
}

static void test_text_alone_is_no_key(void **state)
{
    (void)state;
    expect_built("x{query:v|optional}y", "GET /", HOST, NULL);
    expect_built("x{query|sorted}", "GET /", HOST, NULL);
    expect_built("query", "GET /?", HOST, NULL);
}

static void test_a_field_of_the_body_is_lacking_where_nobody_looked(void **state)
{
    (void)state;
    expect_built("json:id", "GET /", HOST, NULL);
    expect_built("{host}{form:id|optional}", "GET /", HOST, "h.example");
}

static void test_a_client_may_be_its_network(void **state)
{
    (void)state;
    expect_built("client/24", "GET /", HOST, "192.0.2.0");
    expect_built("{client/25}x", "GET /", HOST, "192.0.2.128x");
    expect_built("client/32,64", "GET /", HOST, "192.0.2.199");
}

/* The key of a request from this peer, if 10.0.0.0/8 is trusted. */
static void expect_client(const char *text, const char *peer, const char *fields,
                          const char *expected)
{
    struct conf_cidr ten = {.bits = 8, .address = {10}};
    const struct conf_client trust = {.trusted_proxies = &ten, .n_trusted_proxies = 1};
    struct conf_arena arena = {0};
    struct conf_key key = key_of_text(text, &arena);
    struct key_message message;
    key_message_init(&message, "GET /", fields);
    const struct key_input input = {.request = &message.request,
                                    .message = message.bytes,
                                    .peer = span_of(peer),
                                    .trust = &trust};
    struct key_room room;
    struct span is = SPAN("");
    assert_true(key_extract(&key, &input, &room, &is));
    assert_true(span_equal(is, span_of(expected)));
    conf_arena_free(&arena);
}

static void test_a_forwarded_client_is_who_trusted_proxies_say(void **state)
{
    (void)state;
    const char *fields = HOST "X-Forwarded-For: 1.1.1.1, 2001:DB8:1:2:0::7, 10.9.9.9\r\n";
    expect_client("forwarded", "10.0.0.1", fields, "2001:db8:1:2::7");
    expect_client("forwarded/24,56", "10.0.0.1", fields, "2001:db8:1::");
    expect_client("<{forwarded/24}>", "10.0.0.1", fields, "<2001:db8:1:2::>");
    expect_client("forwarded", "192.0.2.1", fields, "192.0.2.1");
    expect_client("client", "10.0.0.1", fields, "10.0.0.1");
    expect_client("forwarded", "no address", fields, "no address");
}

static void test_long_keys_that_differ_at_their_end_are_different(void **state)
{
    (void)state;
    char one[4000], two[4000];
    memset(one, 'a', sizeof one);
    memcpy(one, "GET /", 5);
    one[sizeof one - 1] = '\0';
    memcpy(two, one, sizeof two);
    two[sizeof two - 2] = 'b';
    struct conf_arena arena = {0};
    struct conf_key key = key_of_text("{host}{path}", &arena);
    struct key_message message;
    struct key_room rooms[2];
    struct span keys[2];
    for (int i = 0; i < 2; i++) {
        key_message_init(&message, i == 0 ? one : two, HOST);
        const struct key_input input = {.request = &message.request, .message = message.bytes};
        assert_true(key_extract(&key, &input, &rooms[i], &keys[i]));
        assert_int_equal(keys[i].n, KEY_ROOM_BYTES);
    }
    assert_memory_equal(keys[0].p, keys[1].p, KEY_ROOM_BYTES - KEY_TEXT_MIN_BYTES);
    assert_memory_not_equal(keys[0].p, keys[1].p, KEY_ROOM_BYTES);
    conf_arena_free(&arena);
}

static void test_what_needs_no_building_is_not_copied(void **state)
{
    (void)state;
    static const char *const texts[] = {"path",   "{path}", "uri",   "{query:q}",
                                        "path:1", "method", "query", "{header:host|optional}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct conf_arena arena = {0};
        struct conf_key key = key_of_text(texts[i], &arena);
        struct key_message message;
        key_message_init(&message, "GET /a/b?q=1", HOST);
        const struct key_input input = {.request = &message.request, .message = message.bytes};
        struct key_room room;
        struct span is;
        assert_true(key_extract(&key, &input, &room, &is));
        assert_true(is.p >= message.bytes && is.p < message.bytes + message.request.head_n);
        conf_arena_free(&arena);
    }
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
        cmocka_unit_test(test_a_template_joins_text_and_parts),
        cmocka_unit_test(test_a_host_is_lower_case_without_port),
        cmocka_unit_test(test_a_filter_folds_case),
        cmocka_unit_test(test_a_path_may_be_cut_behind_segments),
        cmocka_unit_test(test_sorted_arguments_do_not_hang_on_their_order),
        cmocka_unit_test(test_arguments_of_one_name_keep_their_order),
        cmocka_unit_test(test_what_is_beyond_the_sorted_arguments_is_not_lost),
        cmocka_unit_test(test_a_template_lacks_its_key_with_a_named_part_that_is_not_optional),
        cmocka_unit_test(test_text_alone_is_no_key),
        cmocka_unit_test(test_a_field_of_the_body_is_lacking_where_nobody_looked),
        cmocka_unit_test(test_a_client_may_be_its_network),
        cmocka_unit_test(test_a_forwarded_client_is_who_trusted_proxies_say),
        cmocka_unit_test(test_long_keys_that_differ_at_their_end_are_different),
        cmocka_unit_test(test_what_needs_no_building_is_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
