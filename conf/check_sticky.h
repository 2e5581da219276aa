/*
 * Cookie affinity's part of conf_check().
 */
#ifndef QUOIT_CONF_CHECK_STICKY_H
#define QUOIT_CONF_CHECK_STICKY_H

#include "conf/arena.h"
#include "conf/conf.h"
#include "conf/node.h"

/*
 * Checks what follows from several of the pool's `sticky` options at once, and reads its secret
 * file; pool_node is what the pool was read from. Afterwards pool->sticky.secret is the secret,
 * wherever it came from. Mistakes are appended to errors; the secret itself is in none of them.
 * Returns 0 or -ENOMEM.
 */
int conf_check_sticky(struct conf_pool *pool, const struct conf_node *pool_node,
                      struct conf_arena *arena, struct conf_errors *errors);

#endif
