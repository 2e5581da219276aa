/*
 * GET over HTTP, blocking, for commands that ask a running balancer.
 */
#ifndef QUOIT_BALANCER_CLI_FETCH_H
#define QUOIT_BALANCER_CLI_FETCH_H

#include <stddef.h>

#define FETCH_WHY_BYTES 256 /* CURL_ERROR_SIZE */

struct fetched {
    long status;
    char *text; /* the caller frees it; with a NUL behind its n bytes */
    size_t n;
};

/* Fetches url, in at most ten seconds and 64 MiB. Returns 0, or -EIO with a phrase in ret_why. */
int fetch(const char *url, struct fetched *ret_fetched, char ret_why[FETCH_WHY_BYTES]);

#endif
