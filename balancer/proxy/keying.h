/*
 * The hash key of a request: taken from its head at once, or waited for in the first bytes of its
 * body (STEP_KEY), which stay in the client's in buffer: nothing is consumed, so the body goes on
 * to the endpoint, and to the next one, as if nobody had looked.
 *
 * The wait ends when the fields that decide are known, when `hash_key_body` bytes of content have
 * been looked at, at the end of the body, or as any wait for a body ends. It never depends on how
 * the bytes arrived. Chunk framing is read on the way; content and framing together may take what
 * a buffer has beside a whole head.
 */
#ifndef QUOIT_BALANCER_PROXY_KEYING_H
#define QUOIT_BALANCER_PROXY_KEYING_H

#include <stddef.h>

#include "balancer/proxy/request.h"

/* Memory of a request whose key must be built; the worker's key_slab has it. */
struct keying;
size_t keying_size(void);

/* Once, when the request has its head and its pool: finds the key, or begins to wait for it.
 * Returns the next step. */
enum step keying_begin(struct request *request);

/* STEP_KEY. Answers Expect: 100-continue itself, since the endpoint that would is not chosen yet.
 */
enum step step_key(struct request *request);

/* Gives the memory back; the key is gone with it. */
void keying_end(struct request *request);

#endif
