/*
 * TLS's part of conf_check(), of listeners.
 */
#ifndef QUOIT_CONF_CHECK_TLS_H
#define QUOIT_CONF_CHECK_TLS_H

#include "conf/conf.h"
#include "conf/errors.h"
#include "conf/node.h"

/* Checks what follows from several options of listener number index at once, and does what does;
 * listeners is the node of them all. No file is opened. Mistakes are appended to errors. */
void conf_check_tls(struct conf_listener *listener, size_t index, const struct conf_node *listeners,
                    struct conf_errors *errors);

#endif
