/* Header rules: what they drop, what they add, in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "balancer/http/header_rules.h"

#define N(array) (sizeof(array) / sizeof *(array))

static struct conf_header_rules rules_of(char **remove, size_t n_remove, struct conf_pair *set,
                                         size_t n_set, struct conf_pair *add, size_t n_add)
{
    return (struct conf_header_rules){.remove = remove,
                                      .set = set,
                                      .add = add,
                                      .n_remove = n_remove,
                                      .n_set = n_set,
                                      .n_add = n_add,
                                      .n = n_remove + n_set + n_add};
}

/* What is added, "Name=value;" each. */
static const char *added(const struct header_rules *rules)
{
    static char text[256];
    const struct conf_pair *pair;
    size_t at = 0, n = 0;
    text[0] = '\0';
    while ((pair = header_rules_next(rules, &at)) != NULL)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s=%s;", pair->name, pair->value);
    assert_null(header_rules_next(rules, &at)); /* and nothing more ever */
    return text;
}

static void test_without_rules_nothing_is_done(void **state)
{
    (void)state;
    const struct conf_header_rules empty = {.n = 0};
    const struct header_rules none[] = {{NULL, NULL}, {&empty, &empty}, {&empty, NULL}};
    for (size_t i = 0; i < N(none); i++) {
        assert_false(header_rules_drop(&none[i], SPAN("A")));
        assert_string_equal(added(&none[i]), "");
    }
}

static void test_what_is_set_comes_before_what_is_added(void **state)
{
    (void)state;
    struct conf_pair set[] = {{"A", "1"}, {"B", "2"}}, add[] = {{"A", "3"}};
    const struct conf_header_rules listener = rules_of(NULL, 0, set, N(set), add, N(add));
    struct header_rules rules = {&listener, NULL};
    assert_string_equal(added(&rules), "A=1;B=2;A=3;");
}

static void test_fields_are_dropped_that_are_removed_or_set_but_not_those_added(void **state)
{
    (void)state;
    char *remove[] = {"Gone"};
    struct conf_pair set[] = {{"Set-It", "1"}}, add[] = {{"Added", "1"}};
    const struct conf_header_rules one = rules_of(remove, 1, set, 1, add, 1);
    const struct conf_header_rules empty = {.n = 0};
    const struct header_rules both[] = {{&one, NULL}, {&empty, &one}};
    for (size_t i = 0; i < N(both); i++) {
        assert_true(header_rules_drop(&both[i], SPAN("gone")));
        assert_true(header_rules_drop(&both[i], SPAN("SET-it")));
        assert_true(header_rules_drop(&both[i], SPAN("set_it")));
        assert_false(header_rules_drop(&both[i], SPAN("Added")));
        assert_false(header_rules_drop(&both[i], SPAN("Gon")));
        assert_string_equal(added(&both[i]), "Set-It=1;Added=1;");
    }
}

static void test_the_routes_rules_see_what_the_listeners_have_added(void **state)
{
    (void)state;
    char *remove[] = {"a"};
    struct conf_pair listener_set[] = {{"A", "1"}, {"B", "1"}, {"C", "1"}};
    struct conf_pair listener_add[] = {{"A", "2"}, {"B", "2"}, {"C", "2"}};
    struct conf_pair route_set[] = {{"b", "3"}}, route_add[] = {{"C", "3"}};
    const struct conf_header_rules listener = rules_of(NULL, 0, listener_set, 3, listener_add, 3);
    const struct conf_header_rules route = rules_of(remove, 1, route_set, 1, route_add, 1);
    struct header_rules rules = {&listener, &route};
    assert_string_equal(added(&rules), "C=1;C=2;b=3;C=3;");
}

static void test_the_listener_cannot_take_away_what_the_route_adds(void **state)
{
    (void)state;
    char *remove[] = {"A"};
    struct conf_pair set[] = {{"A", "1"}};
    const struct conf_header_rules listener = rules_of(remove, 1, NULL, 0, NULL, 0);
    const struct conf_header_rules route = rules_of(NULL, 0, set, 1, NULL, 0);
    struct header_rules rules = {&listener, &route};
    assert_string_equal(added(&rules), "A=1;");
}

static void test_marked_fields_are_not_forwarded(void **state)
{
    (void)state;
    const uint8_t message[] = "Keep: 1\r\ngone: 2\r\nGONE: 3\r\nGoner: 4\r\n";
    struct h1_field fields[] = {
        {.name_at = 0, .name_n = 4},
        {.name_at = 9, .name_n = 4},
        {.name_at = 18, .name_n = 4},
        {.name_at = 27, .name_n = 5},
    };
    struct h1_lines lines = {.fields = fields, .n_fields = N(fields)};
    char *remove[] = {"Gone"};
    const struct conf_header_rules one = rules_of(remove, 1, NULL, 0, NULL, 0);
    struct header_rules rules = {&one, NULL};
    header_rules_mark(&rules, &lines, message);
    assert_false(fields[0].is_hop);
    assert_true(fields[1].is_hop);
    assert_true(fields[2].is_hop);
    assert_false(fields[3].is_hop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_rules_nothing_is_done),
        cmocka_unit_test(test_what_is_set_comes_before_what_is_added),
        cmocka_unit_test(test_fields_are_dropped_that_are_removed_or_set_but_not_those_added),
        cmocka_unit_test(test_the_routes_rules_see_what_the_listeners_have_added),
        cmocka_unit_test(test_the_listener_cannot_take_away_what_the_route_adds),
        cmocka_unit_test(test_marked_fields_are_not_forwarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
