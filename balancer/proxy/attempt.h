/*
 * Attempts of a request: getting a connection to an endpoint, failing, trying again.
 * Part of request.c's machinery.
 */
#ifndef QUOIT_BALANCER_PROXY_ATTEMPT_H
#define QUOIT_BALANCER_PROXY_ATTEMPT_H

#include "balancer/proxy/request.h"

/* STEP_PICK: chooses an endpoint and begins an attempt; returns the next step. */
enum step attempt_begin(struct request *request);

/* What is next after reason: ends the attempt under way, then PICK when another may be made, REPLY
 * when reason has a status and no answer has begun, else DONE. */
enum step attempt_failed(struct request *request, enum reason reason);

/* Whether the attempt under way can be given up because of reason without harm: the request may go
 * elsewhere, there is an endpoint for it, and the retry budget has a place, which it then has. */
bool attempt_may_move(struct request *request, enum reason reason);

/* For a second attempt beside the one under way (hedge.h): whether there can be one, which then has
 * its place in the retry budget; and it, once the first is set aside. Returns the next step. */
bool attempt_may_go_beside(struct request *request);
enum step attempt_begin_beside(struct request *request);

/* The parts of an attempt's end: the connection no longer counts as the request's; the endpoint is
 * not to be picked again; its failure is counted. */
void attempt_let_go(struct request *request, struct upstream *upstream);
void attempt_note_tried(struct request *request, struct endpoint *endpoint);
void attempt_count_failed(struct request *request, struct endpoint *endpoint, enum reason reason);

/* What a connection that was never made died of; error is its errno, 0 when nobody knows. */
enum reason attempt_connect_reason(int error);

/* What one that was made was lost to: it has ended, or failed. */
enum reason attempt_loss_reason(const struct conn *conn);

/* The attempt is over and well: its connection goes back to the pool if it can be used again. */
void attempt_finish(struct request *request);

/* Gives up sending the request again: the head moves to memory of its own, and the client's in
 * buffer is free for the rest of a body that does not fit into it. */
void attempt_let_go_of_buffer(struct request *request);

#endif
