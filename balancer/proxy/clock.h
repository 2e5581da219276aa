/*
 * The monotonic clock in microseconds, as deadlines and durations use it.
 */
#ifndef QUOIT_BALANCER_PROXY_CLOCK_H
#define QUOIT_BALANCER_PROXY_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

#endif
