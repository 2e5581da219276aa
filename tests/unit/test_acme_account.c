/* The account's key and the request that makes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "balancer/acme/account.h"
#include "balancer/acme/jose.h"
#include "balancer/acme/store.h"
#include "balancer/tls/self_signed.h"

#define URL "https://ca.test/new-account"

struct fixture {
    char folder[32], file[48];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/quoit-account-XXXXXX");
    if (mkdtemp(f->folder) == NULL)
        return -1;
    (void)snprintf(f->file, sizeof f->file, "%s/account.key", f->folder);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)unlink(f->file);
    int rc = rmdir(f->folder);
    free(f);
    return rc;
}

static void test_a_key_is_made_once(void **state)
{
    const struct fixture *f = *state;
    char first[JOSE_THUMBPRINT_SIZE], second[JOSE_THUMBPRINT_SIZE];
    EVP_PKEY *key, *again;
    assert_int_equal(account_key(f->folder, f->file, &key), 0);
    assert_int_equal(account_key(f->folder, f->file, &again), 0);
    assert_int_equal(jose_thumbprint(key, first), 0);
    assert_int_equal(jose_thumbprint(again, second), 0);
    assert_string_equal(first, second);
    EVP_PKEY_free(key);
    EVP_PKEY_free(again);
}

static void test_a_key_of_another_kind_is_refused(void **state)
{
    const struct fixture *f = *state;
    EVP_PKEY *rsa = self_signed_key(SELF_SIGNED_RSA), *key = NULL;
    assert_int_equal(store_write_key(f->file, rsa), 0);
    assert_int_equal(account_key(f->folder, f->file, &key), -EBADMSG);
    assert_null(key);
    EVP_PKEY_free(rsa);
}

static void test_a_request_agrees_and_names_contacts(void **state)
{
    (void)state;
    char *contacts[] = {"mailto:a@b.test"};
    const struct conf_acme conf = {.contacts = contacts, .n_contacts = 1};
    EVP_PKEY *key = self_signed_key(SELF_SIGNED_ECDSA);
    json_t *payload;
    assert_int_equal(account_request(&conf, key, URL, &payload), 0);
    char *text = json_dumps(payload, JSON_COMPACT);
    assert_string_equal(text, "{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:a@b.test\"]}");
    free(text);
    json_decref(payload);
    EVP_PKEY_free(key);
}

/* The bytes of a member in base64url, as JSON. */
static json_t *open_member(const json_t *object, const char *name)
{
    uint8_t bytes[1024];
    size_t n;
    assert_int_equal(
        jose_decode(json_string_value(json_object_get(object, name)), bytes, sizeof bytes, &n), 0);
    return json_loadb((const char *)bytes, n, 0, NULL);
}

/* RFC 8555 section 7.3.4. */
static void test_a_binding_signs_our_key_for_theirs(void **state)
{
    const struct fixture *f = *state;
    struct conf_acme conf = {.eab_kid = "kid-1", .eab_key_file = (char *)f->file};
    EVP_PKEY *key = self_signed_key(SELF_SIGNED_ECDSA);
    json_t *payload;
    assert_int_equal(account_request(&conf, key, URL, &payload), -ENOENT);
    assert_int_equal(store_write(f->file, "no base64!\n", 11), 0);
    assert_int_equal(account_request(&conf, key, URL, &payload), -EINVAL);
    assert_int_equal(store_write(f->file, "c2VjcmV0\n", 9), 0);
    assert_int_equal(account_request(&conf, key, URL, &payload), 0);
    const json_t *binding = json_object_get(payload, "externalAccountBinding");
    json_t *head = open_member(binding, "protected"), *signed_key = open_member(binding, "payload");
    json_t *jwk = jose_jwk(key);
    assert_string_equal(json_string_value(json_object_get(head, "alg")), "HS256");
    assert_string_equal(json_string_value(json_object_get(head, "kid")), "kid-1");
    assert_string_equal(json_string_value(json_object_get(head, "url")), URL);
    assert_null(json_object_get(head, "nonce"));
    assert_true(json_equal(signed_key, jwk));
    json_decref(head);
    json_decref(signed_key);
    json_decref(jwk);
    json_decref(payload);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_key_is_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_of_another_kind_is_refused, setup, teardown),
        cmocka_unit_test(test_a_request_agrees_and_names_contacts),
        cmocka_unit_test_setup_teardown(test_a_binding_signs_our_key_for_theirs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
