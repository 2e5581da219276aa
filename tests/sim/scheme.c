#include "scheme.h"

#include <string.h>

#define BOUNDED(factor)                                                                            \
    ", affinity: cache, hot_key_share: 0, balance_slack: 0, balance_factor: " factor
#define HAPROXY "algorithm: haproxy"
#define MAGLEV "algorithm: envoy_maglev"

const struct scheme schemes[] = {
    {.name = "quoit", .options = "algorithm: hash"},
    {.name = "quoit-ring", .options = "algorithm: ring"},
    {.name = "quoit-no-hot-keys", .options = "algorithm: hash, hot_key_share: 0"},
    {.name = "quoit-no-bound", .options = "algorithm: hash, balance_factor: 0"},
    {.name = "quoit-no-slack", .options = "algorithm: hash, balance_slack: 0"},
    {.name = "quoit-strict", .options = "algorithm: hash, affinity: strict"},
    {.name = "nginx", .options = "algorithm: nginx"},
    {.name = "haproxy", .options = HAPROXY, .weight = 100},
    {.name = "haproxy-125", .options = HAPROXY BOUNDED("1.25"), .weight = 100},
    {.name = "haproxy-150", .options = HAPROXY BOUNDED("1.5"), .weight = 100},
    {.name = "haproxy-175", .options = HAPROXY BOUNDED("1.75"), .weight = 100},
    {.name = "haproxy-200", .options = HAPROXY BOUNDED("2"), .weight = 100},
    {.name = "haproxy-300", .options = HAPROXY BOUNDED("3"), .weight = 100},
    {.name = "envoy-ring", .options = "algorithm: envoy_ring"},
    {.name = "envoy-maglev", .options = MAGLEV},
    {.name = "envoy-maglev-125", .options = MAGLEV BOUNDED("1.25")},
    {.name = "envoy-maglev-150", .options = MAGLEV BOUNDED("1.5")},
    {.name = "envoy-maglev-175", .options = MAGLEV BOUNDED("1.75")},
    {.name = "envoy-maglev-200", .options = MAGLEV BOUNDED("2")},
    {.name = "envoy-maglev-300", .options = MAGLEV BOUNDED("3")},
    {.name = "least-requests", .options = "algorithm: least_requests"},
    {.name = "random-two", .options = "algorithm: random_two"},
};

const size_t n_schemes = sizeof schemes / sizeof schemes[0];

const struct scheme *scheme_find(const char *name)
{
    for (size_t i = 0; i < n_schemes; i++) {
        if (strcmp(schemes[i].name, name) == 0)
            return &schemes[i];
    }
    return NULL;
}
