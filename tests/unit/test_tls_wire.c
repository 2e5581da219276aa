/* Records between OpenSSL and a socket: together, in order, none lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/proxy/conn.h"
#include "balancer/proxy/tls_wire.h"
#include "balancer/proxy/worker.h"

#define SMALL_BYTES 16384u
#define RECORD_BYTES 16384u
#define MAX_BYTES (4u << 20)

static struct worker worker;
static struct conn conn;
static struct tls_wire wire;
static struct tls_batch batch;
static BIO *bio;
static int peer;
static uint8_t sent[MAX_BYTES], received[MAX_BYTES];
static size_t n_sent, n_received;

static int set_up(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    buffer_pool_init(&worker.buffers, SMALL_BYTES);
    conn = (struct conn){.worker = &worker, .fd = fds[0]};
    peer = fds[1];
    wire = (struct tls_wire){.conn = &conn};
    bio = tls_wire_bio(&wire);
    n_sent = n_received = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    BIO_free(bio);
    tls_wire_fini(&wire);
    assert_int_equal(worker.buffers.used_bytes, 0);
    buffer_pool_fini(&worker.buffers);
    (void)close(conn.fd);
    if (peer >= 0)
        (void)close(peer);
    return 0;
}

/* As OpenSSL does: n bytes unlike those before. */
static int write_bytes(size_t n)
{
    assert_true(n_sent + n <= sizeof sent);
    for (size_t i = 0; i < n; i++)
        sent[n_sent + i] = (uint8_t)((n_sent + i) * 31 / 7);
    int went = BIO_write(bio, sent + n_sent, (int)n);
    n_sent += went > 0 ? (size_t)went : 0;
    return went;
}

static bool has_read(void)
{
    ssize_t n = recv(peer, received + n_received, sizeof received - n_received, 0);
    n_received += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static void assert_all_received(void)
{
    while (has_read())
        ;
    assert_int_equal(n_received, n_sent);
    assert_memory_equal(received, sent, n_sent);
}

/* Batches until one does not go. */
static void fill_socket(void)
{
    bool is_going = true;
    batch.is_last = false;
    while (is_going) {
        tls_wire_begin(&wire, &batch);
        assert_int_equal(write_bytes(RECORD_BYTES), RECORD_BYTES);
        assert_int_equal(write_bytes(RECORD_BYTES), RECORD_BYTES);
        is_going = tls_wire_end(&wire);
    }
    assert_int_equal(errno, EAGAIN);
}

static void test_the_records_of_a_batch_leave_together(void **state)
{
    (void)state;
    batch.is_last = false;
    tls_wire_begin(&wire, &batch);
    assert_int_equal(write_bytes(100), 100);
    assert_int_equal(write_bytes(200), 200);
    assert_false(has_read());
    assert_true(tls_wire_end(&wire));
    assert_all_received();
    assert_int_equal(wire.n_left, 0);
}

static void test_a_record_by_itself_leaves_at_once(void **state)
{
    (void)state;
    batch.is_last = true;
    tls_wire_begin(&wire, &batch);
    assert_int_equal(write_bytes(100), 100);
    assert_true(has_read());
    assert_true(tls_wire_end(&wire));
    assert_all_received();
}

static void test_what_a_batch_has_no_room_for_follows_it(void **state)
{
    (void)state;
    batch.is_last = false;
    tls_wire_begin(&wire, &batch);
    for (int i = 0; i < 5; i++)
        assert_int_equal(write_bytes(RECORD_BYTES), RECORD_BYTES);
    assert_true(tls_wire_end(&wire));
    assert_all_received();
}

static void test_what_the_socket_has_no_room_for_waits_and_nothing_passes_it(void **state)
{
    (void)state;
    fill_socket();
    assert_true(wire.unsent.n > 0);
    assert_true(write_bytes(10) <= 0);
    assert_true(BIO_should_retry(bio) && BIO_should_write(bio));
    for (int i = 0; i < 1000 && !tls_wire_flush(&wire); i++) {
        assert_int_equal(errno, EAGAIN);
        assert_true(wire.n_left + wire.unsent.n <= sizeof batch.bytes);
        assert_true(has_read());
    }
    assert_int_equal(wire.n_left, 0);
    assert_int_equal(worker.buffers.used_bytes, 0);
    assert_int_equal(write_bytes(10), 10);
    assert_all_received();
}

static void test_what_has_left_of_a_batch_is_counted_until_all_has(void **state)
{
    (void)state;
    fill_socket();
    uint32_t before = wire.n_left;
    size_t unsent = wire.unsent.n;
    assert_int_equal(before + unsent, 2 * RECORD_BYTES);
    assert_true(has_read());
    bool is_done = tls_wire_flush(&wire);
    assert_true(is_done ? wire.n_left == 0 : wire.n_left == before + (unsent - wire.unsent.n));
}

static void test_a_broken_connection_keeps_nothing(void **state)
{
    (void)state;
    (void)close(peer);
    peer = -1;
    batch.is_last = false;
    tls_wire_begin(&wire, &batch);
    assert_int_equal(write_bytes(100), 100);
    assert_false(tls_wire_end(&wire));
    assert_int_equal(errno, EPIPE);
    assert_int_equal(wire.error, EPIPE);
    assert_int_equal(wire.unsent.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_records_of_a_batch_leave_together, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_record_by_itself_leaves_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_a_batch_has_no_room_for_follows_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_what_the_socket_has_no_room_for_waits_and_nothing_passes_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_has_left_of_a_batch_is_counted_until_all_has,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_broken_connection_keeps_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
