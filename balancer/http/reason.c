#include "balancer/http/reason.h"

#include <assert.h>

static const struct {
    uint16_t status;
    enum retry_rule retry;
    enum fault fault;
    const char *word;
} reasons[REASON_COUNT] = {
#define X(name, status, retry, fault, word) [REASON_##name] = {status, retry, fault, word},
    REASONS(X)
#undef X
};

uint16_t reason_status(enum reason reason)
{
    assert(reason < REASON_COUNT);
    return reasons[reason].status;
}

enum retry_rule reason_retry(enum reason reason)
{
    assert(reason < REASON_COUNT);
    return reasons[reason].retry;
}

enum fault reason_fault(enum reason reason)
{
    assert(reason < REASON_COUNT);
    return reasons[reason].fault;
}

const char *reason_word(enum reason reason)
{
    assert(reason < REASON_COUNT);
    return reasons[reason].word;
}
