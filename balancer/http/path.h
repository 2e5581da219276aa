/*
 * The normal form of a path, by which routes are found: what goes on to an endpoint is the target
 * as it came.
 *
 * RFC 3986 section 6.2.2: escapes of unreserved characters are decoded, the hex digits of the
 * others are in upper case, dot segments are removed (section 5.2.4). Empty segments are dropped on
 * top, as most servers do. An escaped slash stays one: `%2F` is no border of segments. What stands
 * behind a
 * `;` is part of its segment.
 */
#ifndef QUOIT_BALANCER_HTTP_PATH_H
#define QUOIT_BALANCER_HTTP_PATH_H

#include "balancer/http/span.h"

/* Whether path is surely in normal form; most are. */
bool path_is_plain(struct span path);

/* Writes the normal form to room, which has as many bytes as path, and returns its length. path
 * begins with '/'; so does the result. */
size_t path_normalize(struct span path, uint8_t *room);

#endif
