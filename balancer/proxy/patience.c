#include "balancer/proxy/patience.h"

#include <assert.h>

static void spend(struct patience *patience, uint64_t now_us)
{
    if (patience->since_us != 0 && now_us > patience->since_us) {
        patience->spent_us += now_us - patience->since_us;
        patience->since_us = now_us;
    }
}

void patience_wait(struct patience *patience, uint64_t now_us)
{
    assert(now_us != 0);
    if (patience->since_us == 0)
        patience->since_us = now_us;
}

void patience_rest(struct patience *patience, uint64_t now_us)
{
    spend(patience, now_us);
    patience->since_us = 0;
}

/* What so many bytes are worth; never more than full. */
static uint64_t worth_us(const struct pace *pace, uint64_t bytes)
{
    if (bytes == 0)
        return 0;
    /* Also keeps the product below from overflowing. */
    if (pace->rate == 0 || bytes / pace->rate >= pace->full_us / 1000000 + 1)
        return pace->full_us;
    uint64_t us = bytes * 1000000 / pace->rate;
    return us < pace->full_us ? us : pace->full_us;
}

void patience_look(struct patience *patience, const struct pace *pace, uint64_t now_us,
                   uint64_t bytes)
{
    spend(patience, now_us);
    if (patience->spent_us > pace->full_us)
        patience->spent_us = pace->full_us;
    uint64_t more = bytes > patience->seen_bytes ? bytes - patience->seen_bytes : 0;
    uint64_t worth = worth_us(pace, more);
    patience->spent_us -= worth < patience->spent_us ? worth : patience->spent_us;
    patience->seen_bytes = bytes;
}

uint64_t patience_end_us(const struct patience *patience, const struct pace *pace)
{
    assert(patience->since_us != 0);
    uint64_t left_us = pace->full_us > patience->spent_us ? pace->full_us - patience->spent_us : 0;
    return patience->since_us + left_us;
}
