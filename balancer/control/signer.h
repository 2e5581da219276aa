/*
 * Signs a pool's endpoints for cookie affinity (pool/sticky.h) with the pool's secret: the
 * configured one, or a random one that dies with the process. Control's thread alone.
 */
#ifndef QUOIT_BALANCER_CONTROL_SIGNER_H
#define QUOIT_BALANCER_CONTROL_SIGNER_H

#include "balancer/http/span.h"
#include "balancer/pool/endpoint.h"
#include "conf/conf.h"

#define SIGNER_RANDOM_SIZE 32

struct signer {
    const struct conf_pool *conf;
    struct span secret; /* the configuration's, or random; empty without cookie affinity */
    uint8_t random[SIGNER_RANDOM_SIZE];
};

/* In place: *signer may not be copied afterwards. Logs when it makes up a secret. Returns 0, or
 * -errno when there is no randomness to be had. */
int signer_init(struct signer *signer, const struct conf_pool *conf);

/* Gives a new endpoint its value; none if the pool has no cookie affinity, or if signing fails,
 * which is logged: such an endpoint serves, but keeps no sessions. */
void signer_sign(const struct signer *signer, struct endpoint *endpoint);

#endif
