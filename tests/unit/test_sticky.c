/* Cookie affinity: values, the way back from them, and where they send a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "balancer/policy/sticky.h"
#include "balancer/pool/sticky.h"
#include "policy_support.h"

static const struct span secret = {(const uint8_t *)"0123456789abcdef", 16};

static struct bench bench;

static void sign(struct endpoint *endpoint, const char *pool)
{
    assert_int_equal(sticky_value(secret, pool, endpoint->id, endpoint->cookie), 0);
}

/* A pool of n signed endpoints of weight 1. */
static void begin(enum conf_algorithm algorithm, uint32_t n)
{
    bench_init(&bench, algorithm, n, NULL);
    bench.conf.sticky.name = (char *)"SID";
    for (uint32_t i = 0; i < n; i++)
        sign(bench.members[i].endpoint, bench.conf.name);
    bench_publish(&bench);
}

static struct span cookie_of(uint32_t i)
{
    return span_of(bench.members[i].endpoint->cookie);
}

static uint32_t found(struct span value)
{
    const struct member *member = sticky_find(bench.snapshot, value);
    return bench_number(&bench, member != NULL ? member->endpoint : NULL);
}

/* ---- values */

static void assert_value(struct span key, const char *pool, const char *id, const char *expected)
{
    char value[STICKY_VALUE_SIZE];
    assert_int_equal(sticky_value(key, pool, id, value), 0);
    assert_string_equal(value, expected);
}

/* Made by Python's hmac and base64 from the formula in the header. */
static void test_values_are_those_of_the_formula(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_value(secret, "images", "10.0.0.1:80", "pf8l89PlO03M2RT1OGOmlb1o247vs9aj");
    assert_value(secret, "images", "10.0.0.2:80", "MovIrapi-CqcSTheeosbMQvzJ_GaHS6H");
    assert_value(secret, "api", "10.0.0.1:80", "296vTu0TECEyjeVeTCl5XKGVnD7FUXpN");
    assert_value((struct span){bytes, sizeof bytes}, "images", "dc1/node/web-1",
                 "5SeLykZcot66l_qKWfucMu8vamOO6KtZ");
    assert_value((struct span){(const uint8_t[32]){0}, 32}, "p", "",
                 "RkAq19bSuVVhi250meeK2DJ6Y-h37xs0");
}

/* ---- the way back */

static void test_every_value_leads_to_its_member(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 7, 64, BENCH_MAX};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        begin(CONF_ALGORITHM_ROUND_ROBIN, sizes[s]);
        for (uint32_t i = 0; i < sizes[s]; i++)
            assert_int_equal(found(cookie_of(i)), i);
        bench_fini(&bench);
    }
}

static void test_a_value_with_any_other_character_leads_nowhere(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_ROUND_ROBIN, 100);
    char forged[STICKY_VALUE_SIZE];
    for (uint32_t at = 0; at < STICKY_VALUE_LEN; at++) {
        memcpy(forged, bench.members[7].endpoint->cookie, sizeof forged);
        forged[at] = forged[at] == 'A' ? 'B' : 'A';
        assert_int_equal(found(span_of(forged)), BENCH_NOBODY);
    }
    bench_fini(&bench);
}

static void test_a_value_of_another_length_leads_nowhere(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_ROUND_ROBIN, 3);
    char longer[2 * STICKY_VALUE_SIZE];
    snprintf(longer, sizeof longer, "%sA", bench.members[0].endpoint->cookie);
    assert_int_equal(found(span_of(longer)), BENCH_NOBODY);
    for (size_t n = 0; n < STICKY_VALUE_LEN; n++)
        assert_int_equal(found((struct span){(const uint8_t *)longer, n}), BENCH_NOBODY);
    assert_int_equal(found((struct span){NULL, 0}), BENCH_NOBODY);
    bench_fini(&bench);
}

static void test_a_value_of_another_pool_or_secret_leads_nowhere(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_ROUND_ROBIN, 50);
    for (uint32_t i = 0; i < 50; i++) {
        char value[STICKY_VALUE_SIZE];
        const char *id = bench.members[i].endpoint->id;
        assert_int_equal(sticky_value(secret, "other", id, value), 0);
        assert_int_equal(found(span_of(value)), BENCH_NOBODY);
        assert_int_equal(sticky_value(SPAN("0123456789abcdeg"), "bench", id, value), 0);
        assert_int_equal(found(span_of(value)), BENCH_NOBODY);
    }
    bench_fini(&bench);
}

static void test_values_that_begin_alike_are_told_apart(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_ROUND_ROBIN, 5);
    for (uint32_t i = 0; i < 5; i++)
        snprintf(bench.members[i].endpoint->cookie, STICKY_VALUE_SIZE, "%s%u",
                 i % 2 == 0 ? "SAME-beginning-SAME-beginning-S" : "same-beginning-same-beginning-s",
                 i);
    bench_publish(&bench);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(found(cookie_of(i)), i);
    assert_int_equal(found(SPAN("SAME-beginning-SAME-beginning-S9")), BENCH_NOBODY);
    bench_fini(&bench);
}

static void test_endpoints_that_come_or_go_move_no_session(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_HASH, 20);
    bench.n = 10; /* the other ten leave */
    bench_publish(&bench);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(found(cookie_of(i)), i < 10 ? i : BENCH_NOBODY);
    bench.n = 20;
    bench_publish(&bench);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(found(cookie_of(i)), i);
    bench_fini(&bench);
}

static void test_without_affinity_or_a_value_nothing_is_found(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_ROUND_ROBIN, 3);
    char value[STICKY_VALUE_SIZE];
    memcpy(value, bench.members[1].endpoint->cookie, sizeof value);
    bench.members[1].endpoint->cookie[0] = '\0';
    bench_publish(&bench);
    assert_int_equal(found(span_of(value)), BENCH_NOBODY);
    assert_int_equal(found(cookie_of(2)), 2);
    bench.conf.sticky.name = NULL;
    bench_publish(&bench);
    assert_int_equal(found(cookie_of(2)), BENCH_NOBODY);
    bench_fini(&bench);
}

/* ---- where a value sends a request */

static enum sticky_result resolve(uint32_t i, struct endpoint *const *tried, uint32_t n_tried)
{
    struct pick pick = bench_choice(&bench);
    pick.tried = tried;
    pick.n_tried = n_tried;
    const struct member *member = NULL;
    enum sticky_result result = sticky_resolve(&pick, cookie_of(i), &member);
    assert_non_null(member);
    assert_ptr_equal(member->endpoint, bench.members[i].endpoint);
    return result;
}

static void test_a_session_goes_to_its_endpoint_whatever_the_algorithm(void **state)
{
    (void)state;
    for (int a = CONF_ALGORITHM_HASH; a <= CONF_ALGORITHM_JUMP; a++) {
        begin((enum conf_algorithm)a, 4);
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(resolve(i, NULL, 0), STICKY_HIT);
        bench_fini(&bench);
    }
}

static void test_draining_keeps_its_sessions_and_gets_no_new_ones(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_ROUND_ROBIN, 3);
    bench.members[1].weight = 0;
    bench_publish(&bench);
    assert_int_equal(resolve(1, NULL, 0), STICKY_HIT);
    bench_count(&bench, 100);
    assert_int_equal(bench.counts[1], 0);
    bench_fini(&bench);
}

static void test_an_endpoint_that_is_down_gives_its_sessions_back_when_it_is_up(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_ROUND_ROBIN, 3);
    bench_take_down(&bench, 1);
    assert_int_equal(resolve(1, NULL, 0), STICKY_DOWN);
    assert_int_equal(resolve(0, NULL, 0), STICKY_HIT);
    bench_bring_up(&bench, 1);
    assert_int_equal(resolve(1, NULL, 0), STICKY_HIT);
    atomic_store(&bench.members[1].endpoint->source, ENDPOINT_SOURCE_MAINTENANCE);
    assert_int_equal(resolve(1, NULL, 0), STICKY_DOWN);
    bench_fini(&bench);
}

static void test_an_endpoint_that_failed_the_request_is_not_asked_again(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_ROUND_ROBIN, 3);
    struct endpoint *const tried[] = {bench.members[2].endpoint, bench.members[1].endpoint};
    assert_int_equal(resolve(0, tried, 2), STICKY_HIT);
    assert_int_equal(resolve(1, tried, 2), STICKY_TRIED);
    assert_int_equal(resolve(1, tried, 1), STICKY_HIT);
    bench_fini(&bench);
}

static void test_an_unknown_value_names_no_member(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_ROUND_ROBIN, 3);
    struct pick pick = bench_choice(&bench);
    const struct member *member = &bench.snapshot->members[0];
    assert_int_equal(sticky_resolve(&pick, SPAN("forged"), &member), STICKY_UNKNOWN);
    assert_null(member);
    bench_fini(&bench);
}

/* What comes of a request with these Cookie fields; each %s stands for member 1's value. */
static enum sticky_result ask(const char *fields, const struct member **ret_member)
{
    static const struct h1_limits limits = {.head_bytes = 4096, .target_bytes = 1024, .fields = 50};
    static struct h1_request request;
    static struct h1_field request_fields[H1_MAX_FIELDS];
    char all[512];
    char text[1024];
    const char *value = bench.members[1].endpoint->cookie;
    const char *mark = strstr(fields, "%s");
    int before = mark != NULL ? (int)(mark - fields) : (int)strlen(fields);
    snprintf(all, sizeof all, "%.*s%s%s", before, fields, mark != NULL ? value : "",
             mark != NULL ? mark + 2 : "");
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", all);
    h1_request_init(&request, request_fields);
    const uint8_t *message = (const uint8_t *)text;
    assert_int_equal(h1_request_parse(&request, &limits, message, strlen(text)), H1_DONE);
    struct pick pick = bench_choice(&bench);
    return sticky_ask(&pick, &request.lines, message, ret_member);
}

static void assert_asked(const char *fields, enum sticky_result expected)
{
    const struct member *member = &bench.snapshot->members[0];
    assert_int_equal(ask(fields, &member), expected);
    bool names_somebody = expected != STICKY_MISS && expected != STICKY_UNKNOWN;
    assert_int_equal(bench_number(&bench, member != NULL ? member->endpoint : NULL),
                     names_somebody ? 1 : BENCH_NOBODY);
}

static void test_a_request_is_asked_for_the_pools_cookie(void **state)
{
    (void)state;
    begin(CONF_ALGORITHM_ROUND_ROBIN, 3);
    assert_asked("", STICKY_MISS);
    assert_asked("Cookie: sid=%s; SIDE=1; a=SID\r\n", STICKY_MISS);
    assert_asked("X-Cookie: SID=%s\r\n", STICKY_MISS);
    assert_asked("Cookie: SID\r\n", STICKY_UNKNOWN);
    assert_asked("Cookie: a=1; SID=%s\r\n", STICKY_HIT);
    assert_asked("cookie: a=1\r\nCOOKIE: SID=%s\r\n", STICKY_HIT);
    assert_asked("Cookie: SID=%s; SID=other\r\nCookie: SID=other\r\n", STICKY_HIT);
    assert_asked("Cookie: SID=other; SID; SID=%s\r\n", STICKY_HIT);
    assert_asked("Cookie: SID=other\r\nCookie: SID=%s\r\nCookie: SID=other\r\n", STICKY_HIT);
    bench_take_down(&bench, 1);
    assert_asked("Cookie: SID=other; SID=%s; SID=other\r\n", STICKY_DOWN);
    bench.conf.sticky.name = NULL;
    bench_publish(&bench);
    assert_asked("Cookie: SID=%s\r\n", STICKY_MISS);
    bench_fini(&bench);
}

static void test_results_have_words(void **state)
{
    (void)state;
    static const char *const words[] = {"miss", "hit", "unknown", "down", "tried"};
    assert_int_equal(sizeof words / sizeof words[0], STICKY_N_RESULTS);
    for (size_t i = 0; i < STICKY_N_RESULTS; i++)
        assert_string_equal(sticky_word((enum sticky_result)i), words[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_those_of_the_formula),
        cmocka_unit_test(test_every_value_leads_to_its_member),
        cmocka_unit_test(test_a_value_with_any_other_character_leads_nowhere),
        cmocka_unit_test(test_a_value_of_another_length_leads_nowhere),
        cmocka_unit_test(test_a_value_of_another_pool_or_secret_leads_nowhere),
        cmocka_unit_test(test_values_that_begin_alike_are_told_apart),
        cmocka_unit_test(test_endpoints_that_come_or_go_move_no_session),
        cmocka_unit_test(test_without_affinity_or_a_value_nothing_is_found),
        cmocka_unit_test(test_a_session_goes_to_its_endpoint_whatever_the_algorithm),
        cmocka_unit_test(test_draining_keeps_its_sessions_and_gets_no_new_ones),
        cmocka_unit_test(test_an_endpoint_that_is_down_gives_its_sessions_back_when_it_is_up),
        cmocka_unit_test(test_an_endpoint_that_failed_the_request_is_not_asked_again),
        cmocka_unit_test(test_an_unknown_value_names_no_member),
        cmocka_unit_test(test_a_request_is_asked_for_the_pools_cookie),
        cmocka_unit_test(test_results_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
