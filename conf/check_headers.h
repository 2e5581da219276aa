/*
 * The header rules' part of conf_check(), of listeners and routes.
 */
#ifndef QUOIT_CONF_CHECK_HEADERS_H
#define QUOIT_CONF_CHECK_HEADERS_H

#include "conf/conf.h"
#include "conf/errors.h"
#include "conf/node.h"

/*
 * Refuses rules for fields that HTTP or quoit itself answers for, names that are none or stand in
 * one `set` twice, and more rules than a buffer has room for; counts the rules. Mistakes are
 * appended to errors.
 */
void conf_check_headers(struct conf *conf, const struct conf_node *root,
                        struct conf_errors *errors);

#endif
