#include "balancer/control/ramp.h"

double ramp_first_weight(double weight)
{
    return weight / RAMP_STEPS;
}

bool ramp_is_running(const struct ramp *ramp)
{
    return ramp->length_us > 0;
}

bool ramp_is_over(const struct ramp *ramp, uint64_t now_us)
{
    return now_us >= ramp->begin_us && now_us - ramp->begin_us >= ramp->length_us;
}

double ramp_weight(const struct ramp *ramp, uint64_t now_us)
{
    if (ramp_is_over(ramp, now_us))
        return ramp->to;
    if (now_us <= ramp->begin_us)
        return ramp->from;
    double done = (double)(now_us - ramp->begin_us) / (double)ramp->length_us;
    return ramp->from + (ramp->to - ramp->from) * done;
}

uint64_t ramp_step_us(uint64_t length_us)
{
    uint64_t step_us = length_us / RAMP_STEPS;
    return step_us > RAMP_SHORTEST_STEP_US ? step_us : RAMP_SHORTEST_STEP_US;
}
