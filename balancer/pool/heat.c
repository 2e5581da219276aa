#include "balancer/pool/heat.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hashring/hash.h"
#include "hashring/sketch.h"

/* Counts are halved at so many requests and at least so often. */
#define FADE_REQUESTS 400000u
#define FADE_US (10 * UINT64_C(1000000))
/* Fewer requests than this count as this many. */
#define LEAST_REQUESTS 8192u
/* A sketch's estimates err by less than this many times the average count of a column. */
#define NOISE_COLUMNS 4u

#define KEY_WORDS (HEAT_KEY_BYTES / sizeof(uint64_t))

/* A hot key, written by the worker under a sequence lock: odd while it changes. Each store of the
 * rest releases the odd number, and each load acquires what the even one released. */
struct hot {
    _Atomic uint32_t sequence, n;
    _Atomic uint64_t hash;
    _Atomic uint64_t words[KEY_WORDS];
};

struct heat {
    struct sketch sketch;
    uint64_t faded_us;
    struct hot hot[HEAT_TOP]; /* by hash; of two keys in one place the hotter stays */
};

struct heat *heat_new(void)
{
    return calloc(1, sizeof(struct heat));
}

void heat_free(struct heat *heat)
{
    free(heat);
}

static void fade(struct heat *heat, uint64_t now_us)
{
    if (heat->faded_us == 0)
        heat->faded_us = now_us;
    if (sketch_total(&heat->sketch) < FADE_REQUESTS && now_us - heat->faded_us < FADE_US)
        return;
    sketch_halve(&heat->sketch);
    heat->faded_us = now_us;
}

static double share_of(const struct heat *heat, uint32_t estimate)
{
    uint32_t total = heat_total(heat);
    uint32_t of = total > LEAST_REQUESTS ? total : LEAST_REQUESTS;
    bool is_noise = (uint64_t)estimate * SKETCH_COLUMNS < (uint64_t)of * NOISE_COLUMNS;
    return is_noise ? 0 : (double)estimate / of;
}

static void write_hot(struct hot *hot, uint64_t hash, struct span key)
{
    uint64_t words[KEY_WORDS] = {0};
    size_t n = key.n < HEAT_KEY_BYTES ? key.n : HEAT_KEY_BYTES;
    if (n > 0)
        memcpy(words, key.p, n);
    uint32_t sequence = atomic_load_explicit(&hot->sequence, memory_order_relaxed);
    atomic_store_explicit(&hot->sequence, sequence + 1, memory_order_relaxed);
    atomic_store_explicit(&hot->hash, hash, memory_order_release);
    atomic_store_explicit(&hot->n, (uint32_t)key.n, memory_order_release);
    for (size_t i = 0; i < KEY_WORDS; i++)
        atomic_store_explicit(&hot->words[i], words[i], memory_order_release);
    atomic_store_explicit(&hot->sequence, sequence + 2, memory_order_release);
}

static void remember(struct heat *heat, uint64_t hash, uint32_t estimate, struct span key)
{
    struct hot *hot = &heat->hot[mix64(hash) % HEAT_TOP];
    uint64_t there = atomic_load_explicit(&hot->hash, memory_order_relaxed);
    bool is_new = atomic_load_explicit(&hot->sequence, memory_order_relaxed) == 0;
    if (is_new || (there != hash && sketch_estimate(&heat->sketch, there) < estimate))
        write_hot(hot, hash, key);
}

double heat_count(struct heat *heat, uint64_t hash, struct span key, uint64_t now_us)
{
    fade(heat, now_us);
    uint32_t estimate = sketch_add(&heat->sketch, hash);
    double share = share_of(heat, estimate);
    if (share > 0)
        remember(heat, hash, estimate, key);
    return share;
}

double heat_share(const struct heat *heat, uint64_t hash)
{
    return share_of(heat, sketch_estimate(&heat->sketch, hash));
}

uint32_t heat_total(const struct heat *heat)
{
    return sketch_total(&heat->sketch);
}

/* False while it changes, and for one that was never written. */
static bool read_hot(const struct hot *hot, struct heat_key *ret_key)
{
    uint32_t sequence = atomic_load_explicit(&hot->sequence, memory_order_acquire);
    uint64_t words[KEY_WORDS];
    struct heat_key key = {.hash = atomic_load_explicit(&hot->hash, memory_order_acquire),
                           .n = atomic_load_explicit(&hot->n, memory_order_acquire)};
    for (size_t i = 0; i < KEY_WORDS; i++)
        words[i] = atomic_load_explicit(&hot->words[i], memory_order_acquire);
    if (sequence == 0 || sequence % 2 != 0 ||
        atomic_load_explicit(&hot->sequence, memory_order_relaxed) != sequence)
        return false;
    memcpy(key.bytes, words, sizeof words);
    *ret_key = key;
    return true;
}

size_t heat_top(const struct heat *heat, struct heat_key ret_keys[HEAT_TOP])
{
    size_t n = 0;
    for (size_t i = 0; i < HEAT_TOP; i++) {
        if (!read_hot(&heat->hot[i], &ret_keys[n]))
            continue;
        ret_keys[n].share = heat_share(heat, ret_keys[n].hash);
        if (ret_keys[n].share > 0)
            n++;
    }
    return n;
}
