/* Certificates by the name that a client asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "balancer/tls/names.h"

#define EC 0
#define RSA 1

static struct names make(void)
{
    struct names names = {0};
    assert_int_equal(names_add(&names, "b.test", 3, EC), 0);
    assert_int_equal(names_add(&names, "a.test", 1, RSA), 0);
    assert_int_equal(names_add(&names, "*.b.test", 2, EC), 0);
    assert_int_equal(names_add(&names, "a.test", 0, EC), 0);
    assert_int_equal(names_add(&names, "a.test", 4, EC), 0);
    names_sort(&names);
    return names;
}

static void test_a_name_has_one_certificate_of_each_kind_the_first_that_stood_there(void **state)
{
    (void)state;
    struct names names = make();
    const struct names_choice *choice = names_find(&names, "a.test");
    assert_non_null(choice);
    assert_int_equal(choice->by_kind[EC], 0);
    assert_int_equal(choice->by_kind[RSA], 1);
    assert_int_equal(choice->by_kind[2], NAMES_NONE);
    assert_int_equal(names_count(&names), 3);
    names_fini(&names);
}

static void test_case_and_a_dot_at_the_end_do_not_count(void **state)
{
    (void)state;
    struct names names = make();
    assert_ptr_equal(names_find(&names, "A.Test."), names_find(&names, "a.test"));
    assert_non_null(names_find(&names, "A.Test."));
    assert_null(names_find(&names, "a.test.."));
    names_fini(&names);
}

static void test_a_wildcard_stands_for_one_label_and_never_before_the_name_itself(void **state)
{
    (void)state;
    struct names names = make();
    const struct names_choice *wild = names_find(&names, "x.b.test");
    assert_non_null(wild);
    assert_int_equal(wild->by_kind[EC], 2);
    assert_int_equal(names_find(&names, "b.test")->by_kind[EC], 3);
    assert_null(names_find(&names, "y.x.b.test"));
    assert_null(names_find(&names, ".b.test"));
    assert_null(names_find(&names, "*.b.test"));
    names_fini(&names);
}

static void test_what_is_no_name_is_found_nowhere(void **state)
{
    (void)state;
    struct names names = make(), none = {0};
    char too_long[300];
    memset(too_long, 'a', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    assert_null(names_find(&names, ""));
    assert_null(names_find(&names, "."));
    assert_null(names_find(&names, too_long));
    names_sort(&none);
    assert_null(names_find(&none, "a.test"));
    names_fini(&names);
    names_fini(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_has_one_certificate_of_each_kind_the_first_that_stood_there),
        cmocka_unit_test(test_case_and_a_dot_at_the_end_do_not_count),
        cmocka_unit_test(test_a_wildcard_stands_for_one_label_and_never_before_the_name_itself),
        cmocka_unit_test(test_what_is_no_name_is_found_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
