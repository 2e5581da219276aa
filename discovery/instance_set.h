/*
 * Instance sets as values: built whole, copied, compared. A set is one block of memory.
 */
#ifndef QUOIT_DISCOVERY_INSTANCE_SET_H
#define QUOIT_DISCOVERY_INSTANCE_SET_H

#include "discovery/discovery.h"

/*
 * A set with deep copies of the n instances of list, in their order. Index and count of rejects
 * are 0. Returns NULL when memory is out.
 */
struct instance_set *instance_set_build(const struct instance *list, size_t n);

/* A deep copy, or NULL when memory is out. */
struct instance_set *instance_set_copy(const struct instance_set *set);

/* Orders by datacenter, then node, then service id, bytewise: <0, 0, >0. */
int instance_compare_identity(const struct instance *a, const struct instance *b);

/* Whether an identity of old is missing in new. Both are sorted by identity. */
bool instance_set_removes(const struct instance_set *old, const struct instance_set *new);

#endif
