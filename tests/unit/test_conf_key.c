/* Every spelling of a hash key, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/load.h"

/* A configuration whose pool has these lines; NULL, with the first error in text, if it is wrong.
 */
static struct conf *load(const char *lines, char text[512])
{
    char file[1024];
    snprintf(file, sizeof file, "listeners: ':80'\npools:\n  a:\n    service: a\n    %s\n", lines);
    struct conf_errors errors = {0};
    struct conf *conf = conf_load_text("f", file, strlen(file), &errors);
    char *printed = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&printed, &n);
    assert_non_null(out);
    conf_errors_print(&errors, out);
    assert_int_equal(fclose(out), 0);
    snprintf(text, 512, "%s", printed);
    free(printed);
    conf_errors_fini(&errors);
    return conf;
}

static struct conf *load_key(const char *key)
{
    char lines[256], text[512];
    snprintf(lines, sizeof lines, "hash_key: '%s'", key);
    return load(lines, text);
}

static void expect_plain(const char *text, enum conf_key_source source, const char *name)
{
    struct conf *conf = load_key(text);
    assert_non_null(conf);
    const struct conf_key *key = &conf->pools[0].key;
    assert_int_equal(key->source, source);
    assert_int_equal(key->n_parts, 0);
    assert_int_equal(key->name == NULL, name == NULL);
    if (name != NULL)
        assert_string_equal(key->name, name);
    conf_free(conf);
}

static void expect_parts(const char *text, const struct conf_key_part *parts, uint32_t n_parts,
                         uint32_t n_body_fields)
{
    struct conf *conf = load_key(text);
    assert_non_null(conf);
    const struct conf_key *key = &conf->pools[0].key;
    assert_int_equal(key->source, CONF_KEY_TEMPLATE);
    assert_int_equal(key->n_parts, n_parts);
    assert_int_equal(key->n_body_fields, n_body_fields);
    for (uint32_t i = 0; i < n_parts; i++) {
        const struct conf_key_part *is = &key->parts[i], *expected = &parts[i];
        bool is_address = is->source == CONF_KEY_CLIENT || is->source == CONF_KEY_FORWARDED;
        assert_int_equal(is->source, expected->source);
        assert_int_equal(is->filters, expected->filters);
        assert_int_equal(is->segments, expected->segments);
        assert_int_equal(is_address ? is->v4_bits : 0, expected->v4_bits);
        assert_int_equal(is_address ? is->v6_bits : 0, expected->v6_bits);
        assert_int_equal(is->name == NULL, expected->name == NULL);
        if (is->name != NULL)
            assert_string_equal(is->name, expected->name);
    }
    conf_free(conf);
}

static void test_a_placeholder_alone_is_the_source_itself(void **state)
{
    (void)state;
    expect_plain("path", CONF_KEY_PATH, NULL);
    expect_plain("{path}", CONF_KEY_PATH, NULL);
    expect_plain("{query:id}", CONF_KEY_QUERY, "id");
    expect_plain("{client/32,128}", CONF_KEY_CLIENT, NULL);
    expect_plain("none", CONF_KEY_NONE, NULL);
}

static void test_a_bar_belongs_to_a_name_outside_of_braces(void **state)
{
    (void)state;
    expect_plain("header:a|lower", CONF_KEY_HEADER, "a|lower");
}

static void test_every_source_has_its_spelling(void **state)
{
    (void)state;
    char x_a[] = "X-A";
    const struct {
        const char *text;
        struct conf_key_part part;
    } rows[] = {
        {"path:2", {.source = CONF_KEY_PATH, .segments = 2}},
        {"query", {.source = CONF_KEY_ARGUMENTS}},
        {"host", {.source = CONF_KEY_HOST, .filters = CONF_KEY_LOWER}},
        {"method", {.source = CONF_KEY_METHOD}},
        {"client/24", {.source = CONF_KEY_CLIENT, .v4_bits = 24, .v6_bits = 64}},
        {"client/32,56", {.source = CONF_KEY_CLIENT, .v4_bits = 32, .v6_bits = 56}},
        {"forwarded", {.source = CONF_KEY_FORWARDED, .v4_bits = 32, .v6_bits = 128}},
        {"forwarded/1,1", {.source = CONF_KEY_FORWARDED, .v4_bits = 1, .v6_bits = 1}},
        {"{uri|sorted}", {.source = CONF_KEY_URI, .filters = CONF_KEY_SORTED}},
        {"{query|lower|sorted}",
         {.source = CONF_KEY_ARGUMENTS, .filters = CONF_KEY_LOWER | CONF_KEY_SORTED}},
        {"{header:X-A|optional}",
         {.source = CONF_KEY_HEADER, .filters = CONF_KEY_OPTIONAL, .name = x_a}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_parts(rows[i].text, &rows[i].part, 1, 0);
}

static void test_fields_of_the_body_are_counted(void **state)
{
    (void)state;
    const struct conf_key_part parts[] = {
        {.source = CONF_KEY_JSON, .name = (char[]){"user.0.id"}},
        {.source = CONF_KEY_TEXT, .name = (char[]){"/"}},
        {.source = CONF_KEY_FORM, .filters = CONF_KEY_LOWER, .name = (char[]){"a b"}},
    };
    expect_parts("{json:user.0.id}/{form:a b|lower}", parts, 3, 2);
    expect_parts("json:user.0.id", parts, 1, 1);
}

static void test_text_stands_between_placeholders_and_doubled_braces_in_it(void **state)
{
    (void)state;
    const struct conf_key_part parts[] = {
        {.source = CONF_KEY_TEXT, .name = (char[]){"a{b}"}},
        {.source = CONF_KEY_HOST, .filters = CONF_KEY_LOWER},
        {.source = CONF_KEY_PATH, .segments = 100, .filters = CONF_KEY_LOWER},
        {.source = CONF_KEY_TEXT, .name = (char[]){"|é"}},
    };
    expect_parts("a{{b}}{host}{path:100|lower}|é", parts, 4, 0);
}

static void test_what_is_no_key_is_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"",
                                       "moon",
                                       "PATH",
                                       "path ",
                                       "path:",
                                       "path:0",
                                       "path:101",
                                       "path:x",
                                       "path/24",
                                       "uri:1",
                                       "query:",
                                       "query:a&b",
                                       "header",
                                       "cookie:a=b",
                                       "client:24",
                                       "client/",
                                       "client/0",
                                       "client/33",
                                       "client/24,",
                                       "client/24,129",
                                       "client/24,0",
                                       "client/24,64,1",
                                       "forwarded/x",
                                       "host:x",
                                       "json:",
                                       "json:.a",
                                       "json:a.",
                                       "json:a..b",
                                       "form:",
                                       "text",
                                       "{path",
                                       "path}",
                                       "{}",
                                       "{{path}}",
                                       "{pa{th}}",
                                       "{path}}",
                                       "{{path}",
                                       "{host}{",
                                       "{none}",
                                       "{path|upper}",
                                       "{path|}",
                                       "{|lower}",
                                       "{path|lower|lower}",
                                       "{path|sorted}",
                                       "{path|optional}",
                                       "{uri|optional}",
                                       "{client|lower}",
                                       "{query:a|sorted}",
                                       "{host }",
                                       "{json:a}{json:b}{json:c}{form:d}{form:e}"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct conf *conf = load_key(keys[i]);
        if (conf != NULL)
            fail_msg("'%s' was taken", keys[i]);
    }
}

static void test_a_template_has_a_limited_number_of_parts(void **state)
{
    (void)state;
    char text[256] = "";
    for (int i = 0; i < CONF_KEY_MAX_PARTS; i++)
        strncat(text, "{path}", sizeof text - strlen(text) - 1);
    struct conf *conf = load_key(text);
    assert_non_null(conf);
    conf_free(conf);
    strncat(text, "{path}", sizeof text - strlen(text) - 1);
    assert_null(load_key(text));
    text[strlen(text) - strlen("{path}")] = 'x';
    text[strlen(text) - strlen("{path}") + 1] = '\0';
    assert_null(load_key(text));
}

static void test_a_body_that_is_looked_through_fits_into_a_buffer(void **state)
{
    (void)state;
    char text[512];
    struct conf *conf = load("hash_key: json:id\n    hash_key_body: 16k", text);
    assert_non_null(conf);
    assert_int_equal(conf->pools[0].key_body_bytes, 16384);
    conf_free(conf);
    assert_null(load("hash_key_fallback: form:id\n    hash_key_body: 17k", text));
    assert_string_equal(text, "f:6:20: pools.a.hash_key_body: found 17408 bytes beside a "
                              "client.max_head_size of 16384, expected both to fit into a "
                              "buffer_size of 32768\n");
    conf = load("hash_key: path\n    hash_key_body: 17k", text);
    assert_non_null(conf);
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_placeholder_alone_is_the_source_itself),
        cmocka_unit_test(test_a_bar_belongs_to_a_name_outside_of_braces),
        cmocka_unit_test(test_every_source_has_its_spelling),
        cmocka_unit_test(test_fields_of_the_body_are_counted),
        cmocka_unit_test(test_text_stands_between_placeholders_and_doubled_braces_in_it),
        cmocka_unit_test(test_what_is_no_key_is_refused),
        cmocka_unit_test(test_a_template_has_a_limited_number_of_parts),
        cmocka_unit_test(test_a_body_that_is_looked_through_fits_into_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
