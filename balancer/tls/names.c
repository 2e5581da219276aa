#include "balancer/tls/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME 255

struct names_entry {
    char *name;
    struct names_choice choice;
};

static int by_name(const void *left, const void *right)
{
    const struct names_entry *a = left, *b = right;
    return strcmp(a->name, b->name);
}

int names_add(struct names *names, const char *name, uint32_t certificate, unsigned kind)
{
    if (names->n == names->max) {
        size_t max = names->max == 0 ? 16 : names->max * 2;
        struct names_entry *more = reallocarray(names->entries, max, sizeof *more);
        if (more == NULL)
            return -ENOMEM;
        names->entries = more;
        names->max = max;
    }
    struct names_entry entry = {.name = strdup(name)};
    if (entry.name == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < NAMES_KINDS; i++)
        entry.choice.by_kind[i] = i == kind ? certificate : NAMES_NONE;
    names->entries[names->n++] = entry;
    return 0;
}

/* The certificate with the lower number stood first. */
static void join(struct names_choice *choice, const struct names_choice *other)
{
    for (unsigned i = 0; i < NAMES_KINDS; i++)
        if (other->by_kind[i] < choice->by_kind[i])
            choice->by_kind[i] = other->by_kind[i];
}

void names_sort(struct names *names)
{
    if (names->n == 0)
        return;
    qsort(names->entries, names->n, sizeof *names->entries, by_name);
    size_t kept = 0;
    for (size_t i = 1; i < names->n; i++) {
        if (by_name(&names->entries[kept], &names->entries[i]) != 0) {
            names->entries[++kept] = names->entries[i];
            continue;
        }
        join(&names->entries[kept].choice, &names->entries[i].choice);
        free(names->entries[i].name);
    }
    names->n = kept + 1;
}

static const struct names_choice *look_up(const struct names *names, const char *name)
{
    const struct names_entry key = {.name = (char *)name};
    const struct names_entry *found =
        names->n == 0 ? NULL
                      : bsearch(&key, names->entries, names->n, sizeof *names->entries, by_name);
    return found != NULL ? &found->choice : NULL;
}

const struct names_choice *names_find(const struct names *names, const char *name)
{
    char plain[MAX_NAME + 2];
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n == 0 || n > MAX_NAME)
        return NULL;
    memcpy(plain, name, n);
    plain[n] = '\0';
    for (char *c = plain; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    if (plain[0] == '*')
        return NULL; /* no host's name */
    const struct names_choice *exact = look_up(names, plain);
    char *dot = strchr(plain, '.');
    if (exact != NULL || dot == NULL || dot == plain)
        return exact;
    *--dot = '*';
    return look_up(names, dot);
}

size_t names_count(const struct names *names)
{
    return names->n;
}

const struct names_choice *names_at(const struct names *names, size_t i)
{
    return &names->entries[i].choice;
}

void names_fini(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->entries[i].name);
    free(names->entries);
    *names = (struct names){0};
}
