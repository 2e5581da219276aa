#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "balancer/control/memory.h"

/* A hierarchy of cgroups in a folder: ROOT/a/b, each with or without a memory.max. */
struct tree {
    char root[32];
    char a[64], b[64];
};

static void limit(const char *folder, const char *text)
{
    char name[128];
    assert_true((size_t)snprintf(name, sizeof name, "%s/memory.max", folder) < sizeof name);
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    static struct tree tree;
    (void)snprintf(tree.root, sizeof tree.root, "/tmp/quoit-cgroup-XXXXXX");
    assert_non_null(mkdtemp(tree.root));
    (void)snprintf(tree.a, sizeof tree.a, "%s/a", tree.root);
    (void)snprintf(tree.b, sizeof tree.b, "%s/a/b", tree.root);
    assert_int_equal(mkdir(tree.a, 0700), 0);
    assert_int_equal(mkdir(tree.b, 0700), 0);
    *state = &tree;
    return 0;
}

static int teardown(void **state)
{
    struct tree *tree = *state;
    const char *const folders[] = {tree->b, tree->a, tree->root};
    for (int i = 0; i < 3; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s/memory.max", folders[i]);
        (void)unlink(name);
        assert_int_equal(rmdir(folders[i]), 0);
    }
    return 0;
}

static void test_the_narrowest_cgroup_counts(void **state)
{
    struct tree *tree = *state;
    limit(tree->a, "1000000\n");
    limit(tree->b, "5000000\n");
    assert_true(memory_of_cgroup(tree->root, "/a/b") == 1000000);
    limit(tree->b, "400000\n");
    assert_true(memory_of_cgroup(tree->root, "/a/b") == 400000);
    assert_true(memory_of_cgroup(tree->root, "/a") == 1000000);
}

static void test_a_container_sees_its_own_limit_at_the_root(void **state)
{
    struct tree *tree = *state;
    limit(tree->root, "777\n");
    assert_true(memory_of_cgroup(tree->root, "/") == 777);
    assert_true(memory_of_cgroup(tree->root, "") == 777);
    assert_true(memory_of_cgroup(tree->root, "/not/here") == 777);
}

static void test_no_limit_is_none(void **state)
{
    struct tree *tree = *state;
    assert_true(memory_of_cgroup(tree->root, "/a/b") == UINT64_MAX);
    limit(tree->b, "max\n");
    limit(tree->a, "");
    assert_true(memory_of_cgroup(tree->root, "/a/b") == UINT64_MAX);
}

static void test_what_the_operator_says_counts(void **state)
{
    (void)state;
    struct conf conf = {.memory_bytes = 123456, .buffer_bytes = 32768, .workers = 2};
    assert_true(memory_budget(&conf) == 123456);
    conf.memory_bytes = 0;
    assert_true(memory_budget(&conf) == 0);
}

static void test_auto_is_enough_to_run_and_less_than_there_is(void **state)
{
    (void)state;
    struct conf conf = {.memory_bytes = CONF_AUTO_SIZE, .buffer_bytes = 32768, .workers = 2};
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_true(memory_budget(&conf) >= UINT64_C(64) * 32768 * 2);
    assert_true(memory_budget(&conf) <= all / 2);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TREE(test_the_narrowest_cgroup_counts),
        IN_TREE(test_a_container_sees_its_own_limit_at_the_root),
        IN_TREE(test_no_limit_is_none),
        cmocka_unit_test(test_what_the_operator_says_counts),
        cmocka_unit_test(test_auto_is_enough_to_run_and_less_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
