/*
 * One line of the access log. Pure.
 *
 * JSON: an object; what is absent is left out. Combined: the format of Apache and nginx, byte for
 * byte as their parsers expect it, with quoit's fields behind as key=value pairs. Everything a
 * client chose is escaped (line.h), so that no request can forge a line or a field.
 */
#ifndef QUOIT_BALANCER_LOG_ACCESS_FORMAT_H
#define QUOIT_BALANCER_LOG_ACCESS_FORMAT_H

#include <stddef.h>

#include "balancer/log/access_log.h"

enum { ACCESS_LINE_MAX = 8192 };

/* Writes the line with its line feed to p, which has room for ACCESS_LINE_MAX; returns its length.
 */
size_t access_format(enum conf_access_format format, const struct access_entry *entry, char *p);

#endif
