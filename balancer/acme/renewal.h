/*
 * When a certificate is renewed. Pure: times are Unix times, randomness is a parameter.
 */
#ifndef QUOIT_BALANCER_ACME_RENEWAL_H
#define QUOIT_BALANCER_ACME_RENEWAL_H

#include <stdint.h>

#include "balancer/acme/answers.h"
#include "balancer/acme/issued.h"

/* Without advice: when two thirds of its life are over. */
int64_t renewal_usual_s(const struct issued *issued);

/* With the authority's (RFC 9773 section 4.2): a random time in its window, so that not all come at
 * once, but not within an hour from got_s, when the certificate came (0: long ago), and never so
 * late that nothing could go wrong any more. random is any 64 uniform bits. */
int64_t renewal_advised_s(const struct issued *issued, const struct acme_window *window,
                          int64_t got_s, uint64_t random);

/* How long until the advice is asked for again: what the authority says (-1: nothing), between a
 * minute and a day (RFC 9773 section 4.3.2). */
int64_t renewal_ask_again_s(int64_t retry_after_s);

#endif
