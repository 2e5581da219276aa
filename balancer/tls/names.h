/*
 * Which certificates a client gets for the name that it asks for: pure, over names and numbers.
 *
 * A name has one certificate for each kind of key; of several of one kind the first counts.
 */
#ifndef QUOIT_BALANCER_TLS_NAMES_H
#define QUOIT_BALANCER_TLS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMES_KINDS 3 /* of keys */
#define NAMES_NONE UINT32_MAX

/* The certificates of a name by their kind of key, NAMES_NONE where there is none. */
struct names_choice {
    uint32_t by_kind[NAMES_KINDS];
};

struct names {
    struct names_entry *entries; /* sorted once it is complete */
    size_t n, max;
};

/* Adds a name of certificate number `certificate`, in lower case, perhaps with "*." at its front.
 * Returns 0 or -ENOMEM. */
int names_add(struct names *names, const char *name, uint32_t certificate, unsigned kind);

/* After the last one was added. */
void names_sort(struct names *names);

/* By the very name, else by the one with "*" for its first label; in any case, a dot at the end
 * does not count. NULL: neither is there. */
const struct names_choice *names_find(const struct names *names, const char *name);

/* The names that are left, each once. */
size_t names_count(const struct names *names);
const struct names_choice *names_at(const struct names *names, size_t i);

void names_fini(struct names *names);

#endif
