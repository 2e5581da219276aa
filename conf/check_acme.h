/*
 * ACME's part of conf_check().
 */
#ifndef QUOIT_CONF_CHECK_ACME_H
#define QUOIT_CONF_CHECK_ACME_H

#include "conf/arena.h"
#include "conf/conf.h"
#include "conf/node.h"

/*
 * Checks what follows from several options of ACME at once; root is the whole tree. Afterwards
 * every listener's certificates hold those of its `acme` option too, and those that quoit gets for
 * itself have their files' names. No file is opened. Mistakes are appended to errors. Returns 0 or
 * -ENOMEM.
 */
int conf_check_acme(struct conf *conf, const struct conf_node *root, struct conf_arena *arena,
                    struct conf_errors *errors);

#endif
