#include "conf/check_sticky.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes of a secret. */
#define MIN_SECRET 16u
#define MAX_SECRET 4096u

struct sticky_checker {
    struct conf_pool *pool;
    const struct conf_node *node; /* of the section */
    struct conf_arena *arena;
    struct conf_errors *errors;
    int error; /* -ENOMEM once memory is out */
};

/* Where the option called name has its value, or where the section stands. */
static struct conf_place option_place(const struct sticky_checker *checker, const char *name)
{
    const struct conf_node *value = conf_node_get(checker->node, name);
    return value != NULL ? value->place : checker->node->place;
}

/* ---- the secret */

/* Up to n bytes of a regular file. Returns how many, or -errno; -EINVAL: it is another kind of
 * file, whose reader might wait for ever. */
static ssize_t read_some(const char *path, char *bytes, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    struct stat about;
    ssize_t used = 0;
    if (fstat(fd, &about) != 0)
        used = -errno;
    else if (!S_ISREG(about.st_mode))
        used = -EINVAL;
    ssize_t got = used < 0 ? 0 : 1;
    while (got > 0 && (size_t)used < n) {
        got = read(fd, bytes + used, n - (size_t)used);
        used = got < 0 ? -errno : used + got;
    }
    close(fd);
    return used;
}

/* An editor's line end is no part of it. */
static size_t without_line_end(const char *bytes, size_t n)
{
    while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
        n--;
    return n;
}

static void read_secret(struct sticky_checker *checker)
{
    struct conf_sticky *sticky = &checker->pool->sticky;
    char bytes[MAX_SECRET + 1];
    char buffer[128];
    ssize_t used = read_some(sticky->secret_file, bytes, sizeof(bytes));
    if (used == -EINVAL)
        conf_errors_add_pool(checker->errors, option_place(checker, "secret_file"),
                             checker->pool->name, ".sticky.secret_file",
                             "found something else, expected a regular file");
    else if (used < 0)
        conf_errors_add_pool(checker->errors, option_place(checker, "secret_file"),
                             checker->pool->name, ".sticky.secret_file", "cannot be read: %s",
                             strerror_r((int)-used, buffer, sizeof(buffer)));
    if (used < 0)
        return;
    size_t n = without_line_end(bytes, (size_t)used);
    if (n < MIN_SECRET || n > MAX_SECRET) {
        conf_errors_add_pool(checker->errors, option_place(checker, "secret_file"),
                             checker->pool->name, ".sticky.secret_file",
                             "found a file of %s bytes, expected %u to %u",
                             n < MIN_SECRET ? "fewer" : "more", MIN_SECRET, MAX_SECRET);
        return;
    }
    sticky->secret = conf_arena_text(checker->arena, bytes, n);
    sticky->secret_n = n;
    if (sticky->secret == NULL)
        checker->error = -ENOMEM;
}

static void check_secret(struct sticky_checker *checker)
{
    struct conf_sticky *sticky = &checker->pool->sticky;
    if (sticky->secret != NULL && sticky->secret_file != NULL) {
        conf_errors_add_pool(checker->errors, option_place(checker, "secret_file"),
                             checker->pool->name, ".sticky.secret_file",
                             "found secret and secret_file, expected one of them");
    } else if (sticky->secret_file != NULL) {
        read_secret(checker);
    } else if (sticky->secret != NULL) {
        sticky->secret_n = strlen(sticky->secret);
        if (sticky->secret_n < MIN_SECRET || sticky->secret_n > MAX_SECRET)
            conf_errors_add_pool(
                checker->errors, option_place(checker, "secret"), checker->pool->name,
                ".sticky.secret", "found %s bytes, expected %u to %u",
                sticky->secret_n < MIN_SECRET ? "fewer" : "more", MIN_SECRET, MAX_SECRET);
    }
}

/* ---- what browsers ask of a cookie */

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The prefixes of RFC 6265bis section 4.1.3: browsers drop a cookie that breaks their promise. */
static void check_name(struct sticky_checker *checker)
{
    const struct conf_sticky *sticky = &checker->pool->sticky;
    if (sticky->name == NULL)
        return;
    bool is_host = begins_with(sticky->name, "__Host-");
    if ((is_host || begins_with(sticky->name, "__Secure-")) && !sticky->secure)
        conf_errors_add_pool(checker->errors, option_place(checker, "name"), checker->pool->name,
                             ".sticky.name",
                             "found the prefix of a secure cookie, expected secure with "
                             "it");
    if (is_host && (sticky->domain != NULL || strcmp(sticky->path, "/") != 0))
        conf_errors_add_pool(checker->errors, option_place(checker, "name"), checker->pool->name,
                             ".sticky.name",
                             "found the prefix __Host-, expected no domain and the path / with it");
}

static void check_attributes(struct sticky_checker *checker)
{
    const struct conf_sticky *sticky = &checker->pool->sticky;
    if (strchr(sticky->path, ';') != NULL)
        conf_errors_add_pool(checker->errors, option_place(checker, "path"), checker->pool->name,
                             ".sticky.path", "found a semicolon, expected a path without one");
    if (sticky->max_age_ms % 1000 != 0)
        conf_errors_add_pool(checker->errors, option_place(checker, "max_age"), checker->pool->name,
                             ".sticky.max_age",
                             "found a fraction of a second, expected whole seconds");
    if (sticky->same_site == CONF_SAME_SITE_NONE && !sticky->secure)
        conf_errors_add_pool(checker->errors, option_place(checker, "same_site"),
                             checker->pool->name, ".sticky.same_site",
                             "found `none` without secure, expected both");
}

int conf_check_sticky(struct conf_pool *pool, const struct conf_node *pool_node,
                      struct conf_arena *arena, struct conf_errors *errors)
{
    struct sticky_checker checker = {
        .pool = pool,
        .node = conf_node_get(pool_node, "sticky"),
        .arena = arena,
        .errors = errors,
    };
    if (!conf_node_is_set(checker.node))
        return 0;
    check_secret(&checker);
    check_name(&checker);
    check_attributes(&checker);
    return checker.error;
}
