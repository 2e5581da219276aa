#include "balancer/control/descriptors.h"

#include <sys/resource.h>

#include "balancer/log/log.h"

/* Logs, control's loops, Consul, probes and the admin listener's connections. */
#define OWN 64u
/* A worker's loop, and for each listener its socket and the reserve. */
#define OF_WORKER 4u
#define OF_LISTENER 2u
/* With fewer for clients and endpoints than these there is no use in starting. */
#define LEAST_TRAFFIC 16u

static uint32_t own_descriptors(const struct conf *conf)
{
    return OWN + conf->workers * (OF_WORKER + OF_LISTENER * (uint32_t)conf->n_listeners);
}

static uint32_t limit_now(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024; /* what Linux gives every process */
    return limit.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)limit.rlim_cur;
}

bool descriptors_prepare(const struct conf *conf)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    uint32_t needed = own_descriptors(conf) + LEAST_TRAFFIC;
    if (limit_now() >= needed)
        return true;
    log_event(LOG_ERROR, "too_few_descriptors", LOG_U64("limit", limit_now()),
              LOG_U64("needed", needed));
    return false;
}

uint32_t descriptors_max_clients(const struct conf *conf)
{
    uint32_t usable = limit_now() - own_descriptors(conf), wanted = conf->client.max_connections;
    if (wanted == 0)
        return usable / 2;
    if (wanted > usable)
        log_event(LOG_WARN, "max_connections_lowered", LOG_U64("wanted", wanted),
                  LOG_U64("max_connections", usable));
    return wanted < usable ? wanted : usable;
}
