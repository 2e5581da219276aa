/* Listening sockets, as clients meet them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/proxy/listener.h"

#define WAIT_MS 5000

static char host[] = "127.0.0.1";

static int open_listener(bool defer_accept)
{
    const struct conf_listener conf = {.host = host, .backlog = 16, .defer_accept = defer_accept};
    int fd = -1;
    assert_int_equal(listener_open(&conf, LISTENER_ALONE, &fd), 0);
    return fd;
}

static int connect_to(int listener)
{
    struct sockaddr_in address;
    socklen_t n = sizeof address;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &n), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, n), 0);
    return fd;
}

static bool has_connection(int listener, int timeout_ms)
{
    struct pollfd watched = {.fd = listener, .events = POLLIN};
    return poll(&watched, 1, timeout_ms) == 1;
}

static void test_a_connection_is_there_before_its_first_bytes(void **state)
{
    (void)state;
    int listener = open_listener(false), client = connect_to(listener);
    assert_true(has_connection(listener, WAIT_MS));
    close(client);
    close(listener);
}

static void test_a_deferred_connection_is_there_with_its_first_bytes(void **state)
{
    (void)state;
    char byte = 0;
    int listener = open_listener(true), client = connect_to(listener);
    assert_false(has_connection(listener, 0)); /* over loopback it would be there already */
    assert_int_equal(send(client, "x", 1, 0), 1);
    assert_true(has_connection(listener, WAIT_MS));
    int accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(recv(accepted, &byte, 1, MSG_DONTWAIT), 1);
    close(accepted);
    close(client);
    close(listener);
}

static void test_a_deferred_connection_that_says_nothing_comes_in_the_end(void **state)
{
    (void)state;
    int listener = open_listener(true), client = connect_to(listener);
    assert_true(has_connection(listener, WAIT_MS));
    close(client);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_is_there_before_its_first_bytes),
        cmocka_unit_test(test_a_deferred_connection_is_there_with_its_first_bytes),
        cmocka_unit_test(test_a_deferred_connection_that_says_nothing_comes_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
