/*
 * How long a request waits for its client: to send the rest of the body, and to take what is sent
 * to it. Both are measured by patience.h, so that a client that keeps to client.min_body_rate and
 * client.min_send_rate is waited for however long that takes, and one that does not is not.
 */
#ifndef QUOIT_BALANCER_PROXY_PACING_H
#define QUOIT_BALANCER_PROXY_PACING_H

#include <stdbool.h>

struct request;

/* Limits the client's deadline by the wait that is under way, if there is one: by
 * REASON_CLIENT_TIMEOUT for the body, by REASON_CLIENT_SLOW for taking. */
void pacing_arm(struct request *request);

/* That deadline has come, with REASON_CLIENT_SLOW. Whether the client has taken enough all the
 * same: what left the kernel's queue meanwhile is known only now. */
bool pacing_is_kept(struct request *request);

#endif
