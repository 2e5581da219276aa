#include "hashring/hash.h"

#include <xxhash.h>

#include "hashring/ring.h"

uint64_t ring_hash(uint64_t seed, const void *key, size_t n)
{
    return XXH3_64bits_withSeed(key, n, seed);
}
