/*
 * Checks of `host[:port]` as in Host fields and absolute targets. Private to the HTTP/1 parser.
 */
#ifndef QUOIT_BALANCER_HTTP_H1_AUTHORITY_H
#define QUOIT_BALANCER_HTTP_H1_AUTHORITY_H

#include <stdbool.h>

#include "balancer/http/span.h"

/*
 * RFC 3986 section 3.2 without user information: a registered name or IPv4 address, or an IPv6
 * address in brackets; then perhaps ':' and a port up to 65535, which may be empty. The host may
 * not be empty.
 */
bool h1_authority_is_valid(struct span authority);

#endif
