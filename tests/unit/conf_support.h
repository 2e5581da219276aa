/*
 * Configurations in tests that are no good: what is said of them. After cmocka.h.
 */
#ifndef QUOIT_TESTS_UNIT_CONF_SUPPORT_H
#define QUOIT_TESTS_UNIT_CONF_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/load.h"

/* text has one mistake, at key. */
static inline void refuse(const char *text, const char *key)
{
    struct conf_errors errors = {0};
    assert_null(conf_load_text("test.yaml", text, strlen(text), &errors));
    assert_int_equal(errors.n, 1);
    assert_string_equal(errors.list[0].key, key);
    conf_errors_fini(&errors);
}

/* The mistakes of a file f with this text, as they are printed. */
static inline void assert_errors(const char *text, const char *expected)
{
    struct conf_errors errors = {0};
    char *printed = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&printed, &n);
    assert_non_null(out);
    assert_null(conf_load_text("f", text, strlen(text), &errors));
    conf_errors_print(&errors, out);
    fclose(out);
    conf_errors_fini(&errors);
    assert_string_equal(printed, expected);
    free(printed);
}

#endif
