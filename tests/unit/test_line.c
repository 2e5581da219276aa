#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "balancer/log/line.h"

static char buffer[16384];

static struct line begun(enum line_format format, size_t size)
{
    struct line line;
    line_init(&line, format, buffer, size);
    return line;
}

static const char *ended(struct line *line)
{
    buffer[line_end(line)] = '\0';
    return buffer;
}

/* The line as a JSON object, which it must be. */
static json_t *ended_object(struct line *line)
{
    size_t n = line_end(line);
    json_error_t error;
    json_t *object = json_loadb(buffer, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (object == NULL)
        fail_msg("%s in %.*s", error.text, (int)n, buffer);
    assert_int_equal(buffer[n - 1], '\n');
    return object;
}

/* The line of one text pair. */
static const char *text_of(struct span value)
{
    struct line line = begun(LINE_TEXT, sizeof buffer);
    line_str(&line, "k", value);
    return ended(&line);
}

static void test_text_values_are_quoted_only_where_a_reader_needs_it(void **state)
{
    (void)state;
    assert_string_equal(text_of(SPAN("10.0.0.1:80")), "k=10.0.0.1:80\n");
    assert_string_equal(text_of(SPAN("/a?b=c")), "k=/a?b=c\n");
    assert_string_equal(text_of(SPAN("two words")), "k=\"two words\"\n");
    assert_string_equal(text_of(SPAN("")), "k=\"\"\n");
    assert_string_equal(text_of(SPAN("-")), "k=\"-\"\n");
    assert_string_equal(text_of((struct span){NULL, 0}), "k=-\n");
}

static void test_text_values_cannot_forge_lines_or_pairs(void **state)
{
    (void)state;
    assert_string_equal(text_of(SPAN("x\nERROR forged")), "k=\"x\\nERROR forged\"\n");
    assert_string_equal(text_of(SPAN("x\" y=\"z")), "k=\"x\\\" y=\\\"z\"\n");
    assert_string_equal(text_of(SPAN("\\\r\t\x1b[2J\0")), "k=\"\\\\\\r\\t\\x1b[2J\\x00\"\n");
    assert_string_equal(text_of(SPAN("\xc2\x9b")), "k=\"\\xc2\\x9b\"\n"); /* a terminal's CSI */
    assert_string_equal(text_of(SPAN("\x7f")), "k=\"\\x7f\"\n");
}

static void test_valid_utf8_passes_and_invalid_is_escaped(void **state)
{
    (void)state;
    assert_string_equal(text_of(SPAN("gr\xc3\xbc\xc3\x9f")), "k=\"gr\xc3\xbc\xc3\x9f\"\n");
    assert_string_equal(text_of(SPAN("\xf0\x9f\x98\x80")), "k=\"\xf0\x9f\x98\x80\"\n");
    assert_string_equal(text_of(SPAN("\xff")), "k=\"\\xff\"\n");
    assert_string_equal(text_of(SPAN("\xc0\xaf")), "k=\"\\xc0\\xaf\"\n");          /* overlong */
    assert_string_equal(text_of(SPAN("\xed\xa0\x80")), "k=\"\\xed\\xa0\\x80\"\n"); /* surrogate */
    assert_string_equal(text_of(SPAN("\xe2\x82")), "k=\"\\xe2\\x82\"\n");          /* cut off */
    assert_string_equal(text_of(SPAN("\xf4\x90\x80\x80")), "k=\"\\xf4\\x90\\x80\\x80\"\n");
    assert_string_equal(text_of(SPAN("\xf5\x80\x80\x80")), "k=\"\\xf5\\x80\\x80\\x80\"\n");
}

static void test_every_byte_and_pair_of_bytes_makes_valid_json(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 65536; i++) {
        uint8_t bytes[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        struct line line = begun(LINE_JSON, sizeof buffer);
        line_str(&line, "k", (struct span){bytes, 2});
        json_decref(ended_object(&line));
    }
}

static void test_json_says_what_was_there(void **state)
{
    (void)state;
    struct line line = begun(LINE_JSON, sizeof buffer);
    line_str(&line, "s", SPAN("a\"b\\c\nd\x01\xff"));
    line_str(&line, "none", (struct span){NULL, 0});
    line_u64(&line, "u", UINT64_MAX);
    line_i64(&line, "i", INT64_MIN);
    line_f64(&line, "f", 1.5);
    line_f64(&line, "nan", NAN);
    line_time(&line, "t", 0, 6);
    assert_string_equal(ended(&line), "{\"s\":\"a\\\"b\\\\c\\nd\\u0001\\\\xff\",\"none\":null,"
                                      "\"u\":18446744073709551615,\"i\":-9223372036854775808,"
                                      "\"f\":1.5,\"nan\":null,\"t\":\"1970-01-01T00:00:00."
                                      "000000Z\"}\n");
}

static void test_doubles_read_back_as_they_were(void **state)
{
    (void)state;
    static const double values[] = {0, 0.1, 1.0 / 3, 1e300, -2.5e-10, 65536, 0.30000000000000004};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct line line = begun(LINE_TEXT, sizeof buffer);
        line_f64(&line, "f", values[i]);
        const char *text = ended(&line);
        assert_true(strtod(text + 2, NULL) == values[i]);
    }
}

static void test_long_values_are_cut_between_characters(void **state)
{
    (void)state;
    static char value[LINE_VALUE_MAX + 100];
    memset(value, 'a', sizeof value);
    memcpy(value + LINE_VALUE_MAX - 1, "\xc3\xbc", 2);
    struct line line = begun(LINE_JSON, sizeof buffer);
    line_str(&line, "k", (struct span){(const uint8_t *)value, sizeof value});
    json_t *object = ended_object(&line);
    const char *got = json_string_value(json_object_get(object, "k"));
    assert_int_equal(strlen(got), LINE_VALUE_MAX - 1 + 3);
    assert_string_equal(got + LINE_VALUE_MAX - 1, "...");
    json_decref(object);
}

static void test_a_full_line_ends_whole_and_says_so(void **state)
{
    (void)state;
    for (size_t size = LINE_MIN_SIZE; size < 200; size++) {
        memset(buffer, '#', sizeof buffer);
        struct line line = begun(LINE_JSON, size);
        line_str(&line, "first", SPAN("1"));
        for (int i = 0; i < 20; i++)
            line_str(&line, "more", SPAN("0123456789\n"));
        line_u64(&line, "last", 7); /* would fit, but order is kept: nothing after a gap */
        size_t n = line_end(&line);
        assert_true(n <= size);
        assert_int_equal(buffer[size], '#');
        json_t *object = json_loadb(buffer, n, 0, NULL);
        assert_non_null(object);
        assert_string_equal(json_string_value(json_object_get(object, "first")), "1");
        assert_true(json_is_true(json_object_get(object, "truncated")));
        assert_null(json_object_get(object, "last"));
        json_decref(object);
    }
}

static void test_a_full_text_line_ends_in_truncated(void **state)
{
    (void)state;
    struct line line = begun(LINE_TEXT, LINE_MIN_SIZE);
    line_u64(&line, "a", 1);
    line_str(&line, "b", SPAN("01234567890123456789012345678901234567890123456789"));
    assert_string_equal(ended(&line), "a=1 truncated=true\n");
}

static void test_times_agree_with_the_c_library(void **state)
{
    (void)state;
    for (uint64_t second = 0; second < 8000000000; second += 86400 * 13 + 3607) {
        time_t t = (time_t)second;
        struct tm tm;
        char want[64];
        gmtime_r(&t, &tm);
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000123Z %d/%b/%Y:%H:%M:%S +0000\n", &tm);
        struct line line = begun(LINE_TEXT, sizeof buffer);
        line_put_time(&line, second * 1000000 + 123, 6);
        line_put(&line, SPAN(" "));
        line_put_combined_time(&line, second * 1000000 + 123);
        assert_string_equal(ended(&line), want);
    }
}

static void test_leap_days_are_dates(void **state)
{
    (void)state;
    struct line line = begun(LINE_TEXT, sizeof buffer);
    line_put_time(&line, 951782400123456, 3);
    assert_string_equal(ended(&line), "2000-02-29T00:00:00.123Z\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_values_are_quoted_only_where_a_reader_needs_it),
        cmocka_unit_test(test_text_values_cannot_forge_lines_or_pairs),
        cmocka_unit_test(test_valid_utf8_passes_and_invalid_is_escaped),
        cmocka_unit_test(test_every_byte_and_pair_of_bytes_makes_valid_json),
        cmocka_unit_test(test_json_says_what_was_there),
        cmocka_unit_test(test_doubles_read_back_as_they_were),
        cmocka_unit_test(test_long_values_are_cut_between_characters),
        cmocka_unit_test(test_a_full_line_ends_whole_and_says_so),
        cmocka_unit_test(test_a_full_text_line_ends_in_truncated),
        cmocka_unit_test(test_times_agree_with_the_c_library),
        cmocka_unit_test(test_leap_days_are_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
