/*
 * The tree that a configuration is read from: what the file and the command line say, each value
 * with its place, before any option has looked at it.
 *
 * Nodes live in an arena; the file names in their places belong to the caller of the loader.
 */
#ifndef QUOIT_CONF_NODE_H
#define QUOIT_CONF_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "conf/arena.h"
#include "conf/errors.h"
#include "conf/load.h"

enum conf_node_type { CONF_NODE_NULL, CONF_NODE_SCALAR, CONF_NODE_LIST, CONF_NODE_MAP };

STAILQ_HEAD(conf_node_list, conf_node);

struct conf_node {
    enum conf_node_type type;
    struct conf_place place;        /* of the value */
    struct conf_place key_place;    /* of its key; an entry of a list: the value's */
    char *key;                      /* in a map; else NULL */
    char *text;                     /* of a scalar, without NULs */
    struct conf_node_list children; /* of lists and maps, in their order */
    size_t n;                       /* how many */
    STAILQ_ENTRY(conf_node) sibling;
};

struct conf_node *conf_node_new(struct conf_arena *arena, enum conf_node_type type,
                                struct conf_place place);

void conf_node_append(struct conf_node *parent, struct conf_node *child);

/* Whether there is a value: neither absent nor null. */
bool conf_node_is_set(const struct conf_node *node);

/* The value of key in a map, the entry at index of a list; NULL when there is none, or when node is
 * NULL or of another type. */
struct conf_node *conf_node_get(const struct conf_node *node, const char *key);
struct conf_node *conf_node_at(const struct conf_node *node, size_t index);

/* The value of a dotted key (of an option, "pools.images.tls.ca_file"), or the innermost one around
 * it where there is none; a single value is a list of one. */
const struct conf_node *conf_node_find(const struct conf_node *root, const char *key);

/*
 * Reads YAML text. Mistakes are appended to errors; returns the root as far as it could be read
 * (a map, or NULL for an empty document), and -EBADMSG when there was no document at all, -ENOMEM.
 */
int conf_node_read_yaml(struct conf_arena *arena, const char *name, const char *text, size_t n,
                        struct conf_errors *errors, struct conf_node **ret_root);

/*
 * Puts a setting into the map *root over what is there. A number in its key is an entry of a list
 * (the next one is made when it is one past the end), a name an entry of a map; a dot that belongs
 * to a name is written \. Mistakes are appended to errors. Returns 0 or -ENOMEM.
 */
int conf_node_set(struct conf_arena *arena, struct conf_node *root,
                  const struct conf_setting *setting, struct conf_errors *errors);

#endif
