/*
 * What sources ask for, and the merge, when memory runs out: each allocation fails once, and
 * nothing is left behind or half done. The sources are compiled into this test with an allocator
 * that counts, in place of the library's.
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

static int counted_asprintf(char **ret_text, const char *format, const char *a, const char *b,
                            const char *c);

#define malloc counted_malloc
#define calloc counted_calloc
#undef strdup
#define strdup counted_strdup
#define asprintf counted_asprintf
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "balancer/control/merge.c"
#include "balancer/control/wanted.c"
/* NOLINTEND(bugprone-suspicious-include) */
#undef malloc
#undef calloc
#undef strdup
#undef asprintf

static int counted_asprintf(char **ret_text, const char *format, const char *a, const char *b,
                            const char *c)
{
    (void)format;
    return must_fail() ? -1 : asprintf(ret_text, "%s/%s/%s", a, b, c);
}

enum { N_INSTANCES = 3, MAX_ALLOCATIONS = 50 };

/* Whether the allocation that was to fail has been met; all succeed from now on. */
static bool has_failed(void)
{
    bool failed = until_failure < 0;
    until_failure = -1;
    return failed;
}

static void fill(struct instance list[N_INSTANCES])
{
    static const char *const metas[N_INSTANCES] = {"s1", "s2", NULL};
    for (int i = 0; i < N_INSTANCES; i++)
        list[i] = (struct instance){.datacenter = (char *)"dc",
                                    .node = (char *)"n",
                                    .service_id = (char *)"w",
                                    .host = (char *)"127.0.0.1",
                                    .port = (uint16_t)(i + 1),
                                    .weight = 1,
                                    .meta = (char *)metas[i]};
    list[1].service_id = (char *)"v";
    list[2].service_id = (char *)"u";
}

static void check_wanting(enum conf_identity_source identity)
{
    struct conf_endpoint endpoints[] = {
        {.host = (char *)"127.0.0.1", .port = 98, .weight = 1, .id = (char *)"fixed"},
        {.host = (char *)"127.0.0.1", .port = 99, .weight = 1},
    };
    const struct conf_pool conf = {
        .endpoints = endpoints, .n_endpoints = 2, .identity.source = identity};
    struct instance list[N_INSTANCES];
    fill(list);
    const struct instance_set set = {.list = list, .n = N_INSTANCES};
    bool failed = true;
    for (long i = 0; failed; i++) {
        assert_true(i < MAX_ALLOCATIONS);
        struct wanted_list wanted = {.items = NULL};
        until_failure = i;
        int error = wanted_list_build(&conf, &set, &wanted);
        failed = has_failed();
        assert_int_equal(error, failed ? -ENOMEM : 0);
        if (failed)
            continue;
        assert_int_equal(wanted.n, N_INSTANCES + 2);
        wanted_list_free(&wanted);
    }
}

static void test_wanting_fails_whole(void **state)
{
    (void)state;
    check_wanting(CONF_IDENTITY_ADDRESS);
    check_wanting(CONF_IDENTITY_SERVICE);
    check_wanting(CONF_IDENTITY_META);
}

static bool admit_one(void *context, const struct wanted *wanted, struct tracked *ret_tracked)
{
    (void)wanted, (void)ret_tracked;
    ++*(int *)context;
    return false;
}

static void test_a_merge_without_memory_asks_for_nothing(void **state)
{
    (void)state;
    char id[] = "a";
    struct wanted item = {.id = id, .host = "127.0.0.1", .port = 1};
    const struct wanted_list wanted = {.items = &item, .n = 1};
    const struct merge_ops ops = {.admit = admit_one};
    struct tracked_list list = {.items = NULL};
    int n_admitted = 0;
    until_failure = 0;
    assert_int_equal(merge(&list, &wanted, &ops, &n_admitted), -ENOMEM);
    assert_int_equal(n_admitted, 0);
    assert_int_equal(merge(&list, &wanted, &ops, &n_admitted), 0);
    assert_int_equal(n_admitted, 1);
    tracked_list_fini(&list);
}

static void test_members_come_whole_or_not(void **state)
{
    (void)state;
    const struct tracked_list list = {.items = NULL};
    for (long i = 0; i < 3; i++) {
        until_failure = i;
        struct member *members = tracked_members(&list);
        bool failed = has_failed();
        assert_int_equal(failed, i < 2);
        assert_int_equal(members == NULL, failed);
        free(members);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanting_fails_whole),
        cmocka_unit_test(test_a_merge_without_memory_asks_for_nothing),
        cmocka_unit_test(test_members_come_whole_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
