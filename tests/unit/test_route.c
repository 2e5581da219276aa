#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "balancer/http/route.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The index of the route found, or -1. */
static int found(const struct route_table *table, const struct conf_route *routes, const char *host,
                 const char *path)
{
    const struct conf_route *route = route_find(table, span_of(host), span_of(path));
    return route == NULL ? -1 : (int)(route - routes);
}

static void test_a_configured_path_is_normalised_too(void **state)
{
    (void)state;
    static struct conf_route routes[] = {{.path = "/a/../b//c"}, {.path = "/%61"}};
    struct route_table *table = route_table_new(routes, COUNT(routes));
    assert_int_equal(found(table, routes, "x", "/b/c/d"), 0);
    assert_int_equal(found(table, routes, "x", "/a"), 1);
    route_table_free(table);
}

static void test_no_routes_match_nothing(void **state)
{
    (void)state;
    struct route_table *table = route_table_new(NULL, 0);
    assert_null(route_find(table, SPAN("a"), SPAN("/")));
    assert_null(route_find(table, SPAN(""), SPAN("")));
    route_table_free(table);
    route_table_free(NULL);
}

static void test_the_most_specific_host_wins_whatever_the_order(void **state)
{
    (void)state;
    static struct conf_route routes[] = {
        {.host = NULL, .path = "/"},
        {.host = "*.example.com", .path = "/"},
        {.host = "*.a.example.com", .path = "/"},
        {.host = "www.example.com", .path = "/"},
        {.host = "*.com", .path = "/"},
        {.host = "[::1]", .path = "/"},
        {.host = "127.0.0.1", .path = "/"},
    };
    static const struct {
        const char *authority;
        int expected;
    } cases[] = {
        {"www.example.com", 3},
        {"www.example.com:80", 3},
        {"WWW.eXample.COM:8080", 3},
        {"www.example.com.", 3},
        {"www.example.com.:80", 3},
        {"www.example.com:", 3},
        {"b.example.com", 1},
        {"c.b.example.com", 1},
        {"b.a.example.com", 2},
        {"c.b.a.Example.com.:1", 2},
        {"a.example.com", 1},
        {"example.com", 4},
        {"x.com", 4},
        {"com", 0},
        {".com", 0},
        {".example.com", 0},
        {"xexample.com", 4},
        {"example.org", 0},
        {"", 0},
        {".", 0},
        {"..", 0},
        {"[::1]", 5},
        {"[::1]:80", 5},
        {"[::2]", 0},
        {"127.0.0.1", 6},
        {"127.0.0.1:99", 6},
        {"127.0.0.10", 0},
        {"www.example.com..", 0},
        {"1.127.0.0.1", 0},
    };
    struct route_table *table = route_table_new(routes, COUNT(routes));
    for (size_t i = 0; i < COUNT(cases); i++) {
        int index = found(table, routes, cases[i].authority, "/x");
        if (index != cases[i].expected)
            fail_msg("%s goes to %d", cases[i].authority, index);
    }
    route_table_free(table);
}

static void test_the_longest_path_wins_on_segment_borders(void **state)
{
    (void)state;
    static struct conf_route routes[] = {
        {.host = NULL, .path = "/"},        {.host = NULL, .path = "/img"},
        {.host = NULL, .path = "/img/a"},   {.host = NULL, .path = "/dir/"},
        {.host = NULL, .path = "/img/a/b"},
    };
    static const struct {
        const char *path;
        int expected;
    } cases[] = {
        {"/", 0},       {"", 0},        {"*", 0},        {"/im", 0},        {"/img", 1},
        {"/img/", 1},   {"/img/x", 1},  {"/images", 0},  {"/IMG", 0},       {"/img/a", 2},
        {"/img/ab", 1}, {"/img/a/", 2}, {"/img/a/b", 4}, {"/img/a/b/c", 4}, {"/dir", 0},
        {"/dir/", 3},   {"/dir/x", 3},  {"/img;x", 0},
    };
    struct route_table *table = route_table_new(routes, COUNT(routes));
    for (size_t i = 0; i < COUNT(cases); i++) {
        int index = found(table, routes, "a", cases[i].path);
        if (index != cases[i].expected)
            fail_msg("%s goes to %d", cases[i].path, index);
    }
    route_table_free(table);
}

static void test_a_host_without_the_path_falls_back_to_less_specific_ones(void **state)
{
    (void)state;
    static struct conf_route routes[] = {
        {.host = "www.example.com", .path = "/only"},
        {.host = "*.example.com", .path = "/wild"},
        {.host = "*.com", .path = "/com"},
        {.host = NULL, .path = "/any"},
    };
    struct route_table *table = route_table_new(routes, COUNT(routes));
    assert_int_equal(found(table, routes, "www.example.com", "/only"), 0);
    assert_int_equal(found(table, routes, "www.example.com", "/wild/x"), 1);
    assert_int_equal(found(table, routes, "www.example.com", "/com"), 2);
    assert_int_equal(found(table, routes, "www.example.com", "/any"), 3);
    assert_int_equal(found(table, routes, "www.example.com", "/none"), -1);
    assert_int_equal(found(table, routes, "example.com", "/wild"), -1);
    assert_int_equal(found(table, routes, "", "/any"), 3);
    route_table_free(table);
}

static void test_of_equal_routes_the_first_is_taken(void **state)
{
    (void)state;
    static struct conf_route routes[] = {
        {.host = "b", .path = "/"},  {.host = "a", .path = "/"},  {.host = "A", .path = "/"},
        {.host = NULL, .path = "/"}, {.host = NULL, .path = "/"},
    };
    struct route_table *table = route_table_new(routes, COUNT(routes));
    assert_int_equal(found(table, routes, "a", "/"), 1);
    assert_int_equal(found(table, routes, "c", "/"), 3);
    route_table_free(table);
}

static void test_a_host_longer_than_any_name_takes_the_routes_of_any_host(void **state)
{
    (void)state;
    static struct conf_route routes[] = {
        {.host = "*.a", .path = "/"},
        {.host = NULL, .path = "/"},
    };
    char host[300];
    memset(host, '.', sizeof(host));
    host[0] = 'x';
    struct route_table *table = route_table_new(routes, COUNT(routes));
    snprintf(host + 253, 3, ".a");
    assert_int_equal(found(table, routes, host, "/"), 0);
    host[253] = '.';
    snprintf(host + 254, 3, ".a");
    assert_int_equal(found(table, routes, host, "/"), 1);
    route_table_free(table);
}

static void test_each_of_many_hosts_is_found(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    static char hosts[MANY][32];
    static struct conf_route routes[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(hosts[i], sizeof(hosts[i]), "%shost-%d.example", i % 2 == 0 ? "" : "*.", i * 7);
        routes[i] = (struct conf_route){.host = hosts[i], .path = "/"};
    }
    struct route_table *table = route_table_new(routes, MANY);
    for (int i = 0; i < MANY; i++) {
        char host[40];
        snprintf(host, sizeof(host), "%s%s", i % 2 == 0 ? "" : "a", hosts[i] + (i % 2));
        assert_int_equal(found(table, routes, host, "/"), i);
    }
    assert_int_equal(found(table, routes, "host-1.example", "/"), -1);
    route_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_routes_match_nothing),
        cmocka_unit_test(test_a_configured_path_is_normalised_too),
        cmocka_unit_test(test_the_most_specific_host_wins_whatever_the_order),
        cmocka_unit_test(test_the_longest_path_wins_on_segment_borders),
        cmocka_unit_test(test_a_host_without_the_path_falls_back_to_less_specific_ones),
        cmocka_unit_test(test_of_equal_routes_the_first_is_taken),
        cmocka_unit_test(test_a_host_longer_than_any_name_takes_the_routes_of_any_host),
        cmocka_unit_test(test_each_of_many_hosts_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
