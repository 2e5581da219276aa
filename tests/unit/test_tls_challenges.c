/* Answers to challenges: found by the right question only, from any thread, and taken back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <errno.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "balancer/tls/challenges.h"

#define ACME_OFFER "\x0a" CHALLENGES_PROTOCOL

static size_t find(struct challenges *challenges, const char *token, char *ret_answer)
{
    return challenges_find_token(challenges, (const uint8_t *)token, strlen(token), ret_answer);
}

static void test_a_token_is_answered_until_it_is_taken_back(void **state)
{
    (void)state;
    char answer[CHALLENGES_ANSWER_SIZE] = "";
    struct challenges *challenges = challenges_new();
    assert_int_equal(challenges_add_token(challenges, "abc", "abc.thumb"), 0);
    assert_int_equal(challenges_add_token(challenges, "def", "def.thumb"), 0);
    assert_int_equal(find(challenges, "abc", answer), 9);
    assert_string_equal(answer, "abc.thumb");
    static const char *const others[] = {"", "ab", "abcd", "ABC", "abc/", "x"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(find(challenges, others[i], answer), 0);
    challenges_clear(challenges);
    assert_int_equal(find(challenges, "abc", answer), 0);
    challenges_free(challenges);
}

static void test_an_answer_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char answer[CHALLENGES_ANSWER_SIZE + 1];
    struct challenges *challenges = challenges_new();
    memset(answer, 'a', sizeof answer - 1);
    answer[sizeof answer - 1] = '\0';
    assert_int_equal(challenges_add_token(challenges, "abc", answer), -EINVAL);
    answer[sizeof answer - 2] = '\0';
    assert_int_equal(challenges_add_token(challenges, "abc", answer), 0);
    assert_int_equal(find(challenges, "abc", answer), CHALLENGES_ANSWER_SIZE - 1);
    challenges_free(challenges);
}

/* ---- handshakes */

static int on_hello(SSL *ssl, int *alert, void *context)
{
    *alert = SSL_AD_HANDSHAKE_FAILURE;
    return challenges_take_handshake(context, ssl) ? SSL_CLIENT_HELLO_SUCCESS
                                                   : SSL_CLIENT_HELLO_ERROR;
}

struct pair {
    SSL_CTX *client_context, *server_context;
    SSL *client, *server;
};

static void open_pair(struct pair *pair, struct challenges *challenges, const char *name,
                      const char *offer)
{
    pair->client_context = SSL_CTX_new(TLS_client_method());
    pair->server_context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_client_hello_cb(pair->server_context, on_hello, challenges);
    pair->client = SSL_new(pair->client_context);
    pair->server = SSL_new(pair->server_context);
    if (name != NULL)
        assert_int_equal(SSL_set_tlsext_host_name(pair->client, name), 1);
    assert_int_equal(
        SSL_set_alpn_protos(pair->client, (const uint8_t *)offer, (unsigned)strlen(offer)), 0);
    BIO *one, *other;
    assert_int_equal(BIO_new_bio_pair(&one, 0, &other, 0), 1);
    SSL_set_bio(pair->client, one, one);
    SSL_set_bio(pair->server, other, other);
    SSL_set_connect_state(pair->client);
    SSL_set_accept_state(pair->server);
}

static void close_pair(struct pair *pair)
{
    SSL_free(pair->client);
    SSL_free(pair->server);
    SSL_CTX_free(pair->client_context);
    SSL_CTX_free(pair->server_context);
}

/* Whether both ends are done within some rounds. */
static bool shake_hands(const struct pair *pair)
{
    for (int i = 0; i < 10; i++) {
        (void)SSL_do_handshake(pair->client);
        (void)SSL_do_handshake(pair->server);
        if (SSL_is_init_finished(pair->client) && SSL_is_init_finished(pair->server))
            return true;
    }
    return false;
}

/* RFC 8737 section 3: the name, and the digest of the answer in a critical extension. */
static void check_certificate(SSL *client, const char *name, const char *answer)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    X509 *leaf = SSL_get1_peer_certificate(client);
    ASN1_OBJECT *type = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    X509_EXTENSION *extension = X509_get_ext(leaf, X509_get_ext_by_OBJ(leaf, type, -1));
    assert_non_null(extension);
    assert_int_equal(X509_EXTENSION_get_critical(extension), 1);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    assert_int_equal(ASN1_STRING_length(value), 2 + SHA256_DIGEST_LENGTH);
    (void)SHA256((const uint8_t *)answer, strlen(answer), digest);
    assert_memory_equal(ASN1_STRING_get0_data(value), "\x04\x20", 2);
    assert_memory_equal(ASN1_STRING_get0_data(value) + 2, digest, sizeof digest);
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    assert_int_equal(X509_check_host(leaf, name, 0, 0, NULL), 1);
    GENERAL_NAMES_free(names);
    ASN1_OBJECT_free(type);
    X509_free(leaf);
}

static void test_a_handshake_for_the_name_sees_the_answer(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct challenges *challenges = challenges_new();
    assert_int_equal(challenges_add_name(challenges, "a.test", "tok.thumb"), 0);
    assert_int_equal(challenges_add_name(challenges, "b.test", "other.thumb"), 0);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct pair pair;
        const unsigned char *protocol;
        unsigned n;
        open_pair(&pair, challenges, "A.test", ACME_OFFER);
        assert_int_equal(SSL_set_max_proto_version(pair.client, versions[i]), 1);
        assert_true(shake_hands(&pair));
        assert_int_equal(SSL_version(pair.client), versions[i]);
        check_certificate(pair.client, "a.test", "tok.thumb");
        SSL_get0_alpn_selected(pair.client, &protocol, &n);
        assert_int_equal(n, strlen(CHALLENGES_PROTOCOL));
        assert_memory_equal(protocol, CHALLENGES_PROTOCOL, n);
        close_pair(&pair);
    }
    challenges_free(challenges);
}

/* What was asked to say its hello again must not take the challenge's place with another one. */
static void test_a_second_hello_without_the_protocol_ends_the_handshake(void **state)
{
    (void)state;
    struct challenges *challenges = challenges_new();
    struct pair pair;
    assert_int_equal(challenges_add_name(challenges, "a.test", "tok.thumb"), 0);
    open_pair(&pair, challenges, "a.test", ACME_OFFER);
    assert_int_equal(SSL_set1_groups_list(pair.server, "X25519"), 1);
    assert_int_equal(SSL_set1_groups_list(pair.client, "P-256:X25519"), 1);
    (void)SSL_do_handshake(pair.client);
    (void)SSL_do_handshake(pair.server); /* asks for another key */
    assert_int_equal(SSL_set_alpn_protos(pair.client, NULL, 0), 0);
    assert_false(shake_hands(&pair));
    close_pair(&pair);
    challenges_free(challenges);
}

static void test_a_second_hello_like_the_first_is_answered(void **state)
{
    (void)state;
    struct challenges *challenges = challenges_new();
    struct pair pair;
    assert_int_equal(challenges_add_name(challenges, "a.test", "tok.thumb"), 0);
    open_pair(&pair, challenges, "a.test", ACME_OFFER);
    assert_int_equal(SSL_set1_groups_list(pair.server, "X25519"), 1);
    assert_int_equal(SSL_set1_groups_list(pair.client, "P-256:X25519"), 1);
    assert_true(shake_hands(&pair));
    check_certificate(pair.client, "a.test", "tok.thumb");
    close_pair(&pair);
    challenges_free(challenges);
}

static void test_other_handshakes_are_not_taken(void **state)
{
    (void)state;
    static const struct {
        const char *name, *offer;
    } others[] = {{"c.test", ACME_OFFER},
                  {NULL, ACME_OFFER},
                  {"a.test", "\x08http/1.1"},
                  {"a.test", "\x08http/1.1" ACME_OFFER},
                  {"token", ACME_OFFER}};
    struct challenges *challenges = challenges_new();
    assert_int_equal(challenges_add_name(challenges, "a.test", "tok.thumb"), 0);
    assert_int_equal(challenges_add_token(challenges, "token", "tok.thumb"), 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct pair pair;
        open_pair(&pair, challenges, others[i].name, others[i].offer);
        assert_false(shake_hands(&pair));
        close_pair(&pair);
    }
    challenges_free(challenges);
}

/* ---- threads */

struct seeker {
    struct challenges *challenges;
    _Atomic bool is_over;
    _Atomic unsigned n_found;
};

static void *seek(void *context)
{
    struct seeker *seeker = context;
    char answer[CHALLENGES_ANSWER_SIZE];
    while (!atomic_load(&seeker->is_over))
        if (find(seeker->challenges, "abc", answer) > 0) {
            assert(strcmp(answer, "abc.thumb") == 0);
            atomic_fetch_add(&seeker->n_found, 1);
        }
    return NULL;
}

static void test_answers_come_and_go_while_others_look(void **state)
{
    (void)state;
    pthread_t threads[3];
    struct seeker seeker = {.challenges = challenges_new()};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, seek, &seeker), 0);
    /* Each answer stays until somebody has found it. */
    for (unsigned i = 0; i < 200; i++) {
        unsigned before = atomic_load(&seeker.n_found);
        assert_int_equal(challenges_add_token(seeker.challenges, "abc", "abc.thumb"), 0);
        while (atomic_load(&seeker.n_found) == before)
            sched_yield();
        challenges_clear(seeker.challenges);
    }
    atomic_store(&seeker.is_over, true);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    challenges_free(seeker.challenges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_answered_until_it_is_taken_back),
        cmocka_unit_test(test_an_answer_that_is_too_long_is_refused),
        cmocka_unit_test(test_a_handshake_for_the_name_sees_the_answer),
        cmocka_unit_test(test_a_second_hello_without_the_protocol_ends_the_handshake),
        cmocka_unit_test(test_a_second_hello_like_the_first_is_answered),
        cmocka_unit_test(test_other_handshakes_are_not_taken),
        cmocka_unit_test(test_answers_come_and_go_while_others_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
