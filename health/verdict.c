#include "health/verdict.h"

void verdict_init(struct verdict *verdict, bool initially_up, uint16_t rise, uint16_t fall)
{
    *verdict = (struct verdict){.up = initially_up, .rise = rise, .fall = fall};
}

static bool decide(struct verdict *verdict, bool up)
{
    bool changed = verdict->up != up;
    verdict->up = up;
    verdict->streak = 0;
    return changed;
}

bool verdict_take(struct verdict *verdict, bool success)
{
    if (!verdict->decided) {
        verdict->decided = true;
        return decide(verdict, success);
    }
    if (success == verdict->up)
        return decide(verdict, success);
    verdict->streak++;
    if (verdict->streak < (success ? verdict->rise : verdict->fall))
        return false;
    return decide(verdict, success);
}
