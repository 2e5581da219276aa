/* What the loss of a connection means for the request on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "balancer/http/reason.h"
#include "balancer/proxy/attempt.h"
#include "balancer/proxy/conn.h"

/* ECONNABORTED is what a connection ends with that somebody on this machine destroys. */
static void test_no_error_of_a_socket_says_that_the_request_was_not_looked_at(void **state)
{
    (void)state;
    static const int errors[] = {0,           ECONNRESET,   ECONNABORTED, ECONNREFUSED, EPIPE,
                                 ETIMEDOUT,   EHOSTUNREACH, ENETUNREACH,  ENETDOWN,     ENETRESET,
                                 EHOSTDOWN,   EPROTO,       EKEYREJECTED, ENOBUFS,      ENOMEM,
                                 ENOPROTOOPT, EACCES,       EPERM};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        const struct conn conn = {.error = errors[i]};
        enum reason reason = attempt_loss_reason(&conn);
        assert_int_equal(reason_retry(reason), RETRY_IDEMPOTENT);
    }
}

/* Whoever looks for a connection: the request itself, or a link that has to give it one of its own.
 */
static void test_what_this_machine_lacks_is_not_the_endpoints_fault(void **state)
{
    (void)state;
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        enum reason reason = attempt_connect_reason(errors[i]);
        assert_int_equal(reason, REASON_NO_DESCRIPTORS);
        assert_int_equal(reason_fault(reason), FAULT_OTHER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_error_of_a_socket_says_that_the_request_was_not_looked_at),
        cmocka_unit_test(test_what_this_machine_lacks_is_not_the_endpoints_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
