/*
 * Requests that ask to be explained: they carry the field client.explain_header with the right
 * token, and get one of the same name back that says why they went where they went
 * (explain/line.h). Where the option is not set this costs a look at it, and others who do not ask
 * a comparison for each field.
 */
#ifndef QUOIT_BALANCER_PROXY_EXPLAINED_H
#define QUOIT_BALANCER_PROXY_EXPLAINED_H

#include "balancer/proxy/head.h"
#include "balancer/proxy/request.h"

/* An explanation in the making. */
struct explained;

/* Once, when the head is complete: notes whether the request asks. Endpoints do not see the field
 * of one that does. */
void explained_prepare(struct request *request);

/* What a pick's trace has room for: nothing, unless the request asks. */
struct pick_trace explained_trace(const struct request *request);

/* After a pick: keeps what is to be said of it, instead of what was said of the one before. way is
 * NULL for the trace's. */
void explained_note(struct request *request, const struct pick *pick, const struct endpoint *choice,
                    const char *way);

/* Before a response goes on: the endpoint's own fields of the name do not. */
void explained_mark_response(const struct request *request, struct h1_lines *lines,
                             const uint8_t *message);

/* Adds the field, if there is something to say and the head has room for it. */
void explained_add(struct head *head, const struct request *request);

void explained_end(struct request *request);

#endif
