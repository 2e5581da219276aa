#include "hashring/darts.h"

/* The inverse of an odd number modulo 2^32: Newton's iteration doubles the correct bits. */
static uint32_t inverse_of_odd(uint32_t a)
{
    uint32_t x = a; /* correct to 3 bits */
    for (int bits = 3; bits < 32; bits *= 2)
        x *= 2 - a * x;
    return x;
}

void thrower_init(struct thrower *thrower, uint64_t hash, uint64_t weight, uint32_t order)
{
    for (uint32_t i = 0; i < DART_ROUNDS; i++) {
        uint64_t bits = mix64_nth(hash, i);
        thrower->multiply[i] = (uint32_t)bits | 1;
        thrower->divide[i] = inverse_of_odd(thrower->multiply[i]);
        thrower->add[i] = (uint32_t)(bits >> 32);
    }
    thrower->shift = mix64_nth(hash, DART_ROUNDS);
    thrower->stride = mix64_nth(hash, DART_ROUNDS + 1) | 1;
    thrower->pace = weight > 0 ? UINT64_MAX / weight : 0;
    thrower->order = order;
}
