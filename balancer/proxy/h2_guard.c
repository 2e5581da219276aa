#include "balancer/proxy/h2_guard.h"

/* A browser that leaves a page gives up all that is under way at once; no program keeps that up. */
static const struct {
    uint64_t burst, each_us; /* one more every each_us */
} budgets[] = {
    [H2_NUISANCE_RESET] = {500, 25000},      [H2_NUISANCE_CONTROL] = {1000, 10000},
    [H2_NUISANCE_EMPTY] = {100, 50000},      [H2_NUISANCE_LINK_CONTROL] = {5000, 100},
    [H2_NUISANCE_LINK_EMPTY] = {1000, 1000},
};

bool h2_guard_count(struct h2_guard *guard, enum h2_nuisance nuisance, uint64_t now_us)
{
    uint64_t *spent_us = &guard->spent_us[nuisance];
    uint64_t each_us = budgets[nuisance].each_us;
    if (*spent_us < now_us)
        *spent_us = now_us;
    *spent_us += each_us;
    return *spent_us - now_us <= budgets[nuisance].burst * each_us;
}

void h2_guard_allow(struct h2_guard *guard, enum h2_nuisance nuisance, unsigned n)
{
    uint64_t *spent_us = &guard->spent_us[nuisance];
    uint64_t worth_us = n * budgets[nuisance].each_us;
    *spent_us -= worth_us < *spent_us ? worth_us : *spent_us;
}

/* Each byte counts against two windows, its stream's and the connection's. */
void h2_guard_sent(struct h2_guard *guard, uint64_t n)
{
    guard->openable_bytes += 2 * n;
}

bool h2_guard_owes_window(struct h2_guard *guard, uint64_t n)
{
    if (n > guard->openable_bytes)
        return false;
    guard->openable_bytes -= n;
    return true;
}
