/*
 * What the simulation is asked: the goals, and the tables of docs/hashing.md.
 */
#ifndef QUOIT_TESTS_SIM_TABLES_H
#define QUOIT_TESTS_SIM_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "run.h"

/* What the command line says. */
struct question {
    struct plan plan; /* the scheme, and mostly the rate, come from the table */
    uint32_t seeds;
    const struct scheme *const *schemes;
    size_t n_schemes;
};

/* Prints a table each. */
void table_fixed(const struct question *question); /* at plan.rate; 0: 5000, 40 000 and 100 000/s */
void table_rates(const struct question *question); /* the greatest rate that is sustained */
void table_events(const struct question *question);

/* Prints each goal with what was measured; whether all are met. Schemes are not asked for. */
bool check_goals(const struct question *question);

#endif
