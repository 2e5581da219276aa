/* Keys of session tickets: who opens what was sealed with which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "balancer/tls/tickets.h"

struct sealed {
    uint8_t name[16], iv[16];
};

/* What tickets_use() says to a ticket, or to the making of one. */
static int use(struct tickets *tickets, struct sealed *sealed, int is_new)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int result = tickets_use(tickets, sealed->name, sealed->iv, cipher, mac, is_new);
    EVP_CIPHER_CTX_free(cipher);
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(hmac);
    return result;
}

static void write_keys(char file[32], size_t n_bytes, uint8_t first)
{
    uint8_t bytes[2000];
    assert_true(n_bytes <= sizeof bytes);
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (uint8_t)(first + i / TICKETS_KEY_BYTES);
    strncpy(file, "/tmp/quoit-tickets-XXXXXX", 31);
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n_bytes), (ssize_t)n_bytes);
    (void)close(fd);
}

static void test_a_rotated_key_opens_tickets_once_more_and_then_no_longer(void **state)
{
    (void)state;
    struct tickets *tickets = tickets_new();
    struct sealed old = {0}, fresh = {0};
    assert_int_equal(use(tickets, &old, 1), 1);
    assert_int_equal(use(tickets, &old, 0), 1);
    assert_int_equal(tickets_rotate(tickets), 0);
    assert_int_equal(use(tickets, &old, 0), 2);
    assert_int_equal(use(tickets, &fresh, 1), 1);
    assert_memory_not_equal(old.name, fresh.name, sizeof old.name);
    assert_int_equal(tickets_rotate(tickets), 0);
    assert_int_equal(use(tickets, &old, 0), 0);
    assert_int_equal(use(tickets, &fresh, 0), 2);
    tickets_free(tickets);
}

static void test_random_keys_of_another_process_are_unknown(void **state)
{
    (void)state;
    struct tickets *one = tickets_new(), *other = tickets_new();
    struct sealed sealed = {0};
    assert_int_equal(use(one, &sealed, 1), 1);
    assert_int_equal(use(other, &sealed, 0), 0);
    tickets_free(one);
    tickets_free(other);
}

static void test_the_first_key_of_a_file_makes_tickets_and_all_open_them(void **state)
{
    (void)state;
    char before[32], after[32];
    struct tickets *one = tickets_new(), *other = tickets_new();
    struct sealed sealed = {0};
    write_keys(before, TICKETS_KEY_BYTES, 7);
    write_keys(after, (size_t)2 * TICKETS_KEY_BYTES, 6); /* a new key, and the old one behind it */
    assert_int_equal(tickets_read(one, before), 0);
    assert_int_equal(tickets_read(other, after), 0);
    assert_int_equal(use(one, &sealed, 1), 1);
    assert_int_equal(sealed.name[0], 7);
    assert_int_equal(use(other, &sealed, 0), 2);
    assert_int_equal(use(other, &sealed, 1), 1);
    assert_int_equal(sealed.name[0], 6);
    assert_int_equal(use(one, &sealed, 0), 0);
    (void)unlink(before);
    (void)unlink(after);
    tickets_free(one);
    tickets_free(other);
}

static void test_a_file_that_is_no_good_changes_nothing(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 79, 81, (TICKETS_MAX_KEYS + (size_t)1) * TICKETS_KEY_BYTES};
    struct tickets *tickets = tickets_new();
    struct sealed sealed = {0};
    assert_int_equal(use(tickets, &sealed, 1), 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char file[32];
        write_keys(file, sizes[i], 1);
        assert_int_equal(tickets_read(tickets, file), -EINVAL);
        (void)unlink(file);
    }
    assert_int_equal(tickets_read(tickets, "/nonexistent/tickets"), -ENOENT);
    assert_int_equal(use(tickets, &sealed, 0), 1);
    tickets_free(tickets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rotated_key_opens_tickets_once_more_and_then_no_longer),
        cmocka_unit_test(test_random_keys_of_another_process_are_unknown),
        cmocka_unit_test(test_the_first_key_of_a_file_makes_tickets_and_all_open_them),
        cmocka_unit_test(test_a_file_that_is_no_good_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
