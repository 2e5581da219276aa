/*
 * The event log: one line per event, an event name and key=value pairs, as text or JSON.
 *
 *     log_event(LOG_INFO, "endpoint_added", LOG_STR("pool", name), LOG_F64("weight", w));
 *
 * Written to standard error with one write(2) per line. Any thread after log_init(); not for the
 * request path. Levels below the configured one cost a comparison.
 */
#ifndef QUOIT_BALANCER_LOG_LOG_H
#define QUOIT_BALANCER_LOG_LOG_H

#include <stdint.h>

#include "conf/conf.h"

enum log_level {
    LOG_DEBUG = CONF_LOG_DEBUG,
    LOG_INFO = CONF_LOG_INFO,
    LOG_WARN = CONF_LOG_WARN,
    LOG_ERROR = CONF_LOG_ERROR,
};

/* Before any thread starts. Until then events go out as text at level info. */
void log_init(const struct conf_log *conf);

enum log_type {
    LOG_TYPE_END,
    LOG_TYPE_STR,
    LOG_TYPE_U64,
    LOG_TYPE_I64,
    LOG_TYPE_F64,
    LOG_TYPE_ERRNO
};

struct log_pair {
    const char *key; /* NULL ends the list */
    enum log_type type;
    union {
        const char *str; /* NULL is written as - (text) or null (JSON) */
        uint64_t u64;
        int64_t i64;
        double f64;
        int error; /* an errno value, written as its text */
    } value;
};

#define LOG_STR(k, v) ((struct log_pair){.key = (k), .type = LOG_TYPE_STR, .value.str = (v)})
#define LOG_U64(k, v) ((struct log_pair){.key = (k), .type = LOG_TYPE_U64, .value.u64 = (v)})
#define LOG_I64(k, v) ((struct log_pair){.key = (k), .type = LOG_TYPE_I64, .value.i64 = (v)})
#define LOG_F64(k, v) ((struct log_pair){.key = (k), .type = LOG_TYPE_F64, .value.f64 = (v)})
#define LOG_ERRNO(k, v) ((struct log_pair){.key = (k), .type = LOG_TYPE_ERRNO, .value.error = (v)})

/* log_event(LOG_INFO, "name", LOG_STR("key", value), …), with at least one pair. */
#define log_event(level, name, ...)                                                                \
    log_write((level), (name), (const struct log_pair[]){__VA_ARGS__, {.key = NULL}})

/* pairs ends with a NULL key; NULL: an event without pairs. */
void log_write(enum log_level level, const char *event, const struct log_pair *pairs);

#endif
