#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "discovery/token.h"

struct token_file {
    char path[32];
    struct conf_consul consul;
};

static int set_up(void **state)
{
    static struct token_file file;
    file = (struct token_file){.path = "/tmp/quoit-token-XXXXXX"};
    int fd = mkstemp(file.path);
    if (fd < 0)
        return -1;
    close(fd);
    file.consul.token_file = file.path;
    *state = &file;
    return 0;
}

static int tear_down(void **state)
{
    struct token_file *file = *state;
    unlink(file->path);
    return 0;
}

/* Reads a file of these n bytes. */
static int read_bytes(const struct token_file *file, const char *bytes, size_t n, char *token)
{
    int fd = open(file->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
    return token_read(&file->consul, token);
}

static void test_the_end_of_a_token_file_is_trimmed(void **state)
{
    char token[TOKEN_MAX];
    assert_int_equal(read_bytes(*state, "abc-123", 7, token), 0);
    assert_string_equal(token, "abc-123");
    assert_int_equal(read_bytes(*state, "def \t\r\n\n", 8, token), 0);
    assert_string_equal(token, "def");
}

static void test_what_could_forge_a_header_is_no_token(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"", 0},
        {"\n \n", 3},
        {"a\nX-Evil: 1", 11},
        {"a\rb", 3},
        {"a\0b", 3},
        {"a b", 3},
        {" abc", 4},
        {"a\x7f"
         "b",
         3},
    };
    char token[TOKEN_MAX] = "as it was";
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(read_bytes(*state, bad[i].bytes, bad[i].n, token), -EINVAL);
    assert_string_equal(token, "as it was");
}

static void test_a_token_has_a_largest_size(void **state)
{
    char bytes[TOKEN_MAX + 10], token[TOKEN_MAX];
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(read_bytes(*state, bytes, TOKEN_MAX - 1, token), 0);
    assert_int_equal(strlen(token), TOKEN_MAX - 1);
    assert_int_equal(read_bytes(*state, bytes, TOKEN_MAX, token), -EINVAL);
    assert_int_equal(read_bytes(*state, bytes, TOKEN_MAX + 10, token), -EINVAL);
}

static void test_a_file_that_cannot_be_read_is_an_error_at_once(void **state)
{
    struct token_file *file = *state;
    char token[TOKEN_MAX];
    unlink(file->path);
    assert_int_equal(token_read(&file->consul, token), -ENOENT);
    /* Nobody writes to it: reading must not wait for somebody. */
    assert_int_equal(mkfifo(file->path, 0600), 0);
    assert_int_equal(token_read(&file->consul, token), -EINVAL);
    unlink(file->path);
    assert_int_equal(mkdir(file->path, 0700), 0);
    assert_int_equal(token_read(&file->consul, token), -EISDIR);
    rmdir(file->path);
}

static void test_a_token_of_the_configuration_is_taken_as_it_is(void **state)
{
    (void)state;
    char text[] = "from-the-file";
    char token[TOKEN_MAX] = "before";
    assert_int_equal(token_read(&(struct conf_consul){.token = text}, token), 0);
    assert_string_equal(token, text);
    assert_int_equal(token_read(&(struct conf_consul){.token = NULL}, token), 0);
    assert_string_equal(token, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_end_of_a_token_file_is_trimmed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_could_forge_a_header_is_no_token, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_token_has_a_largest_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_read_is_an_error_at_once, set_up,
                                        tear_down),
        cmocka_unit_test(test_a_token_of_the_configuration_is_taken_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
