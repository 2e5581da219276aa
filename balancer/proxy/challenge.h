/*
 * Requests of a certificate authority that asks whether a name is ours: HTTP-01 (RFC 8555 section
 * 8.3). What is not for a token that is known goes its usual way.
 */
#ifndef QUOIT_BALANCER_PROXY_CHALLENGE_H
#define QUOIT_BALANCER_PROXY_CHALLENGE_H

#include <stdbool.h>

#include "balancer/proxy/request.h"
#include "balancer/tls/challenges.h"

/* Once, when the head is complete: whether it is one that there is an answer for. */
bool challenge_is_known(const struct request *request);

/* The answer to such a request, and its length; 0 when it has been taken back meanwhile. */
size_t challenge_answer(const struct request *request, char ret_answer[CHALLENGES_ANSWER_SIZE]);

#endif
