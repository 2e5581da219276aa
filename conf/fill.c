#include "conf/fill.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/option.h"

/* Longest distance at which a known key is suggested for an unknown one. */
#define MAX_SUGGEST 3
#define MAX_KEY 32

struct filler {
    struct conf_arena *arena;
    struct conf_errors *errors;
    int error; /* -ENOMEM once memory is out; nothing is filled after it */
};

/* Where in the tree we are, innermost first: a name, or an index when the name is NULL. */
struct path {
    const struct path *up;
    const char *name;
    size_t index;
};

static void print_path(const struct path *path, FILE *out)
{
    if (path->up != NULL) {
        print_path(path->up, out);
        if (path->up->up != NULL)
            putc('.', out);
    }
    if (path->name != NULL)
        fputs(path->name, out);
    else
        fprintf(out, "%zu", path->index);
}

/* Appends an error about a value at path: what was found, and what such an option expects. */
static void report_as(struct filler *filler, const struct path *path, struct conf_place place,
                      const char *found, const struct conf_option *option,
                      const struct conf_type *type)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out == NULL) {
        filler->error = -ENOMEM;
        return;
    }
    print_path(path, out);
    fprintf(out, "%c%s, expected ", '\0', found);
    type->describe(option, out);
    if (fclose(out) == 0)
        conf_errors_add(filler->errors, place, text, "%s", text + strlen(text) + 1);
    else
        filler->error = -ENOMEM;
    free(text);
}

static void report(struct filler *filler, const struct path *path, struct conf_place place,
                   const char *found, const struct conf_option *option)
{
    report_as(filler, path, place, found, option, option->type);
}

/* Appends an error about a node that is no value of type. */
static void report_node(struct filler *filler, const struct path *path,
                        const struct conf_node *node, const struct conf_option *option,
                        const struct conf_type *type)
{
    char quoted[CONF_QUOTE_SIZE];
    char found[CONF_QUOTE_SIZE + sizeof("found ")];
    const char *what = "null";
    if (node->type == CONF_NODE_MAP)
        what = "a map";
    else if (node->type == CONF_NODE_LIST)
        what = "a list";
    else if (node->type == CONF_NODE_SCALAR)
        what = option->type == &conf_type_secret ? "a value not shown here"
                                                 : conf_quote(node->text, quoted);
    snprintf(found, sizeof(found), "found %s", what);
    report_as(filler, path, node->place, found, option, type);
}

/* ---- unknown and repeated keys */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

/* Levenshtein's distance; MAX_KEY for texts too long to be a mistyped key. */
static size_t distance(const char *a, const char *b)
{
    size_t row[MAX_KEY];
    size_t n_a = strlen(a);
    size_t n_b = strlen(b);
    if (n_a >= MAX_KEY || n_b >= MAX_KEY)
        return MAX_KEY;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1]));
            corner = above;
        }
    }
    return row[n_b];
}

/* The option of section whose name is nearest to key; NULL when none is near. */
static const struct conf_option *suggest(const struct conf_option *section, const char *key)
{
    const struct conf_option *best = NULL;
    size_t best_distance = MAX_SUGGEST + 1;
    for (size_t i = 0; i < conf_n_options; i++) {
        if (!conf_option_is_in(&conf_options[i], section))
            continue;
        const char *name = conf_option_name(&conf_options[i]);
        size_t found = distance(key, name);
        if (found < best_distance && found * 2 < strlen(name)) {
            best = &conf_options[i];
            best_distance = found;
        }
    }
    return best;
}

static void print_names(const struct conf_option *section, FILE *out)
{
    const char *before = "";
    for (size_t i = 0; i < conf_n_options; i++) {
        if (!conf_option_is_in(&conf_options[i], section))
            continue;
        fprintf(out, "%s%s", before, conf_option_name(&conf_options[i]));
        before = ", ";
    }
}

static void describe_keys(const struct conf_option *section, const char *key, FILE *out)
{
    const struct conf_option *near = suggest(section, key);
    if (near != NULL) {
        fprintf(out, "unknown key, did you mean \"%s\"?", conf_option_name(near));
        return;
    }
    fputs("unknown key, expected one of ", out);
    print_names(section, out);
}

static void report_unknown(struct filler *filler, const struct path *path,
                           const struct conf_option *section, const struct conf_node *node)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out == NULL) {
        filler->error = -ENOMEM;
        return;
    }
    print_path(path, out);
    putc('\0', out);
    describe_keys(section, node->key, out);
    if (fclose(out) == 0)
        conf_errors_add(filler->errors, node->key_place, text, "%s", text + strlen(text) + 1);
    else
        filler->error = -ENOMEM;
    free(text);
}

static const struct conf_option *find_option(const struct conf_option *section, const char *name)
{
    for (size_t i = 0; i < conf_n_options; i++) {
        if (conf_option_is_in(&conf_options[i], section) &&
            strcmp(conf_option_name(&conf_options[i]), name) == 0)
            return &conf_options[i];
    }
    return NULL;
}

static int compare_places(struct conf_place a, struct conf_place b)
{
    if (a.line != b.line)
        return a.line > b.line ? 1 : -1;
    return (a.column > b.column) - (a.column < b.column);
}

static int compare_keys(const void *left, const void *right)
{
    const struct conf_node *a = *(const struct conf_node *const *)left;
    const struct conf_node *b = *(const struct conf_node *const *)right;
    int order = strcmp(a->key, b->key);
    return order == 0 ? compare_places(a->key_place, b->key_place) : order;
}

static void report_repeated(struct filler *filler, const struct path *path,
                            const struct conf_node *first, const struct conf_node *again)
{
    struct path below = {.up = path, .name = again->key};
    char *key = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&key, &n);
    if (out == NULL) {
        filler->error = -ENOMEM;
        return;
    }
    print_path(&below, out);
    if (fclose(out) == 0)
        conf_errors_add(filler->errors, again->key_place, key,
                        "found the key again, it stands in line %u already", first->key_place.line);
    else
        filler->error = -ENOMEM;
    free(key);
}

/* Reports every key of a map that stands in it before. */
static void check_repeated(struct filler *filler, const struct path *path,
                           const struct conf_node *map)
{
    if (map->n < 2)
        return;
    const struct conf_node **sorted =
        conf_arena_alloc(filler->arena, map->n * sizeof(const struct conf_node *));
    if (sorted == NULL) {
        filler->error = -ENOMEM;
        return;
    }
    size_t n = 0;
    const struct conf_node *child;
    STAILQ_FOREACH(child, &map->children, sibling)
    {
        sorted[n++] = child;
    }
    qsort(sorted, n, sizeof(const struct conf_node *), compare_keys);
    size_t first = 0;
    for (size_t i = 1; i < n; i++) {
        if (strcmp(sorted[first]->key, sorted[i]->key) != 0)
            first = i;
        else
            report_repeated(filler, path, sorted[first], sorted[i]);
    }
}

static void check_keys(struct filler *filler, const struct path *path,
                       const struct conf_option *section, const struct conf_node *node)
{
    check_repeated(filler, path, node);
    const struct conf_node *child;
    STAILQ_FOREACH(child, &node->children, sibling)
    {
        struct path below = {.up = path, .name = child->key};
        if (find_option(section, child->key) == NULL)
            report_unknown(filler, &below, section, child);
    }
}

/* ---- values */

static void fill_default(struct filler *filler, const struct conf_option *option, void *field)
{
    if (option->fallback == NULL)
        return;
    int error = option->type->parse(option, option->fallback, field, filler->arena);
    assert(error != -EINVAL); /* the table's defaults are values of their types */
    if (error != 0)
        filler->error = error;
}

static void fill_value(struct filler *filler, const struct path *path,
                       const struct conf_option *option, const struct conf_node *node, void *field)
{
    int error = -EINVAL;
    if (node->type == CONF_NODE_SCALAR)
        error = option->type->parse(option, node->text, field, filler->arena);
    if (error == -EINVAL) {
        report_node(filler, path, node, option, option->type);
        fill_default(filler, option, field);
    } else if (error != 0) {
        filler->error = error;
    }
}

/* The entries of a list option: those of the list, or the one value that stands for it. */
static size_t count_entries(const struct conf_option *option, const struct conf_node *node)
{
    bool has_children = node->type == CONF_NODE_LIST ||
                        (option->type->shape == CONF_SHAPE_MAP && node->type == CONF_NODE_MAP);
    return has_children ? node->n : 1;
}

/* Makes room for n entries and counts them; NULL when memory is out. */
static uint8_t *make_entries(struct filler *filler, const struct conf_option *option, size_t n,
                             uint8_t *base)
{
    uint8_t *entries = NULL;
    if (n <= SIZE_MAX / option->entry_size)
        entries = conf_arena_alloc(filler->arena, n * option->entry_size);
    if (entries == NULL) {
        filler->error = -ENOMEM;
        return NULL;
    }
    memcpy(base + option->offset, &entries, sizeof(entries));
    memcpy(base + option->count_offset, &n, sizeof(n));
    return entries;
}

static void fill_values(struct filler *filler, const struct path *path,
                        const struct conf_option *option, const struct conf_node *node,
                        uint8_t *base)
{
    bool is_list = conf_node_is_set(node) && node->type == CONF_NODE_LIST && node->n > 0;
    if (conf_node_is_set(node) && node->type == CONF_NODE_LIST && node->n == 0)
        report(filler, path, node->place, "found an empty list", option);
    if (!conf_node_is_set(node) && option->fallback == NULL)
        return; /* no entries at all */
    uint8_t *entries = make_entries(filler, option, is_list ? node->n : 1, base);
    if (entries == NULL)
        return;
    if (!is_list) {
        if (conf_node_is_set(node) && node->type != CONF_NODE_LIST)
            fill_value(filler, path, option, node, entries);
        else
            fill_default(filler, option, entries);
        return;
    }
    struct path below = {.up = path};
    const struct conf_node *child;
    STAILQ_FOREACH(child, &node->children, sibling)
    {
        fill_value(filler, &below, option, child, entries + below.index * option->entry_size);
        below.index++;
    }
}

/* ---- sections */

static void fill_section(struct filler *filler, const struct path *path,
                         const struct conf_option *section, const struct conf_node *node,
                         uint8_t *base);

static void fill_list(struct filler *filler, const struct path *path,
                      const struct conf_option *option, const struct conf_node *node, uint8_t *base)
{
    uint8_t *entry = make_entries(filler, option, count_entries(option, node), base);
    if (entry == NULL)
        return;
    if (node->type != CONF_NODE_LIST) {
        fill_section(filler, path, option, node, entry);
        return;
    }
    struct path below = {.up = path};
    const struct conf_node *child;
    STAILQ_FOREACH(child, &node->children, sibling)
    {
        fill_section(filler, &below, option, child, entry);
        entry += option->entry_size;
        below.index++;
    }
}

static_assert(offsetof(struct conf_pool, name) == 0, "a map's entry begins with its name");

/* Sections by name. */
static void fill_map(struct filler *filler, const struct path *path,
                     const struct conf_option *option, const struct conf_node *node, uint8_t *base)
{
    if (node->type != CONF_NODE_MAP) {
        report_node(filler, path, node, option, option->type);
        return;
    }
    check_repeated(filler, path, node);
    uint8_t *entry = make_entries(filler, option, count_entries(option, node), base);
    if (entry == NULL)
        return;
    const struct conf_node *child;
    STAILQ_FOREACH(child, &node->children, sibling)
    {
        struct path below = {.up = path, .name = child->key};
        char *name = conf_arena_text(filler->arena, child->key, strlen(child->key));
        if (name == NULL) {
            filler->error = -ENOMEM;
            return;
        }
        memcpy(entry, &name, sizeof(name));
        fill_section(filler, &below, option, child, entry);
        entry += option->entry_size;
    }
}

/* Values by name; what the names may be is not checked here. */
static void fill_pairs(struct filler *filler, const struct path *path,
                       const struct conf_option *option, const struct conf_node *node,
                       uint8_t *base)
{
    if (!conf_node_is_set(node))
        return;
    if (node->type != CONF_NODE_MAP) {
        report_node(filler, path, node, option, option->type);
        return;
    }
    check_repeated(filler, path, node);
    assert(option->entry_size == sizeof(struct conf_pair));
    struct conf_pair *pair = (struct conf_pair *)make_entries(filler, option, node->n, base);
    const struct conf_node *child;
    STAILQ_FOREACH(child, &node->children, sibling)
    {
        struct path below = {.up = path, .name = child->key};
        if (filler->error != 0)
            return;
        fill_value(filler, &below, option, child, &pair->value);
        pair->name = conf_arena_text(filler->arena, child->key, strlen(child->key));
        if (pair->name == NULL)
            filler->error = -ENOMEM;
        pair++;
    }
}

/* The node of an option: its key's in the section's map, or the one value that the section is. */
static const struct conf_node *node_of(const struct conf_option *section,
                                       const struct conf_option *option,
                                       const struct conf_node *node)
{
    if (node != NULL && node->type == CONF_NODE_SCALAR)
        return strcmp(conf_option_name(option), section->shorthand) == 0 ? node : NULL;
    return conf_node_get(node, conf_option_name(option));
}

static void fill_option(struct filler *filler, const struct path *path,
                        const struct conf_option *option, const struct conf_node *node,
                        uint8_t *base)
{
    if (option->type->shape == CONF_SHAPE_SECTION)
        fill_section(filler, path, option, node, base);
    else if (option->type->shape == CONF_SHAPE_VALUES)
        fill_values(filler, path, option, node, base);
    else if (option->type->shape == CONF_SHAPE_PAIRS)
        fill_pairs(filler, path, option, node, base);
    else if (!conf_node_is_set(node))
        fill_default(filler, option, base + option->offset);
    else if (option->type->shape == CONF_SHAPE_LIST)
        fill_list(filler, path, option, node, base);
    else if (option->type->shape == CONF_SHAPE_MAP)
        fill_map(filler, path, option, node, base);
    else
        fill_value(filler, path, option, node, base + option->offset);
}

/* An entry of a list or map is there even when it is null, and so is the whole file. */
static bool is_there(const struct conf_option *section, const struct conf_node *node)
{
    return conf_node_is_set(node) || section->type->shape != CONF_SHAPE_SECTION ||
           section->key[0] == '\0';
}

/* Whether node can be section at all: nothing, a map, or the one value that stands for it. */
static bool fits(const struct conf_option *section, const struct conf_node *node)
{
    return !conf_node_is_set(node) || node->type == CONF_NODE_MAP ||
           (node->type == CONF_NODE_SCALAR && section->shorthand != NULL);
}

static void report_missing(struct filler *filler, const struct path *path,
                           const struct conf_option *option, const struct conf_node *section,
                           const struct conf_node *value)
{
    const struct conf_node *nearest = value == NULL ? section : value;
    report(filler, path, nearest->key == NULL ? nearest->place : nearest->key_place, "missing",
           option);
}

static void fill_options(struct filler *filler, const struct path *path,
                         const struct conf_option *section, const struct conf_node *node,
                         uint8_t *base)
{
    bool is_short = node != NULL && node->type == CONF_NODE_SCALAR;
    for (size_t i = 0; i < conf_n_options && filler->error == 0; i++) {
        const struct conf_option *option = &conf_options[i];
        if (!conf_option_is_in(option, section))
            continue;
        struct path below = {.up = path, .name = conf_option_name(option)};
        const struct conf_node *value = node_of(section, option, node);
        if (option->is_required && node != NULL && !conf_node_is_set(value))
            report_missing(filler, &below, option, node, value);
        fill_option(filler, is_short ? path : &below, option, value, base);
    }
}

/* Fills the structure at base; what is absent gets its default. */
static void fill_section(struct filler *filler, const struct path *path,
                         const struct conf_option *section, const struct conf_node *node,
                         uint8_t *base)
{
    bool is_wrong = !fits(section, node);
    if (is_wrong)
        report_node(filler, path, node, section, &conf_type_section);
    if (is_wrong || !is_there(section, node))
        node = NULL;
    if (node != NULL && node->type == CONF_NODE_MAP)
        check_keys(filler, path, section, node);
    fill_options(filler, path, section, node, base);
}

int conf_fill(struct conf_owned *owned, const struct conf_node *root, struct conf_errors *errors)
{
    struct filler filler = {.arena = &owned->arena, .errors = errors};
    struct path top = {.name = ""};
    fill_section(&filler, &top, &conf_options[0], root, (uint8_t *)&owned->conf);
    return filler.error;
}
