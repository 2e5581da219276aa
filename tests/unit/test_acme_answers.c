/* What an authority answers: the examples of RFC 8555 and RFC 9773, and what is none of that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/acme/answers.h"

#define DIRECTORY                                                                                  \
    "{\"newNonce\": \"https://e.test/new-nonce\", \"newAccount\": \"https://e.test/new-account\"," \
    " \"newOrder\": \"https://e.test/new-order\""

static void test_a_directory_is_read(void **state)
{
    (void)state;
    struct acme_directory directory;
    const char *why;
    const char *text = DIRECTORY ", \"renewalInfo\": \"https://e.test/ari\","
                                 " \"meta\": {\"externalAccountRequired\": true}}";
    assert_int_equal(acme_read_directory(text, strlen(text), &directory, &why), 0);
    assert_string_equal(directory.new_order, "https://e.test/new-order");
    assert_string_equal(directory.renewal_info, "https://e.test/ari");
    assert_true(directory.needs_binding);
    text = DIRECTORY "}";
    assert_int_equal(acme_read_directory(text, strlen(text), &directory, &why), 0);
    assert_string_equal(directory.renewal_info, "");
    assert_false(directory.needs_binding);
}

static void test_a_directory_without_its_urls_is_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"newNonce\": 1, \"newAccount\": \"https://e.test/\", \"newOrder\": \"https://e.test/\"}",
        DIRECTORY,
        "{\"newNonce\": \"file:///etc/passwd\", \"newAccount\": \"https://e.test/\","
        " \"newOrder\": \"https://e.test/\"}",
        "{\"newNonce\": \"https://e.test/a b\", \"newAccount\": \"https://e.test/\","
        " \"newOrder\": \"https://e.test/\"}",
    };
    struct acme_directory directory = {.new_nonce = "untouched"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *why = NULL;
        assert_int_equal(acme_read_directory(texts[i], strlen(texts[i]), &directory, &why),
                         -EBADMSG);
        assert_non_null(why);
        assert_string_equal(directory.new_nonce, "untouched");
    }
}

static void test_only_what_can_be_asked_for_is_a_url(void **state)
{
    (void)state;
    char text[ACME_URL_SIZE + 1] = "https://";
    static const char *const bad[] = {
        "",           "https",    "ftp://a/", "https://a b", "https://\xff", "https://a\n",
        "https://\"", "file:///a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(acme_is_url(bad[i]));
    memset(text + 8, 'a', ACME_URL_SIZE - 8);
    assert_false(acme_is_url(text));
    text[ACME_URL_SIZE - 1] = '\0';
    assert_true(acme_is_url(text));
}

/* RFC 8555 section 7.4, with one name. */
static void test_an_order_is_read(void **state)
{
    (void)state;
    struct acme_order *order = malloc(sizeof *order);
    const char *why;
    const char *text = "{\"status\": \"valid\", \"expires\": \"2016-01-20T14:09:07.99Z\","
                       "\"authorizations\": [\"https://e.test/authz/PAniVnsZcis\"],"
                       "\"finalize\": \"https://e.test/order/TOlocE8rfgo/finalize\","
                       "\"certificate\": \"https://e.test/cert/mAt3xBGaobw\"}";
    assert_int_equal(acme_read_order(text, strlen(text), order, &why), 0);
    assert_int_equal(order->status, ACME_VALID);
    assert_int_equal(order->n_authorizations, 1);
    assert_string_equal(order->authorizations[0], "https://e.test/authz/PAniVnsZcis");
    assert_string_equal(order->certificate, "https://e.test/cert/mAt3xBGaobw");
    text = "{\"status\": \"valid\", \"finalize\": \"https://e.test/f\", \"authorizations\": []}";
    assert_int_equal(acme_read_order(text, strlen(text), order, &why), -EBADMSG);
    text = "{\"status\": \"bewildered\", \"finalize\": \"https://e.test/f\","
           "\"authorizations\": [\"https://e.test/a\"]}";
    assert_int_equal(acme_read_order(text, strlen(text), order, &why), 0);
    assert_int_equal(order->status, ACME_INVALID);
    free(order);
}

static void test_an_order_of_too_many_names_is_none(void **state)
{
    (void)state;
    struct acme_order *order = malloc(sizeof *order);
    char text[8192];
    const char *why;
    size_t n = (size_t)snprintf(text, sizeof text,
                                "{\"status\": \"pending\", \"finalize\": \"https://e.test/f\","
                                "\"authorizations\": [\"https://e.test/a\"");
    for (int i = 0; i < CONF_ACME_MAX_NAMES; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, ", \"https://e.test/%d\"", i);
    n += (size_t)snprintf(text + n, sizeof text - n, "]}");
    assert_int_equal(acme_read_order(text, n, order, &why), -EBADMSG);
    free(order);
}

/* RFC 8555 section 7.5, with the challenge of RFC 8737 beside. */
#define AUTHORIZATION                                                                              \
    "{\"status\": \"pending\", \"identifier\": {\"type\": \"dns\", \"value\": "                    \
    "\"www.example.org\"},"                                                                        \
    "\"challenges\": [{\"type\": \"dns-01\", \"url\": \"https://e.test/chall/Rg5dV14Gh1Q\","       \
    "\"token\": \"DGyRejmCefe7v4NfDGDKfA\"},"                                                      \
    "{\"type\": \"http-01\", \"url\": \"https://e.test/chall/prV_B7yEyA4\","                       \
    "\"token\": \"DGyRejmCefe7v4NfDGDKfA\", \"error\": {\"detail\": \"no\"}}]}"

static void test_an_authorization_has_the_wanted_challenge(void **state)
{
    (void)state;
    struct acme_authorization authorization;
    const char *why;
    size_t n = strlen(AUTHORIZATION);
    assert_int_equal(acme_read_authorization(AUTHORIZATION, n, "http-01", &authorization, &why), 0);
    assert_int_equal(authorization.status, ACME_PENDING);
    assert_string_equal(authorization.name, "www.example.org");
    assert_string_equal(authorization.url, "https://e.test/chall/prV_B7yEyA4");
    assert_string_equal(authorization.token, "DGyRejmCefe7v4NfDGDKfA");
    assert_string_equal(authorization.problem.detail, "no");
    assert_int_equal(acme_read_authorization(AUTHORIZATION, n, "tls-alpn-01", &authorization, &why),
                     0);
    assert_string_equal(authorization.url, "");
}

static void test_a_token_with_other_characters_is_none(void **state)
{
    (void)state;
    struct acme_authorization authorization;
    const char *why;
    const char *text = "{\"status\": \"pending\", \"identifier\": {\"value\": \"a.test\"},"
                       "\"challenges\": [{\"type\": \"http-01\", \"url\": \"https://e.test/c\","
                       "\"token\": \"../../etc/passwd\"}]}";
    assert_int_equal(acme_read_authorization(text, strlen(text), "http-01", &authorization, &why),
                     0);
    assert_string_equal(authorization.url, "");
}

/* RFC 8555 section 6.7.1. */
static void test_a_problem_is_read_with_all_its_parts(void **state)
{
    (void)state;
    struct acme_problem problem;
    const char *text = "{\"type\": \"urn:ietf:params:acme:error:malformed\","
                       "\"detail\": \"Some of the identifiers\\nwere rejected\","
                       "\"subproblems\": [{\"type\": \"urn:ietf:params:acme:error:malformed\","
                       "\"detail\": \"Invalid underscore\","
                       "\"identifier\": {\"type\": \"dns\", \"value\": \"_example.org\"}},"
                       "{\"type\": \"urn:ietf:params:acme:error:rejectedIdentifier\","
                       "\"detail\": \"This CA will not issue\","
                       "\"identifier\": {\"type\": \"dns\", \"value\": \"example.net\"}}]}";
    acme_read_problem(text, strlen(text), &problem);
    assert_true(acme_problem_is(&problem, "malformed"));
    assert_string_equal(problem.detail, "Some of the identifiers?were rejected");
    assert_string_equal(problem.subproblems,
                        "_example.org: malformed: Invalid underscore; "
                        "example.net: rejectedIdentifier: This CA will not issue");
    acme_read_problem("<html>", 6, &problem);
    assert_string_equal(problem.type, "");
    assert_string_equal(problem.detail, "");
}

static void test_times_are_read_as_rfc_3339_has_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t time_s;
    } good[] = {{"1970-01-01T00:00:00Z", 0},
                {"2025-01-02T04:00:00Z", 1735790400},
                {"2025-01-02T06:00:00.123+02:00", 1735790400},
                {"2025-01-01T23:30:00-04:30", 1735790400}};
    static const char *const bad[] = {"",
                                      "2025-01-02",
                                      "2025-01-02 04:00:00Z",
                                      "2025-13-02T04:00:00Z",
                                      "2025-01-02T04:00:00",
                                      "Z",
                                      "2025-01-02T04:00:00+2",
                                      "2025-01-02T04:00:00Zz",
                                      "+025-01-02T04:00:00Z"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t time_s = -1;
        assert_int_equal(acme_read_time(good[i].text, &time_s), 0);
        assert_int_equal(time_s, good[i].time_s);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t time_s = -1;
        assert_int_equal(acme_read_time(bad[i], &time_s), -EINVAL);
        assert_int_equal(time_s, -1);
    }
}

/* RFC 9773 section 4.2. */
static void test_a_window_is_read(void **state)
{
    (void)state;
    struct acme_window window;
    const char *why;
    const char *text = "{\"suggestedWindow\": {\"start\": \"2025-01-02T04:00:00Z\","
                       "\"end\": \"2025-01-03T04:00:00Z\"},"
                       "\"explanationURL\": \"https://acme.example.com/docs/ari\"}";
    assert_int_equal(acme_read_window(text, strlen(text), &window, &why), 0);
    assert_int_equal(window.end_s - window.start_s, 24 * 3600);
    text = "{\"suggestedWindow\": {\"start\": \"2025-01-02T04:00:00Z\","
           "\"end\": \"2025-01-02T04:00:00Z\"}}";
    assert_int_equal(acme_read_window(text, strlen(text), &window, &why), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_directory_is_read),
        cmocka_unit_test(test_a_directory_without_its_urls_is_none),
        cmocka_unit_test(test_only_what_can_be_asked_for_is_a_url),
        cmocka_unit_test(test_an_order_is_read),
        cmocka_unit_test(test_an_order_of_too_many_names_is_none),
        cmocka_unit_test(test_an_authorization_has_the_wanted_challenge),
        cmocka_unit_test(test_a_token_with_other_characters_is_none),
        cmocka_unit_test(test_a_problem_is_read_with_all_its_parts),
        cmocka_unit_test(test_times_are_read_as_rfc_3339_has_them),
        cmocka_unit_test(test_a_window_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
