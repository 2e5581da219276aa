#include "balancer/http/cookie.h"

#include "balancer/http/h1_chars.h"

/* Cuts the text at the first separator; without one all of it is before. */
static struct span cut(struct span text, uint8_t separator, struct span *ret_behind)
{
    const uint8_t *at = text.n > 0 ? memchr(text.p, separator, text.n) : NULL;
    size_t n = at != NULL ? (size_t)(at - text.p) : text.n;
    size_t used = at != NULL ? n + 1 : n;
    *ret_behind = (struct span){text.p + used, text.n - used};
    return (struct span){text.p, n};
}

bool cookie_next(struct span *rest, struct cookie_pair *ret_pair)
{
    while (rest->n > 0) {
        struct span whole = h1_trim(cut(*rest, ';', rest));
        if (whole.n == 0)
            continue;
        ret_pair->whole = whole;
        ret_pair->name = cut(whole, '=', &ret_pair->value);
        return true;
    }
    return false;
}
