/*
 * Loading when memory runs out: each allocation of a load fails once.
 *
 * The sources that allocate are compiled into this test with an allocator that counts, in place of
 * the library's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failing_memory.h"

static FILE *counted_memstream(char **ret_text, size_t *ret_n)
{
    return must_fail() ? NULL : open_memstream(ret_text, ret_n);
}

#define malloc counted_malloc
#define calloc counted_calloc
#define realloc counted_realloc
#undef strdup
#define strdup counted_strdup
#define open_memstream counted_memstream
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "conf/arena.c"
#include "conf/check.c"
#include "conf/check_sticky.c"
#include "conf/conf.c"
#include "conf/errors.c"
#include "conf/fill.c"
/* NOLINTEND(bugprone-suspicious-include) */
#undef malloc
#undef calloc
#undef realloc
#undef strdup
#undef open_memstream

static const char good[] =
    "listeners: [':80', { address: '127.0.0.1:81',\n"
    "              tls: { certificates: [a.pem, { acme: [b, c] }], acme: d },\n"
    "              response_headers: { remove: [a, b], set: { c: d }, add: { e: '' } } }]\n"
    "admin: '127.0.0.1:82'\n"
    "acme: { agree_to_terms: true, contact: 'mailto:a@b', eab: { kid: k, key: abcd } }\n"
    "client: { trusted_proxies: [10.0.0.0/8, '::1'] }\n"
    "consul: { address: ['http://a', 'http://b'], token: t }\n"
    "pools: { a: { endpoints: ['a:1', { address: 'b:1', weight: 2 }], hash_key: header:x,\n"
    "              hash_key_fallback: '{host}{{{json:a.b|lower}',\n"
    "              health_check: { expect: [200, 201] },\n"
    "              sticky: { name: s, secret: 0123456789abcdef, domain: a } } }\n";

static const char bad[] = "listeners: [':80', ':80', x]\n"
                          "workers: 1\nworkers: x\n"
                          "colour: blue\n"
                          "routes: { pool: c, request_headers: { set: { Host: 1, ' ': 2 } } }\n"
                          "pools: { a: { endpoints: ['a:1', 'a:1'], sticky: { name: __Host-s,\n"
                          "         secret: s, secret_file: /, max_age: 1ms } }, 'b c': }\n";

/* Loads text with the allocation number fail_at failing; whether it was reached. A load in want of
 * memory must not succeed, and must say so. */
static bool load_with_failure(const char *text, long fail_at)
{
    struct conf_errors errors = {0};
    until_failure = fail_at;
    struct conf *conf = conf_load_text("f", text, strlen(text), &errors);
    bool has_failed = until_failure < 0;
    until_failure = -1;
    if (has_failed) {
        assert_null(conf);
        assert_true(errors.is_incomplete);
    }
    conf_free(conf);
    conf_errors_fini(&errors);
    return has_failed;
}

static void fail_each(const char *text)
{
    long n = 0;
    while (load_with_failure(text, n))
        n++;
    assert_true(n > 30); /* the allocator is in use */
}

static void test_a_good_file_without_memory_is_not_loaded(void **state)
{
    (void)state;
    fail_each(good);
}

static void test_a_bad_file_without_memory_is_never_taken_for_good(void **state)
{
    (void)state;
    fail_each(bad);
}

static void test_settings_without_memory_are_not_loaded(void **state)
{
    (void)state;
    const struct conf_setting settings[] = {
        {"--listen", "listeners.0.address", ":80"},
        {"--set", "pools.a.endpoints", "a:1"},
        {"--set", "pools.a.endpoints.1", "a:2"},
    };
    for (long n = 0;; n++) {
        struct conf_errors errors = {0};
        until_failure = n;
        struct conf *conf = conf_load_settings(settings, 3, &errors);
        bool has_failed = until_failure < 0;
        until_failure = -1;
        assert_true((conf == NULL) == has_failed);
        assert_true(errors.is_incomplete == has_failed);
        conf_free(conf);
        conf_errors_fini(&errors);
        if (!has_failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_file_without_memory_is_not_loaded),
        cmocka_unit_test(test_a_bad_file_without_memory_is_never_taken_for_good),
        cmocka_unit_test(test_settings_without_memory_are_not_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
