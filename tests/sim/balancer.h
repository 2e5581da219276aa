/*
 * A balancer of the simulation: quoit's own pool, snapshots and policies, wired as its data path
 * (balancer/proxy/attempt.c) and its control (balancer/control/) wire them, without the network.
 */
#ifndef QUOIT_TESTS_SIM_BALANCER_H
#define QUOIT_TESTS_SIM_BALANCER_H

#include <stdint.h>

#include "balancer/http/span.h"
#include "balancer/policy/policy.h"
#include "balancer/pool/pool.h"
#include "scheme.h"

enum { BALANCER_MAX_ENDPOINTS = 64, BALANCER_MAX_WORKERS = 8 };

struct balancer {
    struct conf *conf;
    struct pool pool;
    double weight; /* of an endpoint in full */
    uint32_t n_workers;
    uint32_t n; /* endpoints that are published, of those below */
    struct member members[BALANCER_MAX_ENDPOINTS];
    struct snapshot *snapshot; /* the workers' reference */
    struct policy_state *states[BALANCER_MAX_WORKERS];
};

/* With n endpoints in full. seed gives them their names. Ends the program if the scheme's options
 * are wrong or memory is out. */
void balancer_init(struct balancer *balancer, const struct scheme *scheme, uint32_t n,
                   uint32_t n_workers, uint64_t seed);
void balancer_fini(struct balancer *balancer);

/* Publishes n endpoints; those from old_n on have that part of their weight. */
void balancer_resize(struct balancer *balancer, uint32_t n, uint32_t old_n, double part);

/* A probe finds the endpoint down. */
void balancer_take_down(struct balancer *balancer, uint32_t endpoint);

/* One request for a key at one of the workers. */
struct balancer_request {
    uint32_t worker;
    uint64_t hash;
    struct span key;
    uint64_t now_us;
    uint64_t random;
};

/* Chooses the endpoint and counts the request as in flight there. */
uint32_t balancer_choose(struct balancer *balancer, const struct balancer_request *request,
                         enum pick_way *ret_way);

/* The worker's request at endpoint is over. */
void balancer_done(struct balancer *balancer, uint32_t worker, uint32_t endpoint);

#endif
