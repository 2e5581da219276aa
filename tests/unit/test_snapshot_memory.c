/*
 * Endpoints, snapshots and pools when memory runs out: each allocation fails once, and nothing is
 * left behind or half done. The sources are compiled into this test with an allocator that counts,
 * in place of the library's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "failing_memory.h"

#define calloc counted_calloc
#define aligned_alloc counted_aligned_alloc
#undef strdup
#define strdup counted_strdup
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "balancer/control/snapshot_build.c"
#include "balancer/policy/policy_random_two.c"
#include "balancer/pool/endpoint.c"
#include "balancer/pool/pool.c"
#include "balancer/pool/snapshot.c"
#include "balancer/pool/sticky.c"
/* NOLINTEND(bugprone-suspicious-include) */
#undef calloc
#undef aligned_alloc
#undef strdup

#include "policy_support.h"

/* Whether the allocation that was to fail has been met; all succeed from now on. */
static bool has_failed(void)
{
    bool failed = until_failure < 0;
    until_failure = -1;
    return failed;
}

static void test_making_an_endpoint_fails_whole(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET};
    for (long i = 0; i < 4; i++) {
        until_failure = i;
        struct endpoint *endpoint =
            endpoint_new("a", "b", (const struct sockaddr *)&address, sizeof address, 2);
        bool failed = has_failed();
        assert_int_equal(failed, i < 3);
        assert_int_equal(endpoint == NULL, failed);
        endpoint_unref(endpoint);
    }
}

static void test_making_a_pool_fails_whole(void **state)
{
    (void)state;
    struct conf_pool conf = bench_conf(CONF_ALGORITHM_HASH);
    for (long i = 0; i < 3; i++) {
        struct pool pool;
        until_failure = i;
        int error = pool_init(&pool, &conf, 2);
        bool failed = has_failed();
        assert_int_equal(failed, i < 2);
        assert_int_equal(error, failed ? -ENOMEM : 0);
        if (!failed)
            pool_fini(&pool);
    }
}

static void test_making_a_snapshot_fails_whole(void **state)
{
    (void)state;
    struct conf_pool conf = bench_conf(CONF_ALGORITHM_HASH);
    struct member member = {bench_endpoint(0), 1};
    conf.sticky.name = (char *)"SID";
    for (long i = 0; i < 4; i++) {
        struct snapshot *snapshot = NULL;
        until_failure = i;
        int error = snapshot_build(&conf, &member, 1, NULL, &snapshot);
        bool failed = has_failed();
        assert_int_equal(failed, i < 3);
        assert_int_equal(error, failed ? -ENOMEM : 0);
        assert_int_equal(snapshot == NULL, failed);
        snapshot_unref(snapshot);
        assert_int_equal(atomic_load(&member.endpoint->references), 1);
    }
    endpoint_unref(member.endpoint);
}

static void test_making_a_policys_state_fails_whole(void **state)
{
    (void)state;
    static struct bench bench;
    bench_init(&bench, CONF_ALGORITHM_RANDOM_TWO, 5, NULL);
    for (long i = 0; i < 5; i++) {
        until_failure = i;
        struct policy_state *policy_state = policy_state_new(bench.snapshot, 1);
        bool failed = has_failed();
        assert_int_equal(failed, i < 4);
        assert_int_equal(policy_state == NULL, failed);
        policy_state_free(bench.snapshot, policy_state);
    }
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_making_an_endpoint_fails_whole),
        cmocka_unit_test(test_making_a_pool_fails_whole),
        cmocka_unit_test(test_making_a_snapshot_fails_whole),
        cmocka_unit_test(test_making_a_policys_state_fails_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
