#include "balancer/policy/sticky.h"

#include "balancer/http/cookie.h"
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

enum sticky_result sticky_ask(const struct pick *pick, const struct h1_lines *lines,
                              const uint8_t *message, const struct member **ret_member)
{
    const char *name = pick->snapshot->conf->sticky.name;
    enum sticky_result result = STICKY_MISS;
    *ret_member = NULL;
    for (uint32_t i = 0; name != NULL && i < lines->n_fields; i++) {
        if (lines->fields[i].id != H1_COOKIE)
            continue;
        struct span rest = h1_field_value(&lines->fields[i], message);
        struct cookie_pair pair;
        while (*ret_member == NULL && cookie_next(&rest, &pair)) {
            if (span_equal(pair.name, span_of(name)))
                result = sticky_resolve(pick, pair.value, ret_member);
        }
    }
    return result;
}
