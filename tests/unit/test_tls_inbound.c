/* Certificates of a listener: which are chosen in a handshake, and what becomes of bad files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "balancer/tls/inbound.h"

#define MAX_FILES 8

struct fixture {
    char files[MAX_FILES][40];
    size_t n_files;
    char said[1024]; /* keys and texts, each with a line feed behind */
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return *state == NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->n_files; i++)
        (void)unlink(f->files[i]);
    free(f);
    return 0;
}

static void on_say(void *context, enum tls_severity severity, const char *key, const char *file,
                   const char *text)
{
    struct fixture *f = context;
    (void)severity, (void)file;
    size_t n = strlen(f->said);
    (void)snprintf(f->said + n, sizeof f->said - n, "%s %s\n", key, text);
}

static X509 *make_leaf(EVP_PKEY *key, const char *names, long valid_s)
{
    X509 *leaf = X509_new();
    X509V3_CTX context;
    assert_int_equal(X509_set_version(leaf, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(leaf), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(leaf), -7200));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(leaf), valid_s));
    assert_int_equal(X509_set_pubkey(leaf, key), 1);
    X509V3_set_ctx(&context, leaf, leaf, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(leaf, extension, -1), 1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(leaf, key, EVP_sha256()) > 0);
    return leaf;
}

/* A file with a new key and a certificate of its own, for names as in a configuration of OpenSSL;
 * its path. */
static char *make_file(struct fixture *f, const char *type, const char *names, long valid_s)
{
    char *path = f->files[f->n_files++];
    assert_true(f->n_files <= MAX_FILES);
    strncpy(path, "/tmp/quoit-certificate-XXXXXX", sizeof f->files[0] - 1);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *out = fdopen(fd, "w");
    EVP_PKEY *key = strcmp(type, "EC") == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
    assert_non_null(key);
    X509 *leaf = make_leaf(key, names, valid_s);
    assert_int_equal(PEM_write_X509(out, leaf), 1);
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(out), 0);
    X509_free(leaf);
    EVP_PKEY_free(key);
    return path;
}

static struct conf_tls conf_of(struct conf_certificate *certificates, size_t n)
{
    static uint8_t alpn[] = {CONF_ALPN_HTTP_1_1};
    return (struct conf_tls){.certificates = certificates,
                             .n_certificates = n,
                             .alpn = alpn,
                             .n_alpn = 1,
                             .max_version = CONF_TLS_1_3,
                             .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:"
                                        "ECDHE-RSA-AES128-GCM-SHA256",
                             .cipher_suites = "TLS_AES_128_GCM_SHA256",
                             .curves = "X25519",
                             .has_tickets = true,
                             .ticket_rotation_ms = 3600000};
}

/* Both sides in memory; the number of bits of the key that the server has shown, 0: it refused. */
static int bits_for(struct inbound *inbound, const char *name, const char *ciphers)
{
    struct inbound_set *set;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *server = inbound_open(inbound, &set), *client = SSL_new(context);
    BIO *ours, *theirs;
    int bits = 0;
    assert_int_equal(BIO_new_bio_pair(&ours, 65536, &theirs, 65536), 1);
    SSL_set_bio(server, ours, ours);
    SSL_set_bio(client, theirs, theirs);
    SSL_set_connect_state(client);
    if (ciphers != NULL) {
        assert_int_equal(SSL_set_max_proto_version(client, TLS1_2_VERSION), 1);
        assert_int_equal(SSL_set_cipher_list(client, ciphers), 1);
    }
    if (name != NULL)
        assert_int_equal(SSL_set_tlsext_host_name(client, name), 1);
    for (int i = 0; i < 8 && !SSL_is_init_finished(client); i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    if (SSL_is_init_finished(client))
        bits = EVP_PKEY_get_bits(X509_get0_pubkey(SSL_get0_peer_certificate(client)));
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(context);
    inbound_set_unref(set);
    return bits;
}

static void test_a_client_gets_the_kind_of_certificate_that_it_can_use(void **state)
{
    struct fixture *f = *state;
    const struct tls_report report = {.say = on_say, .context = f};
    struct conf_certificate files[] = {{.cert_file = make_file(f, "EC", "DNS:a.test", 3600)},
                                       {.cert_file = make_file(f, "RSA", "DNS:a.test", 3600)}};
    struct conf_tls conf = conf_of(files, 2);
    struct inbound *inbound;
    assert_int_equal(inbound_new(&conf, "listeners.0.tls", &report, &inbound), 0);
    assert_int_equal(bits_for(inbound, "a.test", NULL), 256);
    assert_int_equal(bits_for(inbound, "a.test", "ECDHE-RSA-AES128-GCM-SHA256"), 2048);
    assert_int_equal(bits_for(inbound, "other.test", NULL), 256);
    assert_string_equal(f->said, "");
    inbound_free(inbound);
}

static void test_strict_names_refuse_all_others(void **state)
{
    struct fixture *f = *state;
    const struct tls_report report = {.say = on_say, .context = f};
    struct conf_certificate files[] = {{.cert_file = make_file(f, "EC", "DNS:*.a.test", 3600)}};
    struct conf_tls conf = conf_of(files, 1);
    struct inbound *inbound;
    conf.strict_sni = true;
    assert_int_equal(inbound_new(&conf, "listeners.0.tls", &report, &inbound), 0);
    assert_int_equal(bits_for(inbound, "x.a.test", NULL), 256);
    assert_int_equal(bits_for(inbound, "a.test", NULL), 0);
    assert_int_equal(bits_for(inbound, NULL, NULL), 0);
    inbound_free(inbound);
}

static void test_bad_new_files_leave_the_old_ones_in_use(void **state)
{
    struct fixture *f = *state;
    const struct tls_report report = {.say = on_say, .context = f};
    struct conf_certificate files[] = {{.cert_file = make_file(f, "EC", "DNS:a.test", 3600)}};
    struct conf_tls conf = conf_of(files, 1);
    struct inbound *inbound;
    assert_int_equal(inbound_new(&conf, "listeners.0.tls", &report, &inbound), 0);
    assert_false(inbound_has_changed(inbound));
    assert_int_equal(truncate(files[0].cert_file, 40), 0);
    assert_true(inbound_has_changed(inbound));
    assert_int_equal(inbound_load(inbound, &report), -EINVAL);
    assert_non_null(strstr(f->said, "listeners.0.tls.certificates.0.cert "));
    assert_false(inbound_has_changed(inbound));
    assert_int_equal(bits_for(inbound, "a.test", NULL), 256);
    inbound_free(inbound);
}

static void test_a_key_of_another_certificate_is_told_with_its_place(void **state)
{
    struct fixture *f = *state;
    const struct tls_report report = {.say = on_say, .context = f};
    struct conf_certificate files[] = {
        {.cert_file = make_file(f, "EC", "DNS:a.test", 3600)},
        {.cert_file = make_file(f, "EC", "DNS:b.test", 3600), .key_file = f->files[0]}};
    struct conf_tls conf = conf_of(files, 2);
    struct inbound *inbound;
    assert_int_equal(inbound_new(&conf, "listeners.3.tls", &report, &inbound), -EINVAL);
    assert_string_equal(f->said, "listeners.3.tls.certificates.1.key key values mismatch, expected "
                                 "the key of the certificate\n");
}

static void test_an_expired_certificate_serves_with_a_warning(void **state)
{
    struct fixture *f = *state;
    const struct tls_report report = {.say = on_say, .context = f};
    struct conf_certificate files[] = {{.cert_file = make_file(f, "EC", "DNS:a.test", -3600)}};
    struct conf_tls conf = conf_of(files, 1);
    struct inbound *inbound;
    assert_int_equal(inbound_new(&conf, "listeners.0.tls", &report, &inbound), 0);
    assert_string_equal(f->said, "listeners.0.tls.certificates.0.cert certificate has expired\n");
    assert_int_equal(bits_for(inbound, "a.test", NULL), 256);
    inbound_free(inbound);
}

/* One that quoit gets for itself: a placeholder first, RSA in its file later, so that the number of
 * bits tells them apart. */
static void test_a_placeholder_stands_in_until_its_file_is_there(void **state)
{
    struct fixture *f = *state;
    const struct tls_report report = {.say = on_say, .context = f};
    char *names[] = {"a.test"}, moved[48];
    char *file = make_file(f, "RSA", "DNS:a.test", 3600);
    struct conf_certificate files[] = {{.cert_file = file, .names = names, .n_names = 1}};
    struct conf_tls conf = conf_of(files, 1);
    struct inbound *inbound;
    (void)snprintf(moved, sizeof moved, "%s.new", file);
    assert_int_equal(rename(file, moved), 0);
    assert_int_equal(inbound_new(&conf, "listeners.0.tls", &report, &inbound), 0);
    assert_int_equal(bits_for(inbound, "a.test", NULL), 256);
    assert_false(inbound_has_changed(inbound));
    assert_int_equal(rename(moved, file), 0);
    assert_true(inbound_has_changed(inbound));
    assert_int_equal(inbound_load(inbound, &report), 0);
    assert_int_equal(bits_for(inbound, "a.test", NULL), 2048);
    assert_string_equal(f->said, "");
    /* A file that goes away takes nothing with it. */
    assert_int_equal(unlink(file), 0);
    assert_int_equal(inbound_load(inbound, &report), -EINVAL);
    assert_int_equal(bits_for(inbound, "a.test", NULL), 2048);
    inbound_free(inbound);
}

static void test_a_file_of_its_own_that_is_no_good_gives_a_placeholder(void **state)
{
    struct fixture *f = *state;
    const struct tls_report report = {.say = on_say, .context = f};
    char *names[] = {"a.test"};
    char *file = make_file(f, "RSA", "DNS:a.test", 3600);
    struct conf_certificate files[] = {{.cert_file = file, .names = names, .n_names = 1}};
    struct conf_tls conf = conf_of(files, 1);
    struct inbound *inbound;
    assert_int_equal(truncate(file, 40), 0);
    assert_int_equal(inbound_new(&conf, "listeners.0.tls", &report, &inbound), 0);
    assert_int_equal(bits_for(inbound, "a.test", NULL), 256);
    assert_non_null(strstr(f->said, "listeners.0.tls.certificates.0.cert"));
    inbound_free(inbound);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_client_gets_the_kind_of_certificate_that_it_can_use,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_strict_names_refuse_all_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_new_files_leave_the_old_ones_in_use, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_key_of_another_certificate_is_told_with_its_place,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_expired_certificate_serves_with_a_warning, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_placeholder_stands_in_until_its_file_is_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_file_of_its_own_that_is_no_good_gives_a_placeholder,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
