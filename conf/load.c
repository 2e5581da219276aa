#include "conf/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/fill.h"

/* A larger file is a mistake, not a configuration. */
#define MAX_FILE (16u << 20)

/* What a configuration is made from. */
struct source {
    const char *name;
    const char *text; /* NULL: settings alone */
    size_t n;
    const struct conf_setting *settings;
    size_t n_settings;
};

/* Returns 0 (with errors perhaps), -EBADMSG when the text is no YAML, or -ENOMEM. */
static int read_tree(struct conf_arena *arena, const struct source *source,
                     struct conf_errors *errors, struct conf_node **ret_root)
{
    struct conf_node *root = NULL;
    int error = 0;
    if (source->text != NULL)
        error = conf_node_read_yaml(arena, source->name, source->text, source->n, errors, &root);
    if (error != 0)
        return error;
    if (!conf_node_is_set(root)) {
        unsigned first = source->text != NULL;
        struct conf_place place = {.file = source->name, .line = first, .column = first};
        root = conf_node_new(arena, CONF_NODE_MAP, place);
        if (root == NULL)
            return -ENOMEM;
    }
    for (size_t i = 0; i < source->n_settings && error == 0; i++)
        error = conf_node_set(arena, root, &source->settings[i], errors);
    if (error == 0)
        *ret_root = root;
    return error;
}

/* The configuration of a tree; NULL when there is an error. */
static struct conf *build(const struct conf_node *root, struct conf_errors *errors)
{
    struct conf_owned *owned = conf_owned_new();
    if (owned == NULL) {
        errors->is_incomplete = true;
        return NULL;
    }
    int error = conf_fill(owned, root, errors);
    if (error == 0)
        error = conf_check(owned, root, errors);
    if (error != 0)
        errors->is_incomplete = true;
    if (errors->n > 0 || errors->is_incomplete) {
        conf_free(&owned->conf);
        return NULL;
    }
    return &owned->conf;
}

static struct conf *load(const struct source *source, struct conf_errors *errors)
{
    struct conf_arena arena = {0};
    struct conf_errors found = {0};
    struct conf_node *root;
    struct conf *conf = NULL;
    int error = read_tree(&arena, source, &found, &root);
    if (error == 0)
        conf = build(root, &found);
    else if (error == -ENOMEM)
        found.is_incomplete = true;
    conf_arena_free(&arena);
    conf_errors_sort(&found);
    conf_errors_move(errors, &found);
    return conf;
}

static void report_unreadable(struct conf_errors *errors, const char *path, int error)
{
    char buffer[128];
    conf_errors_add(errors, (struct conf_place){.file = path}, "", "cannot be read: %s",
                    strerror_r(error, buffer, sizeof(buffer)));
}

/* The whole of a stream. Returns 0, -EFBIG, or -errno. */
static int read_stream(FILE *in, char **ret_text, size_t *ret_n)
{
    char *text = NULL;
    size_t n = 0;
    size_t room = 0;
    while (!feof(in) && !ferror(in) && n <= MAX_FILE) {
        if (n == room) {
            room = room == 0 ? 16384 : room * 2;
            char *larger = realloc(text, room);
            if (larger == NULL) {
                free(text);
                return -ENOMEM;
            }
            text = larger;
        }
        n += fread(text + n, 1, room - n, in);
    }
    int error = ferror(in) ? -errno : 0;
    if (error == 0 && n > MAX_FILE)
        error = -EFBIG;
    if (error != 0) {
        free(text);
        return error;
    }
    *ret_text = text;
    *ret_n = n;
    return 0;
}

static int read_file(const char *path, char **ret_text, size_t *ret_n)
{
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return -errno;
    int error = read_stream(in, ret_text, ret_n);
    fclose(in);
    return error;
}

struct conf *conf_load_file_with(const char *path, const struct conf_setting *settings, size_t n,
                                 struct conf_errors *errors)
{
    struct source source = {.name = path, .settings = settings, .n_settings = n};
    char *text = NULL;
    int error = read_file(path, &text, &source.n);
    if (error != 0) {
        report_unreadable(errors, path, -error);
        return NULL;
    }
    source.text = text;
    struct conf *conf = load(&source, errors);
    free(text);
    return conf;
}

/* The place of key in the file at path as far as that can be read, which it could before. */
static struct conf_place find_place(struct conf_arena *arena, const char *path, const char *key)
{
    struct conf_place place = {.file = path};
    struct conf_errors ignored = {0};
    struct conf_node *root = NULL;
    char *text = NULL;
    size_t n = 0;
    if (read_file(path, &text, &n) != 0)
        return place;
    if (conf_node_read_yaml(arena, path, text, n, &ignored, &root) == 0 && root != NULL)
        place = conf_node_find(root, key)->place;
    conf_errors_fini(&ignored);
    free(text);
    return place;
}

void conf_errors_add_later(struct conf_errors *errors, const char *path, const char *key,
                           const char *text)
{
    struct conf_arena arena = {0};
    struct conf_place place = find_place(&arena, path, key);
    conf_errors_add(errors, place, key, "%s", text);
    conf_arena_free(&arena);
}

struct conf *conf_load_file(const char *path, struct conf_errors *errors)
{
    return conf_load_file_with(path, NULL, 0, errors);
}

struct conf *conf_load_text(const char *name, const char *text, size_t n,
                            struct conf_errors *errors)
{
    struct source source = {.name = name, .text = text, .n = n};
    return load(&source, errors);
}

struct conf *conf_load_settings(const struct conf_setting *settings, size_t n,
                                struct conf_errors *errors)
{
    struct source source = {.name = "command line", .settings = settings, .n_settings = n};
    return load(&source, errors);
}
