/* The option table and the reference that is written from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/load.h"
#include "conf/option.h"

static char *read_file(const char *path)
{
    char *text = calloc(1, 1 << 20);
    FILE *in = fopen(path, "re");
    assert_non_null(text);
    assert_non_null(in);
    size_t n = fread(text, 1, (1 << 20) - 1, in);
    assert_int_not_equal(n, 0);
    fclose(in);
    return text;
}

static void test_the_reference_in_docs_is_the_tables(void **state)
{
    (void)state;
    char *written = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&written, &n);
    assert_non_null(out);
    conf_write_reference(out);
    assert_int_equal(fclose(out), 0);
    char *committed = read_file(SOURCE_DIR "/docs/options.md");
    /* If this fails: `quoit help options > docs/options.md`. */
    assert_string_equal(committed, written);
    free(committed);
    free(written);
}

static const struct conf_option *section_of(const struct conf_option *option)
{
    for (size_t i = 0; i < conf_n_options; i++) {
        if (conf_option_is_in(option, &conf_options[i]))
            return &conf_options[i];
    }
    return NULL;
}

static void test_every_option_stands_behind_its_section(void **state)
{
    (void)state;
    for (size_t i = 1; i < conf_n_options; i++) {
        const struct conf_option *section = section_of(&conf_options[i]);
        assert_non_null(section);
        assert_true(section < &conf_options[i]);
        assert_null(section->type->parse);
    }
}

static void test_no_option_stands_in_the_table_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < conf_n_options; i++) {
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(conf_options[i].key, conf_options[j].key);
    }
}

static void test_every_option_says_what_it_means(void **state)
{
    (void)state;
    for (size_t i = 0; i < conf_n_options; i++) {
        assert_non_null(conf_options[i].meaning);
        size_t n = strlen(conf_options[i].meaning);
        assert_int_equal(conf_options[i].meaning[n - 1], '.');
    }
}

static void test_every_shorthand_is_an_option_of_its_section(void **state)
{
    (void)state;
    for (size_t i = 0; i < conf_n_options; i++) {
        if (conf_options[i].shorthand == NULL)
            continue;
        int found = 0;
        for (size_t j = 0; j < conf_n_options; j++)
            found += conf_option_is_in(&conf_options[j], &conf_options[i]) &&
                     strcmp(conf_option_name(&conf_options[j]), conf_options[i].shorthand) == 0;
        assert_int_equal(found, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reference_in_docs_is_the_tables),
        cmocka_unit_test(test_every_option_stands_behind_its_section),
        cmocka_unit_test(test_no_option_stands_in_the_table_twice),
        cmocka_unit_test(test_every_option_says_what_it_means),
        cmocka_unit_test(test_every_shorthand_is_an_option_of_its_section),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
