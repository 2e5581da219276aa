#include "balancer/policy/sticky.h"

#include "balancer/pool/sticky.h"

const char *sticky_word(enum sticky_result result)
{
    static const char *const words[] = {
#define X(name, word) [STICKY_##name] = (word),
        STICKY_RESULTS(X)
#undef X
    };
    return words[result];
}

static bool was_tried(const struct pick *pick, const struct endpoint *endpoint)
{
    for (uint32_t i = 0; i < pick->n_tried; i++) {
        if (pick->tried[i] == endpoint)
            return true;
    }
    return false;
}

enum sticky_result sticky_resolve(const struct pick *pick, struct span value,
                                  const struct member **ret_member)
{
    const struct member *member = sticky_find(pick->snapshot, value);
    *ret_member = member;
    if (member == NULL)
        return STICKY_UNKNOWN;
    if (was_tried(pick, member->endpoint))
        return STICKY_TRIED;
    return endpoint_is_usable(member->endpoint) ? STICKY_HIT : STICKY_DOWN;
}
