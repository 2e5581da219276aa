#include "lru.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT16_MAX

struct entry {
    uint32_t object;
    uint16_t newer, older;
};

struct lru {
    struct entry *entries;
    uint32_t capacity, n;
    uint16_t newest, oldest;
    uint16_t place_of[]; /* by object */
};

struct lru *lru_new(uint32_t n_objects, uint32_t capacity)
{
    assert(capacity > 1 && capacity <= LRU_MAX_CAPACITY);
    size_t places = n_objects * sizeof(uint16_t);
    struct lru *lru = malloc(sizeof(struct lru) + places);
    assert(lru != NULL);
    memset(lru->place_of, 0xff, places);
    lru->entries = calloc(capacity, sizeof(struct entry));
    assert(lru->entries != NULL);
    lru->capacity = capacity;
    lru->n = 0;
    lru->newest = lru->oldest = NOWHERE;
    return lru;
}

void lru_free(struct lru *lru)
{
    if (lru == NULL)
        return;
    free(lru->entries);
    free(lru);
}

static void take_out(struct lru *lru, uint16_t place)
{
    const struct entry *entry = &lru->entries[place];
    if (entry->newer != NOWHERE)
        lru->entries[entry->newer].older = entry->older;
    else
        lru->newest = entry->older;
    if (entry->older != NOWHERE)
        lru->entries[entry->older].newer = entry->newer;
    else
        lru->oldest = entry->newer;
}

static void put_first(struct lru *lru, uint16_t place)
{
    struct entry *entry = &lru->entries[place];
    entry->newer = NOWHERE;
    entry->older = lru->newest;
    if (lru->newest != NOWHERE)
        lru->entries[lru->newest].newer = place;
    else
        lru->oldest = place;
    lru->newest = place;
}

static uint16_t make_room(struct lru *lru)
{
    if (lru->n < lru->capacity)
        return (uint16_t)lru->n++;
    uint16_t place = lru->oldest;
    take_out(lru, place);
    lru->place_of[lru->entries[place].object] = NOWHERE;
    return place;
}

bool lru_touch(struct lru *lru, uint32_t object)
{
    uint16_t place = lru->place_of[object];
    bool is_there = place != NOWHERE;
    if (is_there) {
        take_out(lru, place);
    } else {
        place = make_room(lru);
        lru->entries[place].object = object;
        lru->place_of[object] = place;
    }
    put_first(lru, place);
    return is_there;
}
