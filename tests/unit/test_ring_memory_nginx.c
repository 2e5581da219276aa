/* The ring of nginx when memory runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define RING_IS_CIRCLE
#define RING_SOURCE "hashring/nginx.c"
#define RING_OPTIONS                                                                               \
    {                                                                                              \
        .kind = RING_NGINX                                                                         \
    }
#include "ring_memory.h"

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_making_a_ring_fails_whole),
        cmocka_unit_test(test_deriving_a_ring_fails_whole_and_leaves_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
