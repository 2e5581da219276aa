/*
 * The pure half of the Consul client: bytes of an answer to an instance set. No I/O, no clock.
 */
#ifndef QUOIT_DISCOVERY_CONSUL_ANSWER_H
#define QUOIT_DISCOVERY_CONSUL_ANSWER_H

#include "discovery/discovery.h"

/* Larger bodies are refused: about 35,000 instances as Consul writes them. */
#define CONSUL_ANSWER_MAX_BYTES (64UL << 20)

/*
 * Parses the body of GET /v1/health/service/:name. Instances that cannot be used (no address, a
 * bad port, a wrong type) are left out and counted, the others kept. Where two share an identity,
 * or an address and port, the healthier stays, then the first in identity order: a node that died
 * must not hide the one that took over its address. The set's index is left 0 for the caller.
 *
 * meta_key, if not NULL, names a key of Service.Meta whose value becomes each instance's meta; one
 * that is empty, no text, or longer than Consul allows (512 bytes) is none.
 *
 * Returns 0 and writes *ret_set, or -EBADMSG when the body is not such an answer as a whole
 * (truncated, not JSON, not an array; `null` too), -EMSGSIZE when it is larger or deeper than any
 * honest answer, or -ENOMEM. *ret_why, when not NULL, is set to a static phrase on error.
 */
int consul_answer_parse(const char *body, size_t n, const char *meta_key,
                        struct instance_set **ret_set, const char **ret_why);

/* Whether two sets say the same (indexes and counts of rejects aside). */
bool instance_set_equal(const struct instance_set *a, const struct instance_set *b);

#endif
