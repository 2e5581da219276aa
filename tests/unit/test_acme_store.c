/* Files with keys: for nobody else, and whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "balancer/acme/jose.h"
#include "balancer/acme/store.h"
#include "balancer/tls/self_signed.h"

struct fixture {
    char top[32], folder[64], file[80];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    (void)snprintf(f->top, sizeof f->top, "/tmp/quoit-store-XXXXXX");
    if (mkdtemp(f->top) == NULL)
        return -1;
    (void)snprintf(f->folder, sizeof f->folder, "%s/state/ca", f->top);
    (void)snprintf(f->file, sizeof f->file, "%s/key", f->folder);
    *state = f;
    return store_prepare(f->folder);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char above[64];
    (void)snprintf(above, sizeof above, "%s/state", f->top);
    (void)unlink(f->file);
    int rc = rmdir(f->folder); /* fails when anything is left */
    (void)rmdir(above);
    (void)rmdir(f->top);
    free(f);
    return rc;
}

static mode_t mode_of(const char *path)
{
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    return about.st_mode & 07777;
}

static void test_folders_and_files_are_for_their_owner(void **state)
{
    const struct fixture *f = *state;
    assert_int_equal(mode_of(f->folder), 0700);
    assert_int_equal(store_prepare(f->folder), 0);
    assert_int_equal(store_write(f->file, "x", 1), 0);
    assert_int_equal(mode_of(f->file), 0600);
    assert_int_equal(store_check(f->file), 0);
}

static void test_a_file_in_the_place_of_a_folder_is_an_error(void **state)
{
    const struct fixture *f = *state;
    assert_int_equal(store_write(f->file, "x", 1), 0);
    assert_int_equal(store_prepare(f->file), -ENOTDIR);
}

static void test_a_file_is_replaced_as_a_whole(void **state)
{
    const struct fixture *f = *state;
    char *text;
    size_t n;
    assert_int_equal(store_write(f->file, "first", 5), 0);
    FILE *open_before = fopen(f->file, "re");
    assert_int_equal(store_write(f->file, "2nd", 3), 0);
    char old[8] = "";
    assert_int_equal(fread(old, 1, sizeof old, open_before), 5);
    assert_memory_equal(old, "first", 5);
    assert_int_equal(fclose(open_before), 0);
    assert_int_equal(store_read(f->file, &text, &n), 0);
    assert_int_equal(n, 3);
    assert_string_equal(text, "2nd");
    free(text);
}

static void test_a_file_that_cannot_be_written_leaves_nothing(void **state)
{
    const struct fixture *f = *state;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/none/key", f->folder);
    assert_int_equal(store_write(path, "x", 1), -ENOENT);
    assert_int_equal(mkdir(f->file, 0700), 0);
    assert_true(store_write(f->file, "x", 1) < 0); /* a folder has its name */
    assert_int_equal(rmdir(f->file), 0);
}

static void test_a_key_comes_back_as_it_went(void **state)
{
    const struct fixture *f = *state;
    EVP_PKEY *key = self_signed_key(SELF_SIGNED_ECDSA), *again = NULL;
    char first[JOSE_THUMBPRINT_SIZE], second[JOSE_THUMBPRINT_SIZE];
    assert_int_equal(store_read_key(f->file, &again), -ENOENT);
    assert_int_equal(store_write_key(f->file, key), 0);
    assert_int_equal(store_read_key(f->file, &again), 0);
    assert_int_equal(jose_thumbprint(key, first), 0);
    assert_int_equal(jose_thumbprint(again, second), 0);
    assert_string_equal(first, second);
    EVP_PKEY_free(key);
    EVP_PKEY_free(again);
}

static void test_a_key_that_others_may_read_is_refused(void **state)
{
    const struct fixture *f = *state;
    EVP_PKEY *key = self_signed_key(SELF_SIGNED_ECDSA), *again = NULL;
    static const mode_t modes[] = {0640, 0604, 0620, 0666};
    assert_int_equal(store_write_key(f->file, key), 0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(f->file, modes[i]), 0);
        assert_int_equal(store_read_key(f->file, &again), -EKEYREJECTED);
        assert_null(again);
    }
    char words[STORE_WORDS_SIZE];
    assert_non_null(strstr(store_words(-EKEYREJECTED, words), "chmod 600"));
    EVP_PKEY_free(key);
}

static void test_what_is_no_key_is_said_to_be_none(void **state)
{
    const struct fixture *f = *state;
    EVP_PKEY *key = NULL;
    assert_int_equal(store_write(f->file, "no key", 6), 0);
    assert_int_equal(store_read_key(f->file, &key), -EBADMSG);
    assert_int_equal(store_read_key(f->folder, &key), -EINVAL);
}

static void test_a_line_is_read_without_its_end(void **state)
{
    const struct fixture *f = *state;
    char text[8];
    static const char *const files[] = {"abc", "abc\n", "abc\r\n", "abc\ndef\n"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_int_equal(store_write(f->file, files[i], strlen(files[i])), 0);
        assert_int_equal(store_read_line(f->file, text, sizeof text), 0);
        assert_string_equal(text, "abc");
    }
    assert_int_equal(store_write(f->file, "abcdefgh", 8), 0);
    assert_int_equal(store_read_line(f->file, text, sizeof text), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folders_and_files_are_for_their_owner, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_file_in_the_place_of_a_folder_is_an_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_file_is_replaced_as_a_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_written_leaves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_key_comes_back_as_it_went, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_that_others_may_read_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_key_is_said_to_be_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_line_is_read_without_its_end, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
