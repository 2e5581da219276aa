/*
 * A count-min sketch: how often each key has come lately, in a fixed 64 KiB.
 *
 * Cormode and Muthukrishnan, "An improved data stream summary: the count-min sketch and its
 * applications", J. Algorithms 55 (2005); conservative update after Estan and Varghese, SIGCOMM
 * 2002. An estimate is never too low, and too high by a small part of total / SKETCH_COLUMNS.
 * Halving lets the past fade.
 *
 * One thread counts; any thread may estimate meanwhile and sees counts as of about now.
 */
#ifndef QUOIT_HASHRING_SKETCH_H
#define QUOIT_HASHRING_SKETCH_H

#include <stdatomic.h>
#include <stdint.h>

#define SKETCH_ROWS 4
#define SKETCH_COLUMN_BITS 13
#define SKETCH_COLUMNS (1u << SKETCH_COLUMN_BITS)

/* All zero is an empty one. */
struct sketch {
    _Atomic uint32_t total; /* of all counts, halved with them */
    _Atomic uint16_t counts[SKETCH_ROWS][SKETCH_COLUMNS];
};

/* Counts the key once more and returns its estimate. Halves everything first where a count would
 * overflow, so that estimates keep their proportion to the total. */
uint32_t sketch_add(struct sketch *sketch, uint64_t hash);

uint32_t sketch_estimate(const struct sketch *sketch, uint64_t hash);

uint32_t sketch_total(const struct sketch *sketch);

void sketch_halve(struct sketch *sketch);

#endif
