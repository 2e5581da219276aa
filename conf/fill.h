/*
 * The steps of a load between the tree and the finished configuration.
 */
#ifndef QUOIT_CONF_FILL_H
#define QUOIT_CONF_FILL_H

#include "conf/node.h"
#include "conf/owned.h"

/*
 * Fills owned from the tree by the option table; what is absent or wrong gets its default. Mistakes
 * are appended to errors. root is a map. Returns 0 or -ENOMEM.
 */
int conf_fill(struct conf_owned *owned, const struct conf_node *root, struct conf_errors *errors);

/*
 * What follows from several options at once: names are looked up, the route that goes without
 * saying is made, and contradictions are appended to errors. Returns 0 or -ENOMEM.
 */
int conf_check(struct conf_owned *owned, const struct conf_node *root, struct conf_errors *errors);

#endif
