/* Cookie affinity's options: what is taken, and every mistake with its place and words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/load.h"

#define SECRET "0123456789abcdef"

/* A pool with this value of `sticky`, which stands in line 5, column 13. */
static const char *file_with(const char *sticky)
{
    static char text[1024];
    int n =
        snprintf(text, sizeof text,
                 "listeners: ':80'\npools:\n  a:\n    endpoints: 'h:1'\n    sticky: %s\n", sticky);
    assert_in_range(n, 1, sizeof text - 1);
    return text;
}

static struct conf *load(const char *sticky)
{
    struct conf_errors errors = {0};
    const char *text = file_with(sticky);
    struct conf *conf = conf_load_text("f", text, strlen(text), &errors);
    conf_errors_print(&errors, stderr);
    assert_non_null(conf);
    conf_errors_fini(&errors);
    return conf;
}

/* Nothing of a secret may be in what is printed. */
static void assert_hidden(const char *printed)
{
    assert_null(strstr(printed, SECRET));
    assert_null(strstr(printed, "hush"));
}

static void assert_errors(const char *sticky, const char *expected)
{
    struct conf_errors errors = {0};
    const char *text = file_with(sticky);
    char *printed = NULL;
    size_t n = 0;
    struct conf *conf = conf_load_text("f", text, strlen(text), &errors);
    FILE *out = open_memstream(&printed, &n);
    assert_non_null(out);
    conf_errors_print(&errors, out);
    fclose(out);
    conf_errors_fini(&errors);
    assert_null(conf);
    assert_string_equal(printed, expected);
    assert_hidden(printed);
    free(printed);
}

/* ---- what is taken */

static void test_a_pool_without_the_section_has_no_cookie(void **state)
{
    (void)state;
    struct conf *conf = load("");
    assert_null(conf->pools[0].sticky.name);
    assert_null(conf->pools[0].sticky.secret);
    conf_free(conf);
}

static void test_a_name_alone_has_all_defaults(void **state)
{
    (void)state;
    struct conf *conf = load("SID");
    const struct conf_sticky *sticky = &conf->pools[0].sticky;
    assert_string_equal(sticky->name, "SID");
    assert_null(sticky->secret);
    assert_int_equal(sticky->secret_n, 0);
    assert_null(sticky->secret_file);
    assert_int_equal(sticky->max_age_ms, 0);
    assert_string_equal(sticky->path, "/");
    assert_null(sticky->domain);
    assert_false(sticky->secure);
    assert_true(sticky->http_only);
    assert_int_equal(sticky->same_site, CONF_SAME_SITE_LAX);
    assert_false(sticky->strip);
    conf_free(conf);
}

static void test_every_option_is_taken(void **state)
{
    (void)state;
    struct conf *conf = load("{ name: __Secure-s.1, secret: '" SECRET "', max_age: 2h, path: /app,"
                             " domain: .Example.COM, secure: true, http_only: false,"
                             " same_site: none, strip: true }");
    const struct conf_sticky *sticky = &conf->pools[0].sticky;
    assert_string_equal(sticky->name, "__Secure-s.1");
    assert_string_equal(sticky->secret, SECRET);
    assert_int_equal(sticky->secret_n, 16);
    assert_int_equal(sticky->max_age_ms, 7200000);
    assert_string_equal(sticky->path, "/app");
    assert_string_equal(sticky->domain, "example.com");
    assert_true(sticky->secure);
    assert_false(sticky->http_only);
    assert_int_equal(sticky->same_site, CONF_SAME_SITE_NONE);
    assert_true(sticky->strip);
    conf_free(conf);
}

/* ---- secrets in files */

static char folder[] = "/tmp/test_conf_sticky.XXXXXX";

static const char *secret_path(void)
{
    static char path[sizeof folder + 16];
    snprintf(path, sizeof path, "%s/secret", folder);
    return path;
}

static void write_secret(const void *bytes, size_t n)
{
    FILE *out = fopen(secret_path(), "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static const char *with_file(const char *format)
{
    static char sticky[256];
    snprintf(sticky, sizeof sticky, "%s, secret_file: %s }", format, secret_path());
    return sticky;
}

static void assert_secret(const void *bytes, size_t n, const void *expected, size_t n_expected)
{
    write_secret(bytes, n);
    struct conf *conf = load(with_file("{ name: SID"));
    const struct conf_sticky *sticky = &conf->pools[0].sticky;
    assert_int_equal(sticky->secret_n, n_expected);
    assert_memory_equal(sticky->secret, expected, n_expected);
    assert_string_equal(sticky->secret_file, secret_path());
    conf_free(conf);
}

static void test_a_secret_is_read_without_its_line_end(void **state)
{
    (void)state;
    assert_secret(SECRET, 16, SECRET, 16);
    assert_secret(SECRET "\n", 17, SECRET, 16);
    assert_secret(SECRET "\r\n", 18, SECRET, 16);
    assert_secret("\n" SECRET " \n", 19, "\n" SECRET " ", 18);
}

static void test_a_secret_may_be_any_bytes_up_to_4096(void **state)
{
    (void)state;
    static char bytes[4097];
    memset(bytes, 0xff, sizeof bytes);
    bytes[0] = '\0';
    assert_secret(bytes, 4096, bytes, 4096);
    bytes[4096] = '\n';
    assert_secret(bytes, 4097, bytes, 4096);
}

static void assert_file_error(const char *what)
{
    char expected[256];
    /* The place of the value depends on nothing but the text before it. */
    snprintf(expected, sizeof expected, "f:5:39: pools.a.sticky.secret_file: %s\n", what);
    assert_errors(with_file("{ name: SID"), expected);
}

static void test_a_secret_file_of_a_wrong_size_is_a_mistake(void **state)
{
    (void)state;
    static char bytes[5000];
    write_secret("hush\n", 5);
    assert_file_error("found a file of fewer bytes, expected 16 to 4096");
    write_secret(SECRET, 15);
    assert_file_error("found a file of fewer bytes, expected 16 to 4096");
    write_secret("hush\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 20);
    assert_file_error("found a file of fewer bytes, expected 16 to 4096");
    memset(bytes, 'x', sizeof bytes);
    write_secret(bytes, 4097);
    assert_file_error("found a file of more bytes, expected 16 to 4096");
    write_secret(bytes, sizeof bytes);
    assert_file_error("found a file of more bytes, expected 16 to 4096");
}

static void test_a_secret_file_that_cannot_be_read_is_a_mistake(void **state)
{
    (void)state;
    unlink(secret_path());
    assert_file_error("cannot be read: No such file or directory");
    assert_int_equal(mkdir(secret_path(), 0700), 0);
    assert_file_error("found something else, expected a regular file");
    assert_int_equal(rmdir(secret_path()), 0);
    /* Nobody writes to it: reading would wait for ever. */
    assert_int_equal(mkfifo(secret_path(), 0600), 0);
    assert_file_error("found something else, expected a regular file");
    assert_int_equal(unlink(secret_path()), 0);
}

static void test_a_secret_and_a_file_of_one_are_one_too_many(void **state)
{
    (void)state;
    write_secret(SECRET, 16);
    assert_errors(with_file("{ name: SID, secret: hushhushhushhush"),
                  "f:5:65: pools.a.sticky.secret_file: found secret and secret_file, expected one "
                  "of them\n");
}

/* ---- mistakes */

static void test_a_name_must_be_there_and_be_a_token(void **state)
{
    (void)state;
    assert_errors("{ secret: " SECRET " }",
                  "f:5:5: pools.a.sticky.name: missing, expected a name of letters, digits and any "
                  "of !#$%&'*+-.^_`|~\n");
    static const char *const names[] = {"a b", "a=b", "a;b", "a,b", "", "\\\"a\\\"", "\\u00e4"};
    static const char *const quoted[] = {"a b", "a=b", "a;b", "a,b", "", "\\\"a\\\"", "\u00e4"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char sticky[64];
        char expected[256];
        snprintf(sticky, sizeof sticky, "\"%s\"", names[i]);
        snprintf(expected, sizeof expected,
                 "f:5:13: pools.a.sticky: found \"%s\", expected a name of letters, digits and any "
                 "of !#$%%&'*+-.^_`|~\n",
                 quoted[i]);
        assert_errors(sticky, expected);
    }
}

static void test_a_secret_of_a_wrong_size_is_a_mistake_and_stays_one(void **state)
{
    (void)state;
    assert_errors("{ name: SID, secret: hush }",
                  "f:5:34: pools.a.sticky.secret: found fewer bytes, expected 16 to 4096\n");
    assert_errors("{ name: SID, secret: \"hush\\nhushhushhush\" }",
                  "f:5:34: pools.a.sticky.secret: found a value not shown here, expected text "
                  "without control characters\n");
    assert_errors("{ name: SID, secret: [hush] }",
                  "f:5:34: pools.a.sticky.secret: found a list, expected text without control "
                  "characters\n");
}

static void test_attributes_that_would_break_the_field_are_mistakes(void **state)
{
    (void)state;
    assert_errors("{ name: SID, path: '/a;b' }",
                  "f:5:32: pools.a.sticky.path: found a semicolon, expected a path without one\n");
    assert_errors(
        "{ name: SID, path: a }",
        "f:5:32: pools.a.sticky.path: found \"a\", expected a path that begins with / and "
        "has no spaces\n");
    static const char *const domains[] = {"a b", "a;b", "127.0.0.1", "..a", "."};
    for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++) {
        char sticky[64];
        char expected[256];
        snprintf(sticky, sizeof sticky, "{ name: SID, domain: '%s' }", domains[i]);
        snprintf(expected, sizeof expected,
                 "f:5:34: pools.a.sticky.domain: found \"%s\", expected a host name such as "
                 "`example.com`\n",
                 domains[i]);
        assert_errors(sticky, expected);
    }
}

static void test_ages_are_whole_seconds(void **state)
{
    (void)state;
    assert_errors("{ name: SID, max_age: 1500ms }",
                  "f:5:35: pools.a.sticky.max_age: found a fraction of a second, expected whole "
                  "seconds\n");
    struct conf *conf = load("{ name: SID, max_age: 9600h }");
    assert_int_equal(conf->pools[0].sticky.max_age_ms, UINT64_C(400) * 24 * 3600 * 1000);
    conf_free(conf);
}

static void test_what_browsers_would_drop_is_a_mistake(void **state)
{
    (void)state;
    assert_errors("{ name: SID, same_site: none }",
                  "f:5:37: pools.a.sticky.same_site: found `none` without secure, expected both\n");
    assert_errors("{ name: __Secure-SID }",
                  "f:5:21: pools.a.sticky.name: found the prefix of a secure cookie, expected "
                  "secure with it\n");
    assert_errors("{ name: __Host-SID, secure: true, path: /a }",
                  "f:5:21: pools.a.sticky.name: found the prefix __Host-, expected no domain and "
                  "the path / with it\n");
    assert_errors("__Host-SID", "f:5:13: pools.a.sticky.name: found the prefix of a secure cookie, "
                                "expected secure with it\n");
    conf_free(load("{ name: __Host-SID, secure: true, same_site: none }"));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(secret_path());
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pool_without_the_section_has_no_cookie),
        cmocka_unit_test(test_a_name_alone_has_all_defaults),
        cmocka_unit_test(test_every_option_is_taken),
        cmocka_unit_test(test_a_secret_is_read_without_its_line_end),
        cmocka_unit_test(test_a_secret_may_be_any_bytes_up_to_4096),
        cmocka_unit_test(test_a_secret_file_of_a_wrong_size_is_a_mistake),
        cmocka_unit_test(test_a_secret_file_that_cannot_be_read_is_a_mistake),
        cmocka_unit_test(test_a_secret_and_a_file_of_one_are_one_too_many),
        cmocka_unit_test(test_a_name_must_be_there_and_be_a_token),
        cmocka_unit_test(test_a_secret_of_a_wrong_size_is_a_mistake_and_stays_one),
        cmocka_unit_test(test_attributes_that_would_break_the_field_are_mistakes),
        cmocka_unit_test(test_ages_are_whole_seconds),
        cmocka_unit_test(test_what_browsers_would_drop_is_a_mistake),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
