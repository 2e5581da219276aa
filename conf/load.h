/*
 * From YAML (or JSON) text and command-line settings to a struct conf.
 *
 * One option table (options.c) names every key with its type, range, default and meaning; it fills
 * the structures, checks the text and writes the reference. Nothing stops at the first mistake:
 * all of them are collected, each with its place.
 */
#ifndef QUOIT_CONF_LOAD_H
#define QUOIT_CONF_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "conf/conf.h"

/* One mistake. line and column count from 1; 0 where there is none (a command-line flag). */
struct conf_error {
    char *file; /* file name; of a setting: its flag, or "command line" */
    unsigned line, column;
    char *key;  /* dotted path, e.g. "pools.images.timeouts.connect"; "" for a syntax error */
    char *text; /* what was found and what was expected, no full stop */
};

struct conf_errors {
    struct conf_error *list;
    size_t n;
    bool is_incomplete; /* memory ran out: an error, or the load itself, is missing here */
};

void conf_errors_fini(struct conf_errors *errors);

/* Prints "file:line:column: key: text", one per line. */
void conf_errors_print(const struct conf_errors *errors, FILE *out);

/*
 * Adds a mistake in what the option of this key names, such as a file, at its place in the
 * configuration at path; for those who find it after loading. text as in struct conf_error.
 */
void conf_errors_add_later(struct conf_errors *errors, const char *path, const char *key,
                           const char *text);

/* Brings them into the order of their places. */
void conf_errors_sort(struct conf_errors *errors);

/*
 * A setting from the command line: a dotted key of the option table and its value. A number in the
 * key is an entry of a list, made when it is one past the end: "listeners.0.address" = ":8080". A
 * dot inside a name is written `\.`. flag (or NULL) names the setting in errors.
 */
struct conf_setting {
    const char *flag, *key, *value;
};

/*
 * Loads the file at path. Returns NULL when there is any error, with all of them appended to
 * *errors in the order of their places (an unreadable file is one too). The caller frees the result
 * (conf_free) and the errors.
 */
struct conf *conf_load_file(const char *path, struct conf_errors *errors);

/* The same for n bytes of text; name stands for the file in errors. */
struct conf *conf_load_text(const char *name, const char *text, size_t n,
                            struct conf_errors *errors);

/* A file with settings over it: each replaces what the file says at its key. */
struct conf *conf_load_file_with(const char *path, const struct conf_setting *settings, size_t n,
                                 struct conf_errors *errors);

/* A configuration from settings alone, no file. */
struct conf *conf_load_settings(const struct conf_setting *settings, size_t n,
                                struct conf_errors *errors);

/* Writes the option reference (Markdown) that docs/options.md holds. */
void conf_write_reference(FILE *out);

#endif
