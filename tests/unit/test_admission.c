#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>

#include "balancer/http/cidr.h"
#include "balancer/proxy/admission.h"

static struct conf_listener listeners[2];
static struct conf conf;
static struct admission admission;

static void begin(uint32_t max_clients, uint32_t per_address)
{
    conf = (struct conf){.listeners = listeners,
                         .n_listeners = 2,
                         .client = {.max_connections_per_address = per_address}};
    listeners[0] = listeners[1] = (struct conf_listener){.port = 80};
    assert_int_equal(admission_init(&admission, &conf, max_clients), 0);
}

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage peer = {.ss_family = AF_INET};
    struct sockaddr_in *in = (struct sockaddr_in *)&peer;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
        return peer;
    peer.ss_family = AF_INET6;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&peer;
    assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
    return peer;
}

static enum reason enter(const char *text, struct admission_ticket *ret)
{
    struct sockaddr_storage peer = address(text);
    return admission_enter(&admission, 0, &peer, ret);
}

static void assert_enters(const char *text, struct admission_ticket *ret)
{
    assert_int_equal(enter(text, ret), REASON_OK);
}

static void leave_all(const struct admission_ticket *tickets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        admission_leave(&admission, &tickets[i]);
    assert_int_equal(admission_clients(&admission), 0);
    for (uint32_t i = 0; i < admission.n_buckets; i++)
        assert_null(admission.buckets[i]); /* no address stays behind */
    admission_fini(&admission);
}

static void test_an_address_has_its_limit_and_others_are_not_concerned(void **state)
{
    (void)state;
    struct admission_ticket t[4], none;
    begin(100, 2);
    assert_enters("192.0.2.1", &t[0]);
    assert_enters("192.0.2.1", &t[1]);
    assert_int_equal(enter("192.0.2.1", &none), REASON_ADDRESS_FULL);
    assert_enters("192.0.2.2", &t[2]);
    admission_leave(&admission, &t[0]);
    assert_enters("192.0.2.1", &t[0]);
    assert_int_equal(enter("192.0.2.1", &none), REASON_ADDRESS_FULL);
    assert_enters("::1", &t[3]);
    assert_int_equal(admission_clients(&admission), 4);
    leave_all(t, 4);
}

static void test_an_ipv6_network_of_64_bits_counts_as_one(void **state)
{
    (void)state;
    struct admission_ticket t[3], none;
    begin(100, 2);
    assert_enters("2001:db8:0:1::1", &t[0]);
    assert_enters("2001:db8:0:1:ffff::2", &t[1]);
    assert_int_equal(enter("2001:db8:0:1:8000::3", &none), REASON_ADDRESS_FULL);
    assert_enters("2001:db8:0:2::1", &t[2]);
    leave_all(t, 3);
}

static void test_ipv4_is_the_same_on_an_ipv6_socket(void **state)
{
    (void)state;
    struct admission_ticket t[2], none;
    begin(100, 1);
    assert_enters("192.0.2.1", &t[0]);
    assert_int_equal(enter("::ffff:192.0.2.1", &none), REASON_ADDRESS_FULL);
    assert_enters("::ffff:192.0.2.2", &t[1]);
    leave_all(t, 2);
}

static void test_all_connections_have_their_limit(void **state)
{
    (void)state;
    struct admission_ticket t[2], none;
    begin(2, 0);
    assert_enters("192.0.2.1", &t[0]);
    assert_enters("192.0.2.1", &t[1]);
    assert_int_equal(enter("192.0.2.2", &none), REASON_TOO_MANY_CONNECTIONS);
    leave_all(t, 2);
}

static void test_no_address_can_take_more_than_half_unless_told_otherwise(void **state)
{
    (void)state;
    struct admission_ticket t[3], none;
    begin(4, CONF_AUTO_NUMBER);
    assert_enters("192.0.2.1", &t[0]);
    assert_enters("192.0.2.1", &t[1]);
    assert_int_equal(enter("192.0.2.1", &none), REASON_ADDRESS_FULL);
    assert_enters("192.0.2.2", &t[2]);
    leave_all(t, 3);
}

static void test_a_full_listener_leaves_the_other_alone(void **state)
{
    (void)state;
    struct admission_ticket t[2], none;
    struct sockaddr_storage peer = address("192.0.2.1");
    begin(100, 10);
    listeners[0].max_connections = 1;
    assert_enters("192.0.2.1", &t[0]);
    assert_int_equal(enter("192.0.2.1", &none), REASON_LISTENER_FULL);
    assert_int_equal(admission_enter(&admission, 1, &peer, &t[1]), REASON_OK);
    assert_int_equal(admission_clients(&admission), 2);
    leave_all(t, 2);
}

static void test_trusted_proxies_may_have_any_number(void **state)
{
    (void)state;
    struct admission_ticket t[3], none;
    struct conf_cidr trusted = {.bits = 8, .address = {10}};
    begin(100, 1);
    conf.client.trusted_proxies = &trusted;
    conf.client.n_trusted_proxies = 1;
    assert_enters("10.1.2.3", &t[0]);
    assert_enters("10.1.2.3", &t[1]);
    assert_enters("192.0.2.1", &t[2]);
    assert_int_equal(enter("192.0.2.1", &none), REASON_ADDRESS_FULL);
    leave_all(t, 3);
}

static void test_a_flood_of_addresses_ends_at_the_limit_on_connections(void **state)
{
    (void)state;
    static struct admission_ticket t[50000];
    begin(50000, 4);
    struct sockaddr_storage peer = address("2001:db8::");
    struct in6_addr *in6 = &((struct sockaddr_in6 *)&peer)->sin6_addr;
    for (uint32_t i = 0; i < 60000; i++) {
        struct admission_ticket ticket;
        memcpy(&in6->s6_addr[4], &i, sizeof i); /* each a network of its own */
        enum reason reason = admission_enter(&admission, 0, &peer, &ticket);
        assert_int_equal(reason, i < 50000 ? REASON_OK : REASON_TOO_MANY_CONNECTIONS);
        if (i < 50000)
            t[i] = ticket;
    }
    leave_all(t, 50000);
}

static void *come_and_go(void *argument)
{
    unsigned *ret_refused = argument;
    static const char *const hosts[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1"};
    for (int i = 0; i < 20000; i++) {
        struct admission_ticket ticket;
        struct sockaddr_storage peer = address(hosts[i % 3]);
        if (admission_enter(&admission, (uint32_t)i % 2, &peer, &ticket) == REASON_OK)
            admission_leave(&admission, &ticket);
        else
            (*ret_refused)++;
    }
    return NULL;
}

static void test_workers_share_the_counts_and_lose_none(void **state)
{
    (void)state;
    pthread_t threads[4];
    unsigned refused[4] = {0};
    begin(100, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &refused[i]), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(refused[i], 0); /* four at a time is within the limit */
    }
    leave_all(NULL, 0);
}

static enum reason rename_to(const char *text, struct admission_ticket *ticket)
{
    struct ip ip;
    assert_true(ip_parse(span_of(text), &ip));
    return admission_rename(&admission, &ip, ticket);
}

static void test_a_connection_is_counted_where_its_proxy_says_it_is_from(void **state)
{
    (void)state;
    struct admission_ticket t[4];
    begin(100, 2);
    assert_enters("192.0.2.1", &t[0]);
    assert_enters("192.0.2.1", &t[1]);
    assert_int_equal(rename_to("198.51.100.7", &t[0]), REASON_OK);
    assert_enters("192.0.2.1", &t[2]); /* there is room again */
    assert_int_equal(rename_to("198.51.100.7", &t[1]), REASON_OK);
    assert_int_equal(rename_to("198.51.100.7", &t[2]), REASON_ADDRESS_FULL);
    assert_enters("192.0.2.1", &t[3]); /* the refused one has kept the place that it had */
    leave_all(t, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_has_its_limit_and_others_are_not_concerned),
        cmocka_unit_test(test_an_ipv6_network_of_64_bits_counts_as_one),
        cmocka_unit_test(test_ipv4_is_the_same_on_an_ipv6_socket),
        cmocka_unit_test(test_all_connections_have_their_limit),
        cmocka_unit_test(test_no_address_can_take_more_than_half_unless_told_otherwise),
        cmocka_unit_test(test_a_full_listener_leaves_the_other_alone),
        cmocka_unit_test(test_trusted_proxies_may_have_any_number),
        cmocka_unit_test(test_a_flood_of_addresses_ends_at_the_limit_on_connections),
        cmocka_unit_test(test_workers_share_the_counts_and_lose_none),
        cmocka_unit_test(test_a_connection_is_counted_where_its_proxy_says_it_is_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
