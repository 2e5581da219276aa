/*
 * The URL of one health query. Pure.
 */
#ifndef QUOIT_DISCOVERY_CONSUL_URL_H
#define QUOIT_DISCOVERY_CONSUL_URL_H

#include <stdint.h>

#include "conf/conf.h"

/* How fresh the answer must be: developer.hashicorp.com/consul/api-docs/features/consistency. */
enum consul_mode {
    CONSUL_DEFAULT, /* the leader answers */
    CONSUL_STALE,   /* any server does */
};

struct consul_query {
    const struct conf_service *service;
    uint64_t index;   /* 0: answer at once */
    uint32_t wait_ms; /* with an index: how long to wait for a change */
    enum consul_mode mode;
    const char *meta_key; /* consul_answer_parse()'s; no part of the URL */
};

/*
 * The URL of GET /v1/health/service/:name below base (an agent's address, a path prefix allowed),
 * every part escaped. Critical instances are asked for too, so that their state can be told. The
 * caller frees the result; NULL when memory is out.
 */
char *consul_url_build(const char *base, const struct consul_query *query);

#endif
