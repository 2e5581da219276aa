/*
 * A loaded configuration together with the memory that everything in it lives in.
 */
#ifndef QUOIT_CONF_OWNED_H
#define QUOIT_CONF_OWNED_H

#include "conf/arena.h"
#include "conf/conf.h"

struct conf_owned {
    struct conf conf; /* first: conf_free() finds the rest by its address */
    struct conf_arena arena;
};

/* All zero; freed by conf_free(&owned->conf). NULL when memory is out. */
struct conf_owned *conf_owned_new(void);

#endif
