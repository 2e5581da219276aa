/*
 * Any bytes as a JSON document, after a line with the path of a field: however they are cut the
 * result is the same, and jansson, where it takes the document too, finds the same value.
 */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "balancer/http/json_field.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define VALUE_BYTES 4096

struct result {
    enum field_status status;
    struct span value;
    uint8_t room[VALUE_BYTES];
};

static void search(const char *path, struct span text, size_t piece, struct result *result)
{
    struct json_field field;
    struct key_text value;
    json_field_begin(&field, path);
    key_text_begin(&value, result->room, sizeof result->room);
    result->status = FIELD_MORE;
    while (text.n > 0 && result->status == FIELD_MORE) {
        size_t n = text.n < piece ? text.n : piece;
        result->status = json_field_feed(&field, (struct span){text.p, n}, &value);
        text = (struct span){text.p + n, text.n - n};
    }
    result->value = key_text_end(&value);
}

static const json_t *member(const json_t *container, const char *name, size_t n)
{
    if (json_is_object(container))
        return json_object_getn(container, name, n);
    char *end;
    char digits[12];
    if (!json_is_array(container) || n == 0 || n > 9 || (n > 1 && name[0] == '0'))
        return NULL;
    snprintf(digits, sizeof digits, "%.*s", (int)n, name);
    unsigned long index = strtoul(digits, &end, 10);
    return *end == '\0' && digits[0] >= '0' && digits[0] <= '9' ? json_array_get(container, index)
                                                                : NULL;
}

static const json_t *find(const json_t *root, const char *path)
{
    const json_t *at = root;
    while (at != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        at = member(at, path, n);
        path += path[n] == '.' ? n + 1 : n;
    }
    return at;
}

/* A document that jansson takes: with one of each name, no deeper than we go. */
static void compare(const json_t *root, const char *path, const struct result *result)
{
    const json_t *found = find(root, path);
    bool is_scalar =
        found != NULL && !json_is_null(found) && !json_is_object(found) && !json_is_array(found);
    assert(result->status == (is_scalar ? FIELD_FOUND : FIELD_ABSENT));
    if (json_is_string(found) && json_string_length(found) < VALUE_BYTES)
        assert(span_equal(result->value, (struct span){(const uint8_t *)json_string_value(found),
                                                       json_string_length(found)}));
    if (json_is_boolean(found))
        assert(span_equal(result->value, json_is_true(found) ? SPAN("true") : SPAN("false")));
}

static size_t depth_of(struct span text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.n; i++)
        depth += text.p[i] == '[' || text.p[i] == '{';
    return depth;
}

/* As the configuration has it: no empty part. */
static bool is_path(const char *path)
{
    size_t n = strlen(path);
    return n > 0 && path[0] != '.' && path[n - 1] != '.' && strstr(path, "..") == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *newline = n > 0 ? memchr(data, '\n', n) : NULL;
    char path[128];
    if (newline == NULL || (size_t)(newline - data) >= sizeof path)
        return 0;
    memcpy(path, data, (size_t)(newline - data));
    path[newline - data] = '\0';
    if (!is_path(path))
        return 0;
    struct span text = {newline + 1, n - (size_t)(newline + 1 - data)};
    static struct result whole, bytewise, pieces;
    search(path, text, SIZE_MAX, &whole);
    search(path, text, 1, &bytewise);
    search(path, text, 7, &pieces);
    assert(whole.status == bytewise.status && span_equal(whole.value, bytewise.value));
    assert(whole.status == pieces.status && span_equal(whole.value, pieces.value));

    json_t *root = json_loadb((const char *)text.p, text.n,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    /* A root that is a scalar needs its end, which we are not told of; a NUL between tokens is
     * blank to jansson. */
    bool is_comparable = (json_is_object(root) || json_is_array(root)) && depth_of(text) <= 64 &&
                         memchr(text.p, '\0', text.n) == NULL;
    if (is_comparable)
        compare(root, path, &whole);
    json_decref(root);
    return 0;
}
