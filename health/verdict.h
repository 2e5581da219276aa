/*
 * From probe results to a verdict, by rise and fall. Pure.
 */
#ifndef QUOIT_HEALTH_VERDICT_H
#define QUOIT_HEALTH_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

struct verdict {
    bool up;
    bool decided;    /* a first result has been seen */
    uint16_t streak; /* consecutive results against the verdict */
    uint16_t rise, fall;
};

void verdict_init(struct verdict *verdict, bool initially_up, uint16_t rise, uint16_t fall);

/* Takes one result; returns whether the verdict changed. The first result decides alone. */
bool verdict_take(struct verdict *verdict, bool success);

#endif
