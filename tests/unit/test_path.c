#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "balancer/http/path.h"

static void assert_normal_form(const char *path, const char *expected)
{
    struct span span = span_of(path);
    uint8_t *room = malloc(span.n); /* of just this size, for the sanitizer to watch */
    assert_non_null(room);
    size_t n = path_normalize(span, room);
    if (n != strlen(expected) || memcmp(room, expected, n) != 0)
        fail_msg("%s became %.*s, not %s", path, (int)n, (const char *)room, expected);
    /* The normal form of a normal form is itself. */
    uint8_t *again = malloc(n);
    assert_non_null(again);
    assert_int_equal(path_normalize((struct span){room, n}, again), n);
    assert_memory_equal(again, room, n);
    free(again);
    free(room);
    if (path_is_plain(span))
        assert_string_equal(path, expected);
}

static void test_a_plain_path_stays(void **state)
{
    (void)state;
    static const char *const paths[] = {"/",      "/a",    "/a/b.c/", "/a.b/..c/d..",
                                        "/a;x=1", "/~a_b", "/a/b..",  "/a:@!$&'()*+,="};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_normal_form(paths[i], paths[i]);
    assert_true(path_is_plain(SPAN("/a/b.c/d")));
    assert_true(path_is_plain(SPAN("/")));
}

static void test_dot_segments_are_removed(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/.", "/"},
        {"/..", "/"},
        {"/./a", "/a"},
        {"/../a", "/a"},
        {"/a/.", "/a/"},
        {"/a/..", "/"},
        {"/a/../b", "/b"},
        {"/a/b/../../c", "/c"},
        {"/a/b/c/./../../g", "/a/g"}, /* RFC 3986 section 5.2.4 */
        {"/../../../etc", "/etc"},
        {"/a/../../b", "/b"},
        {"/a/...", "/a/..."},
        {"/a/.../b/..", "/a/.../"},
        {"/img/../admin", "/admin"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_normal_form(cases[i][0], cases[i][1]);
}

static void test_empty_segments_are_dropped(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"//", "/"},        {"//a", "/a"},       {"/a//b", "/a/b"},     {"/a///", "/a/"},
        {"/a//../b", "/b"}, {"//../a//", "/a/"}, {"/a/.//./b", "/a/b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_normal_form(cases[i][0], cases[i][1]);
}

static void test_escapes_of_unreserved_characters_are_decoded(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/%61dmin", "/admin"},
        {"/%2e%2e/a", "/a"},
        {"/a/%2E%2e/b", "/b"},
        {"/a/.%2e", "/"},
        {"/%7euser", "/~user"},
        {"/a%2fb", "/a%2Fb"},
        {"/a/..%2fb", "/a/..%2Fb"},
        {"/a%2f..%2fb", "/a%2F..%2Fb"},
        {"/a%3bb;c", "/a%3Bb;c"},
        {"/%252e%252e/a", "/%252e%252e/a"}, /* decoded once, not twice */
        {"/%00", "/%00"},
        {"/%c3%a9", "/%C3%A9"},
        {"/%", "/%"},
        {"/%4", "/%4"},
        {"/%zz", "/%zz"},
        {"/a/..;/b", "/a/..;/b"}, /* a segment with a parameter is no dot segment */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_normal_form(cases[i][0], cases[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_path_stays),
        cmocka_unit_test(test_dot_segments_are_removed),
        cmocka_unit_test(test_empty_segments_are_dropped),
        cmocka_unit_test(test_escapes_of_unreserved_characters_are_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
