/*
 * The steps of a request. Each does what it can do now and returns the step that is next: its own
 * when it must wait. request.c holds the table of allowed moves.
 */
#ifndef QUOIT_BALANCER_PROXY_STEPS_H
#define QUOIT_BALANCER_PROXY_STEPS_H

#include "balancer/proxy/request.h"

enum step step_head(struct request *request);
enum step step_queue(struct request *request);
enum step step_connect(struct request *request);
enum step step_send(struct request *request);
enum step step_relay(struct request *request);
enum step step_tunnel(struct request *request);
enum step step_reply(struct request *request);

#endif
