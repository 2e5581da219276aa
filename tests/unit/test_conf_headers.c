/* Rules for header fields: how they are read, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "conf_support.h"

#define POOL "pools: { a: { service: a } }\n"

static void test_rules_are_read_in_their_order(void **state)
{
    (void)state;
    const char text[] = "listeners:\n"
                        "  - address: ':80'\n"
                        "    response_headers:\n"
                        "      remove: [Server, x-powered-by]\n"
                        "      set: { B: b, A: 'a, c' }\n"
                        "      add: { Empty: '' }\n" POOL "routes:\n"
                        "  - pool: a\n"
                        "    request_headers: { remove: Cookie }\n";
    struct conf_errors errors = {0};
    struct conf *conf = conf_load_text("f", text, strlen(text), &errors);
    conf_errors_print(&errors, stderr);
    conf_errors_fini(&errors);
    assert_non_null(conf);
    const struct conf_header_rules *rules = &conf->listeners[0].response_headers;
    assert_int_equal(rules->n, 5);
    assert_int_equal(rules->n_remove, 2);
    assert_string_equal(rules->remove[1], "x-powered-by");
    assert_int_equal(rules->n_set, 2);
    assert_string_equal(rules->set[0].name, "B");
    assert_string_equal(rules->set[1].value, "a, c");
    assert_int_equal(rules->n_add, 1);
    assert_string_equal(rules->add[0].value, "");
    assert_int_equal(conf->listeners[0].request_headers.n, 0);
    assert_int_equal(conf->routes[0].request_headers.n, 1);
    assert_string_equal(conf->routes[0].request_headers.remove[0], "Cookie");
    conf_free(conf);
}

static void test_fields_that_quoit_answers_for_are_refused(void **state)
{
    (void)state;
    assert_errors(
        "listeners:\n"
        "  - address: ':80'\n"
        "    response_headers:\n"
        "      set: { content-length: 1 }\n"
        "      remove: [A, Transfer_Encoding]\n"
        "request_id: { header: X-Mine }\n" POOL "routes:\n"
        "  - pool: a\n"
        "    request_headers: { add: { x-mine: 1 }, remove: Host }\n",
        "f:4:14: listeners.0.response_headers.set: found \"content-length\", which quoit "
        "answers for itself, expected another field\n"
        "f:5:19: listeners.0.response_headers.remove: found \"Transfer_Encoding\", which "
        "quoit answers for itself, expected another field\n"
        "f:10:31: routes.0.request_headers.add: found \"x-mine\", which quoit answers for "
        "itself, expected another field\n"
        "f:10:52: routes.0.request_headers.remove: found \"Host\", which quoit answers for "
        "itself, expected another field\n");
}

static void test_what_could_break_a_line_is_refused(void **state)
{
    (void)state;
    assert_errors(
        "listeners:\n"
        "  address: ':80'\n"
        "  request_headers:\n"
        "    set: { \"A: b\": 1, B: \"x\\r\\nC: 1\", D: \"x\\0y\" }\n"
        "    add: { E: ' x', F: }\n"
        "    remove: 'G H'\n" POOL,
        "f:4:12: listeners.0.request_headers.set: found \"A: b\", expected the name of a header "
        "field\n"
        "f:4:26: listeners.request_headers.set.B: found \"x\\x0d\\x0aC: 1\", expected for each "
        "name of a header field a text without control characters, or spaces around it\n"
        "f:4:42: found a NUL character, expected text without one\n"
        "f:5:15: listeners.request_headers.add.E: found \" x\", expected for each name of a header "
        "field a text without control characters, or spaces around it\n"
        "f:5:24: listeners.request_headers.add.F: found null, expected for each name of a header "
        "field a text without control characters, or spaces around it\n"
        "f:6:13: listeners.request_headers.remove: found \"G H\", expected the name of a header "
        "field, or a list of them\n");
}

static void test_a_field_is_set_once(void **state)
{
    (void)state;
    assert_errors("listeners:\n"
                  "  address: ':80'\n"
                  "  request_headers: { set: { Ab: 1, aB: 2, Ab: 3 } }\n" POOL,
                  "f:3:36: listeners.0.request_headers.set: found the field aB again, as Ab\n"
                  "f:3:43: listeners.0.request_headers.set: found the field Ab again, as aB\n"
                  "f:3:43: listeners.request_headers.set.Ab: found the key again, it stands in "
                  "line 3 already\n");
}

static void test_rules_are_maps_and_lists(void **state)
{
    (void)state;
    assert_errors(
        "listeners:\n"
        "  address: ':80'\n"
        "  request_headers: { set: [A], remove: { A: 1 }, put: 1 }\n" POOL,
        "f:3:27: listeners.request_headers.set: found a list, expected for each name of a header "
        "field a text without control characters, or spaces around it\n"
        "f:3:40: listeners.request_headers.remove: found a map, expected the name of a header "
        "field, or a list of them\n"
        "f:3:50: listeners.request_headers.put: unknown key, expected one of remove, set, add\n");
}

static void test_rules_leave_room_in_the_buffers(void **state)
{
    (void)state;
    char text[6000];
    char value[4097];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    (void)snprintf(text, sizeof text,
                   "listeners: { address: ':80', request_headers: { set: { A: %s } } }\n" POOL,
                   value);
    assert_errors(
        text,
        "f:1:47: listeners.0.request_headers: found fields of 4101 bytes, expected at most 4096\n");
    assert_errors("buffer_size: 20k\n"
                  "listeners: { address: ':80', request_headers: { set: { A: b } } }\n" POOL,
                  "f:2:47: listeners.0.request_headers: found a buffer_size of 20480 bytes, "
                  "expected client.max_head_size and 12288 bytes more for the rules\n");
}

static void test_rules_add_no_more_fields_than_heads_have_room_for(void **state)
{
    (void)state;
    char text[2048];
    size_t n = (size_t)snprintf(text, sizeof text,
                                "listeners: { address: ':80', response_headers: { set: {");
    for (int i = 0; i <= CONF_MAX_ADDED_FIELDS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "A%d: b, ", i);
    (void)snprintf(text + n, sizeof text - n, "} } }\n" POOL);
    assert_errors(text,
                  "f:1:48: listeners.0.response_headers: found 65 fields, expected at most 64\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_are_read_in_their_order),
        cmocka_unit_test(test_fields_that_quoit_answers_for_are_refused),
        cmocka_unit_test(test_what_could_break_a_line_is_refused),
        cmocka_unit_test(test_a_field_is_set_once),
        cmocka_unit_test(test_rules_are_maps_and_lists),
        cmocka_unit_test(test_rules_leave_room_in_the_buffers),
        cmocka_unit_test(test_rules_add_no_more_fields_than_heads_have_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
