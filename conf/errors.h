/*
 * Collecting mistakes, for the loader's own files.
 */
#ifndef QUOIT_CONF_ERRORS_H
#define QUOIT_CONF_ERRORS_H

#include <stddef.h>

#include "conf/load.h"

/* Where something stands; line and column count from 1, 0: none. */
struct conf_place {
    const char *file;
    unsigned line, column;
};

/* Appends an error with a printf text; when memory is out, marks the list incomplete instead. */
__attribute__((format(printf, 4, 5))) void conf_errors_add(struct conf_errors *errors,
                                                           struct conf_place place, const char *key,
                                                           const char *format, ...);

/* The same about a pool's option, whose key is "pools.NAME" with option behind: ".tls.key", or ""
 * for the pool as a whole. */
__attribute__((format(printf, 5, 6))) void
conf_errors_add_pool(struct conf_errors *errors, struct conf_place place, const char *pool,
                     const char *option, const char *format, ...);

/* Appends all of from, which is empty then. */
void conf_errors_move(struct conf_errors *errors, struct conf_errors *from);

/* Room for conf_quote()'s result. */
#define CONF_QUOTE_SIZE 96

/* text in double quotes, escaped and shortened for a message; returns buffer. */
const char *conf_quote(const char *text, char buffer[CONF_QUOTE_SIZE]);

#endif
