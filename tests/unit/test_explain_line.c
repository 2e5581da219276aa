/* The line of a response that was asked to explain itself, and bytes made fit for reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdlib.h>

#include "balancer/explain/bytes.h"
#include "balancer/explain/line.h"
#include "policy_support.h"

enum { ROOM = 64 };

static struct bench bench;
static char line[EXPLAIN_LINE_SIZE];

/* Picks for a key with a trace and writes the line; its way is the trace's. */
static void explain_key(struct span key, struct endpoint *const *tried, uint32_t n_tried)
{
    struct pick_candidate candidates[ROOM];
    struct pick_trace trace = {.max = ROOM, .candidates = candidates};
    struct pick pick = bench_choice(&bench);
    pick.has_key = key.p != NULL;
    pick.hash = ring_hash(0, key.p, key.n);
    pick.tried = tried;
    pick.n_tried = n_tried;
    pick.in_flight = 1;
    pick.trace = &trace;
    struct endpoint *choice = policy_pick(&pick);
    size_t n = explain_line(&pick, key, choice, NULL, line);
    assert_int_equal(n, strlen(line));
    assert_true(n < EXPLAIN_LINE_SIZE);
    for (size_t i = 0; i < n; i++)
        assert_true(isprint((unsigned char)line[i]));
}

static void assert_says(const char *text)
{
    if (strstr(line, text) == NULL)
        print_error("%s\nis not in\n%s\n", text, line);
    assert_non_null(strstr(line, text));
}

static void test_a_line_says_all_of_a_pick(void **state)
{
    (void)state;
    bench_init(&bench, CONF_ALGORITHM_HASH, 1, NULL);
    explain_key(SPAN("/a"), NULL, 0);
    char expected[256];
    uint64_t hash = ring_hash(0, "/a", 2);
    snprintf(expected, sizeof expected,
             "pool=\"bench\"; key=\"/a\"; hash=%016llx; slot=%u/16384; snapshot=1; way=home; "
             "choice=\"127.0.0.1:80\"; candidates=\"127.0.0.1:80 chosen\"",
             (unsigned long long)hash, (unsigned)(hash >> 50));
    assert_string_equal(line, expected);
    bench_fini(&bench);
}

static void test_every_obstacle_is_named(void **state)
{
    (void)state;
    bench_init(&bench, CONF_ALGORITHM_HASH, 2, NULL);
    struct endpoint *first = bench.members[0].endpoint;
    bench_take_down(&bench, 0);
    bench_take_down(&bench, 1);
    explain_key(SPAN("/a"), NULL, 0);
    assert_says("way=nobody; choice=none");
    assert_says("127.0.0.1:80 unusable(probe_down), 127.0.0.1:80 unusable(probe_down)");
    bench_bring_up(&bench, 0);
    explain_key(SPAN("/a"), &first, 1);
    assert_says("127.0.0.1:80 tried");
    bench_bring_up(&bench, 1);
    bench.conf.affinity = CONF_AFFINITY_CACHE;
    bench.conf.balance_factor = 1;
    bench_set_in_flight(&bench, 0, 7);
    bench_set_in_flight(&bench, 1, 8);
    snapshot_count_live(bench.snapshot);
    explain_key(SPAN("/a"), NULL, 0);
    assert_says("over_bound(8/1)");
    assert_says("127.0.0.1:80 chosen"); /* all are over: home takes it */
    bench_fini(&bench);
}

static void test_without_a_key_the_line_has_none(void **state)
{
    (void)state;
    bench_init(&bench, CONF_ALGORITHM_ROUND_ROBIN, 2, NULL);
    explain_key((struct span){NULL, 0}, NULL, 0);
    assert_null(strstr(line, "key="));
    assert_null(strstr(line, "hash="));
    assert_says("way=turn; choice=\"127.0.0.1:80\"");
    bench_fini(&bench);
}

/* Keys, names and addresses that would break out of a field, and as long as they may be. */
static void test_whatever_is_in_it_the_line_is_short_and_printable(void **state)
{
    (void)state;
    static uint8_t key[5000];
    bench_init(&bench, CONF_ALGORITHM_HASH, 30, NULL);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i % 3 == 0 ? '\n' : i % 3 == 1 ? '"' : 0xff);
    char long_name[600];
    memset(long_name, '\r', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    bench.conf.name = long_name;
    for (uint32_t i = 0; i < 30; i++) {
        bench_take_down(&bench, i);
        char *address = bench.members[i].endpoint->address;
        bench.members[i].endpoint->address = strdup(long_name);
        free(address);
    }
    bench.snapshot->conf = &bench.conf;
    explain_key((struct span){key, sizeof key}, NULL, 0);
    assert_says("key=\"\\x0a\\x22\\xff");
    assert_says("22 more\"");
    bench_fini(&bench);
}

static void test_bytes_are_cut_with_dots_that_say_so(void **state)
{
    (void)state;
    char text[8];
    assert_int_equal(bytes_print(SPAN("1234567"), text, sizeof text), 7);
    assert_string_equal(text, "1234567");
    assert_int_equal(bytes_print(SPAN("12345678"), text, sizeof text), 7);
    assert_string_equal(text, "1234...");
    assert_int_equal(bytes_print(SPAN("123\n"), text, sizeof text), 7);
    assert_string_equal(text, "123\\x0a");
    assert_int_equal(bytes_print(SPAN("1234\n"), text, sizeof text), 7);
    assert_string_equal(text, "1234...");
    assert_int_equal(bytes_print(SPAN("\n\n"), text, sizeof text), 7);
    assert_string_equal(text, "\\x0a...");
    assert_int_equal(bytes_print((struct span){NULL, 0}, text, sizeof text), 0);
    assert_string_equal(text, "");
}

/* No sequence of bytes makes invalid JSON, and what is not exact has its bytes beside it. */
static void test_any_bytes_make_json(void **state)
{
    (void)state;
    uint64_t random = 5;
    for (int i = 0; i < 2000; i++) {
        uint8_t bytes[8];
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)(mix64(random += HASH_STEP) >> (i % 3 == 0 ? 57 : 56));
        bool is_exact;
        json_t *json = bytes_to_json((struct span){bytes, sizeof bytes}, &is_exact);
        assert_non_null(json);
        char *dumped = json_dumps(json, JSON_ENCODE_ANY);
        json_t *again = json_loads(dumped, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_true(json_equal(json, again));
        assert_int_equal(is_exact, json_string_length(again) == sizeof bytes &&
                                       memcmp(json_string_value(again), bytes, 8) == 0);
        free(dumped);
        json_decref(json);
        json_decref(again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_says_all_of_a_pick),
        cmocka_unit_test(test_every_obstacle_is_named),
        cmocka_unit_test(test_without_a_key_the_line_has_none),
        cmocka_unit_test(test_whatever_is_in_it_the_line_is_short_and_printable),
        cmocka_unit_test(test_bytes_are_cut_with_dots_that_say_so),
        cmocka_unit_test(test_any_bytes_make_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
