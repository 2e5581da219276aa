/*
 * What a cache holds: so many objects, of which the one that was longest not asked for makes room.
 */
#ifndef QUOIT_TESTS_SIM_LRU_H
#define QUOIT_TESTS_SIM_LRU_H

#include <stdbool.h>
#include <stdint.h>

#define LRU_MAX_CAPACITY 65534u

struct lru;

/* Objects are numbers below n_objects. Aborts when memory is out. */
struct lru *lru_new(uint32_t n_objects, uint32_t capacity);
void lru_free(struct lru *lru); /* accepts NULL */

/* Whether it holds the object, which it does from now on. */
bool lru_touch(struct lru *lru, uint32_t object);

#endif
