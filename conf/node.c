#include "conf/node.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/units.h"

struct conf_node *conf_node_new(struct conf_arena *arena, enum conf_node_type type,
                                struct conf_place place)
{
    struct conf_node *node = conf_arena_alloc(arena, sizeof(*node));
    if (node == NULL)
        return NULL;
    node->type = type;
    node->place = place;
    node->key_place = place;
    STAILQ_INIT(&node->children);
    return node;
}

void conf_node_append(struct conf_node *parent, struct conf_node *child)
{
    STAILQ_INSERT_TAIL(&parent->children, child, sibling);
    parent->n++;
}

bool conf_node_is_set(const struct conf_node *node)
{
    return node != NULL && node->type != CONF_NODE_NULL;
}

struct conf_node *conf_node_get(const struct conf_node *node, const char *key)
{
    if (node == NULL || node->type != CONF_NODE_MAP)
        return NULL;
    struct conf_node *child;
    STAILQ_FOREACH(child, &node->children, sibling)
    {
        if (strcmp(child->key, key) == 0)
            return child;
    }
    return NULL;
}

struct conf_node *conf_node_at(const struct conf_node *node, size_t index)
{
    if (node == NULL || node->type != CONF_NODE_LIST || index >= node->n)
        return NULL;
    struct conf_node *child = STAILQ_FIRST(&node->children);
    while (index-- > 0)
        child = STAILQ_NEXT(child, sibling);
    return child;
}

/* How much of key the name of a pair takes, with the dot behind it; 0: it is another name. */
static size_t matched(const char *name, const char *key)
{
    size_t n = strlen(name);
    if (strncmp(name, key, n) != 0 || (key[n] != '.' && key[n] != '\0'))
        return 0;
    return key[n] == '.' ? n + 1 : n;
}

/* The pair that *key begins with, which goes on behind it then; NULL: there is none. Names may have
 * dots, so the longest counts. */
static const struct conf_node *enter_map(const struct conf_node *map, const char **key)
{
    const struct conf_node *pair, *found = NULL;
    size_t most = 0;
    STAILQ_FOREACH(pair, &map->children, sibling)
    {
        size_t n = matched(pair->key, *key);
        if (n > most) {
            most = n;
            found = pair;
        }
    }
    *key += most;
    return found;
}

/* The entry of a list that the number at *key says, or node itself for a list of one. */
static const struct conf_node *enter_list(const struct conf_node *node, const char **key)
{
    char *end;
    unsigned long index = strtoul(*key, &end, 10);
    if (end == *key || (*end != '.' && *end != '\0'))
        return NULL;
    *key = *end == '.' ? end + 1 : end;
    return node->type == CONF_NODE_LIST ? conf_node_at(node, index) : node;
}

const struct conf_node *conf_node_find(const struct conf_node *root, const char *key)
{
    const struct conf_node *node = root, *next = root;
    while (next != NULL && *key != '\0') {
        node = next;
        next = node->type == CONF_NODE_MAP ? enter_map(node, &key) : NULL;
        if (next == NULL)
            next = enter_list(node, &key);
    }
    return next != NULL ? next : node;
}

/* Makes node a container of this type, unless it is one already. A single value becomes the first
 * entry of a list: lists take one value for a list of one. */
static int become(struct conf_arena *arena, struct conf_node *node, enum conf_node_type type,
                  struct conf_place place)
{
    if (node->type == type)
        return 0;
    if (conf_node_is_set(node) && type == CONF_NODE_LIST) {
        struct conf_node *only = conf_node_new(arena, node->type, node->place);
        if (only == NULL)
            return -ENOMEM;
        only->text = node->text;
        STAILQ_CONCAT(&only->children, &node->children);
        only->n = node->n;
        node->n = 0;
        conf_node_append(node, only);
    } else {
        STAILQ_INIT(&node->children);
        node->n = 0;
        node->key_place = place;
    }
    node->type = type;
    node->place = place;
    return 0;
}

/* The next element of a dotted key, copied without its escapes; *at moves behind it. */
static char *next_element(struct conf_arena *arena, const char **at)
{
    char *element = conf_arena_alloc(arena, strlen(*at) + 1);
    if (element == NULL)
        return NULL;
    size_t n = 0;
    const char *from = *at;
    for (; *from != '\0' && *from != '.'; from++) {
        if (from[0] == '\\' && from[1] == '.')
            from++;
        element[n++] = *from;
    }
    *at = from;
    return element;
}

static int append_new(struct conf_arena *arena, struct conf_node *parent, char *key,
                      struct conf_place place, struct conf_node **ret_child)
{
    struct conf_node *child = conf_node_new(arena, CONF_NODE_NULL, place);
    if (child == NULL)
        return -ENOMEM;
    child->key = key;
    conf_node_append(parent, child);
    *ret_child = child;
    return 0;
}

/* Goes one element down, making what is missing. -EINVAL: an index past the end. */
static int descend(struct conf_arena *arena, struct conf_node *node, char *element,
                   struct conf_place place, struct conf_node **ret_child)
{
    uint64_t index;
    bool in_map = node->type == CONF_NODE_MAP || conf_parse_number(element, &index) != 0;
    int error = become(arena, node, in_map ? CONF_NODE_MAP : CONF_NODE_LIST, place);
    if (error != 0)
        return error;
    struct conf_node *child =
        in_map ? conf_node_get(node, element) : conf_node_at(node, (size_t)index);
    if (child != NULL) {
        *ret_child = child;
        return 0;
    }
    if (!in_map && index != node->n)
        return -EINVAL;
    return append_new(arena, node, in_map ? element : NULL, place, ret_child);
}

static bool is_null(const char *text)
{
    return text[0] == '\0' || strcmp(text, "null") == 0 || strcmp(text, "~") == 0;
}

/* Walks down setting's key; the node at its end, or an error. */
static int find_target(struct conf_arena *arena, struct conf_node *root,
                       const struct conf_setting *setting, struct conf_place place,
                       struct conf_errors *errors, struct conf_node **ret_node)
{
    struct conf_node *node = root;
    const char *at = setting->key;
    do {
        if (node != root)
            at++;
        char *element = next_element(arena, &at);
        if (element == NULL)
            return -ENOMEM;
        if (element[0] == '\0') {
            conf_errors_add(errors, place, setting->key, "found an empty name in the key");
            return -EINVAL;
        }
        int error = descend(arena, node, element, place, &node);
        if (error == -EINVAL)
            conf_errors_add(errors, place, setting->key,
                            "found the index %s, expected one from 0 to %zu", element, node->n);
        if (error != 0)
            return error;
    } while (*at == '.');
    *ret_node = node;
    return 0;
}

int conf_node_set(struct conf_arena *arena, struct conf_node *root,
                  const struct conf_setting *setting, struct conf_errors *errors)
{
    struct conf_place place = {.file = setting->flag == NULL ? "command line" : setting->flag};
    struct conf_node *node;
    int error = find_target(arena, root, setting, place, errors, &node);
    if (error != 0)
        return error == -ENOMEM ? error : 0;
    char *text = conf_arena_text(arena, setting->value, strlen(setting->value));
    if (text == NULL)
        return -ENOMEM;
    node->type = is_null(text) ? CONF_NODE_NULL : CONF_NODE_SCALAR;
    node->text = text;
    node->place = place;
    node->key_place = place;
    STAILQ_INIT(&node->children);
    node->n = 0;
    return 0;
}
