/*
 * The ACL token of a query: from the configuration, or from a file that is read anew each time, so
 * that a rotated token is picked up without a reload.
 */
#ifndef QUOIT_DISCOVERY_TOKEN_H
#define QUOIT_DISCOVERY_TOKEN_H

#include "conf/conf.h"

enum { TOKEN_MAX = 4096 };

/*
 * Writes the token with its end trimmed; "" when none is configured. The file is small and local:
 * reading it is the one blocking call of the discovery thread. Returns 0, -EINVAL when the file
 * holds no token (empty, too long, control characters), or the -errno of opening or reading it.
 */
int token_read(const struct conf_consul *consul, char ret_token[TOKEN_MAX]);

#endif
