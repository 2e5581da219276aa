/*
 * The option table's shape: what one line of it says, and what a type of value can do.
 *
 * A key is a dotted path. Below a list its entries stand for `N`, below a map of the operator's own
 * names `NAME`: "pools.NAME.endpoints.N.weight". An option's offset counts from the innermost
 * structure that its path names: struct conf, or the entry of the last list or map in it.
 */
#ifndef QUOIT_CONF_OPTION_H
#define QUOIT_CONF_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/arena.h"

struct conf_option;

/* Puts text into field. Returns 0, -EINVAL when it is not such a value, or -ENOMEM. */
typedef int conf_parse_fn(const struct conf_option *option, const char *text, void *field,
                          struct conf_arena *arena);

/* Writes what is expected as a phrase: "a whole number from 1 to 10". */
typedef void conf_describe_fn(const struct conf_option *option, FILE *out);

enum conf_shape {
    CONF_SHAPE_VALUE,
    CONF_SHAPE_VALUES,  /* a list of values */
    CONF_SHAPE_SECTION, /* a map of options */
    CONF_SHAPE_LIST,    /* a list of sections */
    CONF_SHAPE_MAP,     /* sections by name */
    CONF_SHAPE_PAIRS,   /* values by name: of struct conf_pair */
};

struct conf_type {
    enum conf_shape shape;
    conf_parse_fn *parse; /* NULL for sections */
    conf_describe_fn *describe;
};

struct conf_option {
    const char *key;
    const struct conf_type *type;
    size_t offset, size; /* of the field; lists and maps: of the pointer to the entries */
    size_t count_offset; /* lists and maps: of the size_t that counts the entries */
    size_t entry_size;   /* lists and maps: of one entry */
    uint64_t min, max;
    const char *const *words; /* one for each value of an enum, from 0 on; NULL ends */
    const char *fallback;     /* the default as it would be written; NULL: none */
    const char *shorthand;    /* sections: the option that a single value stands for; or NULL */
    bool is_required;         /* in a section that is there */
    const char *meaning;      /* a paragraph for the reference */
};

/* The table; the first line is the whole file, with the key "". */
extern const struct conf_option conf_options[];
extern const size_t conf_n_options;

/* Whether option stands directly in section. */
bool conf_option_is_in(const struct conf_option *option, const struct conf_option *section);

/* The last element of an option's key. */
const char *conf_option_name(const struct conf_option *option);

/* A token of RFC 9110 section 5.6.2: what names of fields and cookies are made of. */
bool conf_is_token(const char *text);

/* The types a value can have (types.c). */
extern const struct conf_type conf_type_identity;                          /* identity.c */
extern const struct conf_type conf_type_acme_url, conf_type_acme_contacts; /* acme.c */
extern const struct conf_type conf_type_acme_names, conf_type_acme_kid, conf_type_base64url;
extern const struct conf_type conf_type_section, conf_type_list, conf_type_map;
extern const struct conf_type conf_type_number, conf_type_power, conf_type_prime, conf_type_decimal;
extern const struct conf_type conf_type_size, conf_type_duration, conf_type_bool, conf_type_word;
extern const struct conf_type conf_type_auto_number, conf_type_auto_size;
extern const struct conf_type conf_type_workers, conf_type_text, conf_type_secret;
extern const struct conf_type conf_type_field, conf_type_method, conf_type_path,
    conf_type_route_host;
extern const struct conf_type conf_type_listen, conf_type_endpoint, conf_type_key;
extern const struct conf_type conf_type_urls, conf_type_statuses, conf_type_cidrs;
extern const struct conf_type conf_type_retry_on, conf_type_alpn;
extern const struct conf_type conf_type_token, conf_type_domain;
extern const struct conf_type conf_type_field_values, conf_type_field_names;

#endif
