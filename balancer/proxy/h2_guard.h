/*
 * What an HTTP/2 peer may make us do for nothing, by kind: a budget that is full at first and
 * refills with time. Honest clients stay far below; who uses one up is told to calm down and cut
 * off. Pure.
 */
#ifndef QUOIT_BALANCER_PROXY_H2_GUARD_H
#define QUOIT_BALANCER_PROXY_H2_GUARD_H

#include <stdbool.h>
#include <stdint.h>

enum h2_nuisance {
    H2_NUISANCE_RESET,   /* a request given up before its answer, by either side: CVE-2023-44487,
                            CVE-2025-8671 */
    H2_NUISANCE_CONTROL, /* SETTINGS, PING, PRIORITY, windows opened by a few bytes; beyond what our
                            own DATA is answered with */
    H2_NUISANCE_EMPTY,   /* DATA that brings neither bytes nor an end */
    /* The same of an endpoint, which serves many and may measure the way with PINGs. */
    H2_NUISANCE_LINK_CONTROL,
    H2_NUISANCE_LINK_EMPTY,
    H2_NUISANCES
};

struct h2_guard {
    uint64_t spent_us[H2_NUISANCES]; /* the moment up to which the budget is used up */
    uint64_t openable_bytes;         /* by which windows may still be opened for what was sent */
};

/* n bytes of DATA have been sent. */
void h2_guard_sent(struct h2_guard *guard, uint64_t n);

/* Whether a window opened by n bytes is opened for what was sent, as gRPC's clients do message by
 * message, long after it was sent. */
bool h2_guard_owes_window(struct h2_guard *guard, uint64_t n);

/* Gives back what n of them have used up: the peer had cause for as many. */
void h2_guard_allow(struct h2_guard *guard, enum h2_nuisance nuisance, unsigned n);

/* Counts one at now_us, on a clock that is far from 0; whether it was still within the budget. */
bool h2_guard_count(struct h2_guard *guard, enum h2_nuisance nuisance, uint64_t now_us);

#endif
