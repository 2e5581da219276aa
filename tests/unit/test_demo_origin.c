/* The demo's origin, over real sockets. Its sources belong to the program, so they stand here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <netinet/in.h>

/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "balancer/cli/demo_origin.c"
#include "balancer/cli/loopback.c"
/* NOLINTEND(bugprone-suspicious-include) */

static int connect_to(const struct demo_origin *origin)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(demo_origin_port(origin)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const struct timeval timeout = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    return fd;
}

/* Sends text and reads until `end` has come or the connection ends. */
static void ask(int fd, const char *text, const char *end, char *answered, size_t size)
{
    size_t n = 0;
    assert_int_equal(send_all(fd, text, strlen(text)), 0);
    answered[0] = '\0';
    while (end == NULL || strstr(answered, end) == NULL) {
        assert_true(n + 1 < size);
        ssize_t got = recv(fd, answered + n, size - 1 - n, 0);
        if (got == 0)
            break;
        assert_true(got > 0);
        n += (size_t)got;
        answered[n] = '\0';
    }
}

static int start(void **state)
{
    struct demo_origin *origin;
    if (demo_origin_start("origin-1", &origin) != 0)
        return -1;
    *state = origin;
    return 0;
}

static int stop(void **state)
{
    demo_origin_stop(*state);
    return 0;
}

static void test_it_says_its_name_and_counts_each_path(void **state)
{
    char answered[4096];
    int fd = connect_to(*state);
    ask(fd, "GET /a?x HTTP/1.1\r\nHost: h\r\n\r\n", "path: 1\n", answered, sizeof(answered));
    assert_non_null(strstr(answered, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(answered, "\r\nX-Origin: origin-1\r\n"));
    assert_non_null(strstr(answered, "origin-1 answers /a; times it has seen this path: 1\n"));
    ask(fd, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "path: 2\n", answered, sizeof(answered));
    ask(fd, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n", "path: 1\n", answered, sizeof(answered));
    close(fd);
}

static void test_it_answers_pipelined_requests_in_order(void **state)
{
    char answered[4096];
    int fd = connect_to(*state);
    ask(fd,
        "GET /p HTTP/1.1\r\nHost: h\r\n\r\n"
        "\r\nGET /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        NULL, answered, sizeof(answered));
    const char *first = strstr(answered, "path: 1\n");
    assert_non_null(first);
    assert_non_null(strstr(first, "path: 2\n"));
    assert_non_null(strstr(first, "Connection: close\r\n"));
    close(fd);
}

static void test_it_reads_bodies_of_every_framing(void **state)
{
    char answered[4096];
    int fd = connect_to(*state);
    ask(fd, "POST /l HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "path: 1\n", answered,
        sizeof(answered));
    ask(fd,
        "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
        "path: 1\n", answered, sizeof(answered));
    ask(fd, "POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        "100 Continue\r\n\r\n", answered, sizeof(answered));
    ask(fd, "ab", "path: 1\n", answered, sizeof(answered));
    close(fd);
}

static void test_an_answer_to_head_has_no_body(void **state)
{
    char answered[4096];
    int fd = connect_to(*state);
    ask(fd, "HEAD /h HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", NULL, answered,
        sizeof(answered));
    const char *end = strstr(answered, "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end, "\r\n\r\n");
    close(fd);
}

static void test_a_broken_request_ends_its_connection_alone(void **state)
{
    char answered[4096];
    int broken = connect_to(*state);
    int fine = connect_to(*state);
    ask(broken, "nonsense\r\n\r\n", NULL, answered, sizeof(answered));
    assert_string_equal(answered, "");
    ask(fine, "GET /f HTTP/1.1\r\nHost: h\r\n\r\n", "path: 1\n", answered, sizeof(answered));
    close(broken);
    close(fine);
}

static void test_more_connections_than_it_takes_wait(void **state)
{
    char answered[4096];
    int fds[MAX_CONNECTIONS + 1];
    for (size_t i = 0; i <= MAX_CONNECTIONS; i++)
        fds[i] = connect_to(*state);
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        close(fds[i]);
    ask(fds[MAX_CONNECTIONS], "GET /m HTTP/1.1\r\nHost: h\r\n\r\n", "path: 1\n", answered,
        sizeof(answered));
    close(fds[MAX_CONNECTIONS]);
}

static void test_a_port_that_is_taken_is_found(void **state)
{
    uint16_t port = 0;
    assert_int_equal(loopback_probe(demo_origin_port(*state), &port), -EADDRINUSE);
    assert_int_equal(loopback_probe(0, &port), 0);
    assert_int_not_equal(port, 0);
}

static void test_stopping_nothing_is_fine(void **state)
{
    (void)state;
    demo_origin_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_says_its_name_and_counts_each_path, start, stop),
        cmocka_unit_test_setup_teardown(test_it_answers_pipelined_requests_in_order, start, stop),
        cmocka_unit_test_setup_teardown(test_it_reads_bodies_of_every_framing, start, stop),
        cmocka_unit_test_setup_teardown(test_an_answer_to_head_has_no_body, start, stop),
        cmocka_unit_test_setup_teardown(test_a_broken_request_ends_its_connection_alone, start,
                                        stop),
        cmocka_unit_test_setup_teardown(test_more_connections_than_it_takes_wait, start, stop),
        cmocka_unit_test_setup_teardown(test_a_port_that_is_taken_is_found, start, stop),
        cmocka_unit_test(test_stopping_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
