/*
 * Schemes that are compared: ways to configure a pool, ours and those of other programs by way of
 * the compatible algorithms.
 */
#ifndef QUOIT_TESTS_SIM_SCHEME_H
#define QUOIT_TESTS_SIM_SCHEME_H

#include <stddef.h>

struct scheme {
    const char *name;
    const char *options; /* of the pool, as in a configuration file */
    double weight;       /* of each endpoint; 0: 1 */
};

extern const struct scheme schemes[];
extern const size_t n_schemes;

/* NULL if there is none of that name. */
const struct scheme *scheme_find(const char *name);

#endif
