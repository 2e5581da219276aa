#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "discovery/consul_url.h"

static void assert_url(const char *base, struct conf_service service, struct consul_query query,
                       const char *expected)
{
    query.service = &service;
    char *url = consul_url_build(base, &query);
    assert_string_equal(url, expected);
    free(url);
}

static void test_the_first_question_has_no_index(void **state)
{
    (void)state;
    assert_url("http://127.0.0.1:8500", (struct conf_service){.name = "web"},
               (struct consul_query){.wait_ms = 60000},
               "http://127.0.0.1:8500/v1/health/service/web");
}

static void test_a_blocking_question_has_index_and_wait(void **state)
{
    (void)state;
    assert_url("http://127.0.0.1:8500", (struct conf_service){.name = "web"},
               (struct consul_query){.index = UINT64_MAX, .wait_ms = 60000},
               "http://127.0.0.1:8500/v1/health/service/web?index=18446744073709551615&wait="
               "60000ms");
}

static void test_every_parameter_has_its_place(void **state)
{
    (void)state;
    assert_url("https://consul.example:8501/",
               (struct conf_service){.name = "web",
                                     .datacenter = "dc2",
                                     .tag = "v2",
                                     .filter = "Service.Meta.zone == \"a\""},
               (struct consul_query){.index = 7, .wait_ms = 250, .mode = CONSUL_STALE},
               "https://consul.example:8501/v1/health/service/web?dc=dc2&tag=v2"
               "&filter=Service.Meta.zone%20%3D%3D%20%22a%22&stale&index=7&wait=250ms");
}

static void test_stale_stands_alone_too(void **state)
{
    (void)state;
    assert_url("http://a", (struct conf_service){.name = "web"},
               (struct consul_query){.mode = CONSUL_STALE}, "http://a/v1/health/service/web?stale");
}

static void test_a_base_may_have_a_path(void **state)
{
    (void)state;
    assert_url("http://gate/consul//", (struct conf_service){.name = "web"},
               (struct consul_query){.index = 0}, "http://gate/consul/v1/health/service/web");
}

static void test_nothing_in_a_name_can_leave_its_place(void **state)
{
    (void)state;
    assert_url("http://a",
               (struct conf_service){.name = "../../agent/self?x=#%00 \n\r\xc3\xa9+&;=~-._",
                                     .tag = "a&index=0"},
               (struct consul_query){.index = 3, .wait_ms = 1},
               "http://a/v1/health/service/..%2F..%2Fagent%2Fself%3Fx%3D%23%2500%20%0A%0D%C3%A9"
               "%2B%26%3B%3D~-._?tag=a%26index%3D0&index=3&wait=1ms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_question_has_no_index),
        cmocka_unit_test(test_a_blocking_question_has_index_and_wait),
        cmocka_unit_test(test_every_parameter_has_its_place),
        cmocka_unit_test(test_stale_stands_alone_too),
        cmocka_unit_test(test_a_base_may_have_a_path),
        cmocka_unit_test(test_nothing_in_a_name_can_leave_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
