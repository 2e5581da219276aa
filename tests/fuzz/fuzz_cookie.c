/*
 * Cookie fields: the pairs lie in order within the field, none is empty or holds a semicolon, and
 * together they hold all of it but semicolons and white space.
 */
#include <stdint.h>
#include <stdlib.h>

#include "balancer/http/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool is_between_pairs(uint8_t c)
{
    return c == ';' || c == ' ' || c == '\t';
}

static void check_pair(const struct cookie_pair *pair)
{
    require(pair->whole.n > 0 && memchr(pair->whole.p, ';', pair->whole.n) == NULL);
    require(!is_between_pairs(pair->whole.p[0]));
    require(!is_between_pairs(pair->whole.p[pair->whole.n - 1]));
    require(pair->name.p == pair->whole.p);
    require(pair->name.n == 0 || memchr(pair->name.p, '=', pair->name.n) == NULL);
    size_t used = pair->name.n < pair->whole.n ? pair->name.n + 1 : pair->name.n;
    require(pair->value.p == pair->whole.p + used && pair->value.n == pair->whole.n - used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = {data, size};
    struct cookie_pair pair;
    const uint8_t *at = data;
    while (cookie_next(&rest, &pair)) {
        check_pair(&pair);
        for (; at < pair.whole.p; at++)
            require(is_between_pairs(*at));
        at = pair.whole.p + pair.whole.n;
    }
    for (; at < data + size; at++)
        require(is_between_pairs(*at));
    return 0;
}
