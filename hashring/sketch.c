#include "hashring/sketch.h"

#include "hashring/hash.h"

static uint32_t load(const _Atomic uint16_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* Key hashes of other programs have 32 bits: they are mixed before the columns are cut out. */
static void find_columns(uint64_t hash, uint32_t ret_columns[SKETCH_ROWS])
{
    uint64_t bits = mix64(hash + HASH_STEP);
    for (int row = 0; row < SKETCH_ROWS; row++) {
        ret_columns[row] = (uint32_t)bits & (SKETCH_COLUMNS - 1);
        bits >>= SKETCH_COLUMN_BITS;
    }
}

static uint32_t least_at(const struct sketch *sketch, const uint32_t columns[SKETCH_ROWS])
{
    uint32_t least = UINT16_MAX;
    for (int row = 0; row < SKETCH_ROWS; row++) {
        uint32_t count = load(&sketch->counts[row][columns[row]]);
        least = count < least ? count : least;
    }
    return least;
}

uint32_t sketch_add(struct sketch *sketch, uint64_t hash)
{
    uint32_t columns[SKETCH_ROWS];
    find_columns(hash, columns);
    uint32_t least = least_at(sketch, columns);
    if (least == UINT16_MAX) {
        sketch_halve(sketch);
        least /= 2;
    }
    for (int row = 0; row < SKETCH_ROWS; row++) {
        _Atomic uint16_t *count = &sketch->counts[row][columns[row]];
        if (load(count) == least)
            atomic_store_explicit(count, (uint16_t)(least + 1), memory_order_relaxed);
    }
    atomic_store_explicit(&sketch->total, sketch_total(sketch) + 1, memory_order_relaxed);
    return least + 1;
}

uint32_t sketch_estimate(const struct sketch *sketch, uint64_t hash)
{
    uint32_t columns[SKETCH_ROWS];
    find_columns(hash, columns);
    return least_at(sketch, columns);
}

uint32_t sketch_total(const struct sketch *sketch)
{
    return atomic_load_explicit(&sketch->total, memory_order_relaxed);
}

void sketch_halve(struct sketch *sketch)
{
    for (int row = 0; row < SKETCH_ROWS; row++) {
        for (uint32_t i = 0; i < SKETCH_COLUMNS; i++) {
            _Atomic uint16_t *count = &sketch->counts[row][i];
            atomic_store_explicit(count, (uint16_t)(load(count) / 2), memory_order_relaxed);
        }
    }
    atomic_store_explicit(&sketch->total, sketch_total(sketch) / 2, memory_order_relaxed);
}
