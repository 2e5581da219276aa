/*
 * The hash key of a request: which of its bytes decide where it goes.
 */
#ifndef QUOIT_BALANCER_HTTP_KEY_H
#define QUOIT_BALANCER_HTTP_KEY_H

#include "balancer/http/h1.h"
#include "conf/conf.h"

/*
 * Takes the key out of a complete request; false if the request has none (an empty one counts as
 * none), or if the source is CONF_KEY_NONE.
 *
 *   path    without the query; "/" for an absolute target without one
 *   uri     path and query as they came
 *   query   the first argument of this name: `a=1&b=2`, compared byte by byte, nothing decoded
 *   header  the first field of this name, in any case; Host is what the request's target names, if
 *           it does
 *   cookie  the first pair of this name in all Cookie fields (RFC 6265 section 4.2.1), compared
 *           byte by byte; quotes are part of the value
 *   client  client_address
 *
 * *ret_key points into the message, at client_address.p, or at a constant.
 */
bool key_extract(const struct conf_key *key, const struct h1_request *request,
                 const uint8_t *message, struct span client_address, struct span *ret_key);

#endif
