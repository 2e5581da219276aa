/*
 * Where `explain`, `ring` and `plan` look: at a configuration, or at a running balancer by its
 * admin address. Both are asked through the admin API (admin/api.h), one directly, one over HTTP.
 *
 * What goes wrong is printed on standard error in the command's name.
 */
#ifndef QUOIT_BALANCER_CLI_VIEW_H
#define QUOIT_BALANCER_CLI_VIEW_H

#include <jansson.h>

#include "balancer/cli/flags.h"
#include "balancer/http/span.h"

/* What the flags that such commands share say; the context of their flags begins with it. */
struct view_flags {
    const char *config, *admin; /* one of them */
    const char *pool;           /* NULL: not given */
    bool is_json;
};

int view_take_config(void *context, const char *value);
int view_take_admin(void *context, const char *value);
int view_take_pool(void *context, const char *value);
int view_take_json(void *context, const char *value);

/* Their lines in a command's table. */
/* clang-format off */
#define VIEW_FLAGS                                                                                 \
    {"config", "FILE", "look at what this configuration would serve", view_take_config},           \
    {"admin", "ADDRESS", "ask the balancer whose admin listener this is", view_take_admin},        \
    {"pool", "NAME", "the pool, where there are several", view_take_pool},                         \
    {"json", NULL, "print JSON", view_take_json}
/* clang-format on */

struct view;

/* Opens what the flags name. Returns CLI_GO_ON, or the exit status to end with. */
int view_open(const char *command, const struct view_flags *flags, struct view **ret_view);
void view_close(struct view *view); /* accepts NULL */

/* An argument of a page; left out if value.p is NULL. */
struct view_argument {
    const char *name;
    struct span value;
};

/* The page at path with n arguments: a new reference, or NULL after saying what is wrong. */
json_t *view_get(struct view *view, const char *path, const struct view_argument *arguments,
                 size_t n);

/* The object of the pool that the flags name, or of the only one: a new reference, or NULL after
 * saying that there is none, or which there are. */
json_t *view_get_pool(struct view *view);

/* Prints text on out with everything but printable ASCII escaped, cut at about 200 characters, and
 * spaces behind it up to width. */
void view_print(const char *text, FILE *out);
void view_print_padded(const char *text, int width, FILE *out);

/* The width that the members of the list's objects take: of "address", say. At least 8. */
int view_width(const json_t *list, const char *member);

/* The member of json as text, "" if it is none; it lives as long as json. */
const char *view_text(const json_t *json, const char *member);

/* Prints json, and a line end; takes the reference. */
void view_dump(json_t *json);

#endif
