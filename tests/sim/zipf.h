/*
 * Objects by Zipf's law: the k-th most popular of n comes with a probability in proportion to
 * k^-exponent. Draws are one load from an alias table (Vose's method).
 */
#ifndef QUOIT_TESTS_SIM_ZIPF_H
#define QUOIT_TESTS_SIM_ZIPF_H

#include <stdint.h>

#include "draw.h"

struct zipf;

/* Aborts when memory is out. */
struct zipf *zipf_new(uint32_t n, double exponent);
void zipf_free(struct zipf *zipf);

/* 0 (the most popular) to n - 1. */
uint32_t zipf_draw(const struct zipf *zipf, struct draws *draws);

#endif
