#include "conf/errors.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for one more; the list doubles whenever it is full, at every power of two. */
static bool reserve(struct conf_errors *errors)
{
    if (errors->n != 0 && (errors->n & (errors->n - 1)) != 0)
        return true;
    size_t room = errors->n == 0 ? 1 : errors->n * 2;
    struct conf_error *list = realloc(errors->list, room * sizeof(*list));
    if (list == NULL)
        return false;
    errors->list = list;
    return true;
}

static void error_fini(struct conf_error *error)
{
    free(error->file);
    free(error->key);
    free(error->text);
}

/* Owns key, which is NULL when memory was out. */
__attribute__((format(printf, 4, 0))) static void append(struct conf_errors *errors,
                                                         struct conf_place place, char *key,
                                                         const char *format, va_list arguments)
{
    struct conf_error error = {.line = place.line, .column = place.column, .key = key};
    if (vasprintf(&error.text, format, arguments) < 0)
        error.text = NULL;
    error.file = strdup(place.file);
    if (error.text == NULL || error.file == NULL || error.key == NULL || !reserve(errors)) {
        error_fini(&error);
        errors->is_incomplete = true;
        return;
    }
    errors->list[errors->n++] = error;
}

void conf_errors_add(struct conf_errors *errors, struct conf_place place, const char *key,
                     const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append(errors, place, strdup(key), format, arguments);
    va_end(arguments);
}

void conf_errors_add_pool(struct conf_errors *errors, struct conf_place place, const char *pool,
                          const char *option, const char *format, ...)
{
    char *key;
    va_list arguments;
    if (asprintf(&key, "pools.%s%s", pool, option) < 0)
        key = NULL;
    va_start(arguments, format);
    append(errors, place, key, format, arguments);
    va_end(arguments);
}

void conf_errors_move(struct conf_errors *errors, struct conf_errors *from)
{
    for (size_t i = 0; i < from->n; i++) {
        if (reserve(errors)) {
            errors->list[errors->n++] = from->list[i];
        } else {
            error_fini(&from->list[i]);
            errors->is_incomplete = true;
        }
    }
    errors->is_incomplete = errors->is_incomplete || from->is_incomplete;
    free(from->list);
    *from = (struct conf_errors){0};
}

void conf_errors_fini(struct conf_errors *errors)
{
    for (size_t i = 0; i < errors->n; i++)
        error_fini(&errors->list[i]);
    free(errors->list);
    *errors = (struct conf_errors){0};
}

static void print_one(const struct conf_error *error, FILE *out)
{
    fprintf(out, "%s:", error->file);
    if (error->line > 0)
        fprintf(out, "%u:%u:", error->line, error->column);
    if (error->key[0] != '\0')
        fprintf(out, " %s:", error->key);
    fprintf(out, " %s\n", error->text);
}

void conf_errors_print(const struct conf_errors *errors, FILE *out)
{
    for (size_t i = 0; i < errors->n; i++)
        print_one(&errors->list[i], out);
    if (errors->is_incomplete)
        fputs("out of memory while reading the configuration\n", out);
}

static int compare_numbers(unsigned a, unsigned b)
{
    return (a > b) - (a < b);
}

static int compare_errors(const void *left, const void *right)
{
    const struct conf_error *a = left;
    const struct conf_error *b = right;
    int order = compare_numbers(a->line, b->line);
    if (order == 0)
        order = compare_numbers(a->column, b->column);
    if (order == 0)
        order = strcmp(a->key, b->key);
    return order == 0 ? strcmp(a->text, b->text) : order;
}

void conf_errors_sort(struct conf_errors *errors)
{
    if (errors->n > 1)
        qsort(errors->list, errors->n, sizeof(*errors->list), compare_errors);
}

const char *conf_quote(const char *text, char buffer[CONF_QUOTE_SIZE])
{
    size_t at = 0;
    buffer[at++] = '"';
    /* What one more character (at most \xff), the dots and the quote need. */
    while (*text != '\0' && at + 4 + sizeof("...\"") <= CONF_QUOTE_SIZE) {
        unsigned char c = (unsigned char)*text++;
        if (c == '"' || c == '\\')
            buffer[at++] = '\\';
        if (c >= 0x20 && c != 0x7f)
            buffer[at++] = (char)c;
        else
            at += (size_t)snprintf(buffer + at, 5, "\\x%02x", c);
    }
    snprintf(buffer + at, CONF_QUOTE_SIZE - at, "%s\"", *text == '\0' ? "" : "...");
    return buffer;
}
