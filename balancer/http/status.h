/*
 * Reason phrases of HTTP statuses (RFC 9110 section 15, IANA's registry).
 */
#ifndef QUOIT_BALANCER_HTTP_STATUS_H
#define QUOIT_BALANCER_HTTP_STATUS_H

#include <stdint.h>

/* Never empty: some clients take a status line without a phrase for a broken one. A status that has
 * none is "Unknown". A string constant. */
const char *status_phrase(uint16_t status);

#endif
