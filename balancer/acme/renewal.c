#include "balancer/acme/renewal.h"

#define MINUTE_S INT64_C(60)
#define HOUR_S (60 * MINUTE_S)
#define ASK_USUALLY_S (6 * HOUR_S)
#define ASK_AT_LATEST_S (24 * HOUR_S)

/* Of a life; the rest is for failures. */
#define LATEST_PART 0.95

static int64_t part_of_life_s(const struct issued *issued, double part)
{
    return issued->not_before_s +
           (int64_t)((double)(issued->not_after_s - issued->not_before_s) * part);
}

int64_t renewal_usual_s(const struct issued *issued)
{
    return part_of_life_s(issued, 2.0 / 3);
}

int64_t renewal_advised_s(const struct issued *issued, const struct acme_window *window,
                          int64_t got_s, uint64_t random)
{
    uint64_t width_s = (uint64_t)(window->end_s - window->start_s);
    int64_t at_s = window->start_s + (int64_t)(random % width_s);
    int64_t latest_s = part_of_life_s(issued, LATEST_PART);
    if (at_s < got_s + HOUR_S)
        at_s = got_s + HOUR_S;
    return at_s < latest_s ? at_s : latest_s;
}

int64_t renewal_ask_again_s(int64_t retry_after_s)
{
    if (retry_after_s < 0)
        return ASK_USUALLY_S;
    if (retry_after_s < MINUTE_S)
        return MINUTE_S;
    return retry_after_s < ASK_AT_LATEST_S ? retry_after_s : ASK_AT_LATEST_S;
}
