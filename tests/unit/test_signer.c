/* Which secret a pool's endpoints are signed with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "balancer/control/signer.h"
#include "policy_support.h"

static struct conf_pool pool_with(const char *cookie, const char *secret)
{
    struct conf_pool conf = bench_conf(CONF_ALGORITHM_ROUND_ROBIN);
    conf.sticky.name = (char *)cookie;
    conf.sticky.secret = (char *)secret;
    conf.sticky.secret_n = secret != NULL ? strlen(secret) : 0;
    return conf;
}

/* The value that a signer of this pool gives endpoint number 3. */
static void value_of(const struct conf_pool *conf, char ret_value[STICKY_VALUE_SIZE])
{
    struct signer signer;
    struct endpoint *endpoint = bench_endpoint(3);
    assert_int_equal(signer_init(&signer, conf), 0);
    signer_sign(&signer, endpoint);
    memcpy(ret_value, endpoint->cookie, STICKY_VALUE_SIZE);
    endpoint_unref(endpoint);
}

static void test_without_affinity_endpoints_have_no_value(void **state)
{
    (void)state;
    struct conf_pool conf = pool_with(NULL, NULL);
    char value[STICKY_VALUE_SIZE];
    value_of(&conf, value);
    assert_string_equal(value, "");
}

static void test_the_configured_secret_gives_the_same_value_everywhere(void **state)
{
    (void)state;
    struct conf_pool conf = pool_with("SID", "0123456789abcdef");
    char value[STICKY_VALUE_SIZE];
    char expected[STICKY_VALUE_SIZE];
    assert_int_equal(sticky_value(SPAN("0123456789abcdef"), "bench", "e0003", expected), 0);
    value_of(&conf, value);
    assert_string_equal(value, expected);
}

static void test_without_a_secret_every_start_has_its_own(void **state)
{
    (void)state;
    struct conf_pool conf = pool_with("SID", NULL);
    char first[STICKY_VALUE_SIZE];
    char second[STICKY_VALUE_SIZE];
    value_of(&conf, first);
    value_of(&conf, second);
    assert_int_equal(strlen(first), STICKY_VALUE_LEN);
    assert_string_not_equal(first, second);
}

static void test_a_signer_keeps_its_secret(void **state)
{
    (void)state;
    struct conf_pool conf = pool_with("SID", NULL);
    struct signer signer;
    struct endpoint *const endpoints[] = {bench_endpoint(1), bench_endpoint(1)};
    assert_int_equal(signer_init(&signer, &conf), 0);
    for (size_t i = 0; i < 2; i++)
        signer_sign(&signer, endpoints[i]);
    assert_string_equal(endpoints[0]->cookie, endpoints[1]->cookie);
    for (size_t i = 0; i < 2; i++)
        endpoint_unref(endpoints[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_affinity_endpoints_have_no_value),
        cmocka_unit_test(test_the_configured_secret_gives_the_same_value_everywhere),
        cmocka_unit_test(test_without_a_secret_every_start_has_its_own),
        cmocka_unit_test(test_a_signer_keeps_its_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
