#include "balancer/control/ramping.h"

#include "balancer/control/ramp.h"

const char *ramp_ending_word(enum ramp_ending ending)
{
    static const char *const words[] = {
#define X(name, word) [RAMP_##name] = (word),
        RAMP_ENDINGS(X)
#undef X
    };
    return words[ending];
}

/* What ramping_settle() works with. */
struct settling {
    const struct ramping_observer *observer;
    uint64_t length_us, now_us;
    bool has_warm;
};

/* Whether what the sources say lets it take requests. */
static bool is_wanted(const struct tracked *tracked)
{
    return endpoint_state_is_usable(tracked->source, tracked->probe);
}

static bool is_draining(const struct tracked *tracked)
{
    return ramp_is_running(&tracked->ramp) && !(tracked->ramp.to > 0);
}

static bool is_warm(const struct tracked *tracked)
{
    return tracked->was_usable && is_wanted(tracked) && !ramp_is_running(&tracked->ramp) &&
           tracked->now_weight > 0 && tracked->weight > 0;
}

static bool has_warm(const struct tracked_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (is_warm(&list->items[i]))
            return true;
    }
    return false;
}

static void end_ramp(struct tracked *tracked, const struct ramping_observer *observer,
                     enum ramp_ending ending)
{
    if (!ramp_is_running(&tracked->ramp))
        return;
    observer->ended(observer->context, tracked, ending);
    tracked->ramp = (struct ramp){.length_us = 0};
}

static void begin_ramp(struct tracked *tracked, const struct settling *settling, double from,
                       double to)
{
    end_ramp(tracked, settling->observer, RAMP_CHANGED);
    tracked->now_weight = from;
    tracked->ramp = (struct ramp){
        .from = from, .to = to, .begin_us = settling->now_us, .length_us = settling->length_us};
    settling->observer->begun(settling->observer->context, tracked);
}

static bool differ(double a, double b)
{
    return a < b || a > b;
}

/* Whether it has been away for so long that its caches hold nothing that is asked for now. */
static bool is_cold(const struct tracked *tracked, const struct settling *settling)
{
    return settling->now_us - tracked->unusable_since_us >= settling->length_us;
}

/* The weight that it begins with on its way to `to`. Who has never been usable has none so far. */
static double weight_before(const struct tracked *tracked, const struct settling *settling,
                            double to)
{
    double first = ramp_first_weight(to);
    bool begins_anew = !tracked->was_usable && (is_cold(tracked, settling) || !(to > 0));
    return begins_anew || tracked->now_weight < first ? first : tracked->now_weight;
}

/* It takes requests, or will at once: its weight goes to `to`. */
static void head_for(struct tracked *tracked, const struct settling *settling, double to)
{
    bool is_on_its_way = ramp_is_running(&tracked->ramp) && !differ(tracked->ramp.to, to);
    if (is_on_its_way && (settling->has_warm || is_draining(tracked)))
        return;
    double from = weight_before(tracked, settling, to);
    if (settling->has_warm && differ(from, to)) {
        begin_ramp(tracked, settling, from, to);
        return;
    }
    end_ramp(tracked, settling->observer, settling->has_warm ? RAMP_CHANGED : RAMP_ALONE);
    tracked->now_weight = to;
}

/* It was usable, and is in maintenance by its source's will alone. */
static bool may_drain(const struct tracked *tracked, const struct settling *settling)
{
    return tracked->source == ENDPOINT_SOURCE_MAINTENANCE && tracked->was_usable &&
           tracked->probe != ENDPOINT_PROBE_DOWN && tracked->now_weight > 0 &&
           (settling->has_warm || is_draining(tracked));
}

static void drain(struct tracked *tracked, const struct settling *settling)
{
    if (!is_draining(tracked))
        begin_ramp(tracked, settling, tracked->now_weight, 0);
}

static void settle(struct tracked *tracked, const struct settling *settling)
{
    if (settling->length_us == 0)
        tracked->now_weight = tracked->weight;
    else if (is_wanted(tracked))
        head_for(tracked, settling, tracked->weight);
    else if (may_drain(tracked, settling))
        drain(tracked, settling);
    else
        end_ramp(tracked, settling->observer, RAMP_UNUSABLE);
}

bool ramping_settle(struct tracked_list *list, uint64_t length_us, uint64_t now_us,
                    const struct ramping_observer *observer)
{
    const struct settling settling = {
        .observer = observer, .length_us = length_us, .now_us = now_us, .has_warm = has_warm(list)};
    bool changed = false;
    for (size_t i = 0; i < list->n; i++) {
        struct tracked *tracked = &list->items[i];
        double before = tracked->now_weight;
        settle(tracked, &settling);
        changed |= differ(before, tracked->now_weight);
    }
    return changed;
}

void ramping_advance(struct tracked_list *list, uint64_t now_us,
                     const struct ramping_observer *observer)
{
    for (size_t i = 0; i < list->n; i++) {
        struct tracked *tracked = &list->items[i];
        if (!ramp_is_running(&tracked->ramp))
            continue;
        tracked->now_weight = ramp_weight(&tracked->ramp, now_us);
        if (ramp_is_over(&tracked->ramp, now_us))
            end_ramp(tracked, observer, RAMP_DONE);
    }
}

bool ramping_is_under_way(const struct tracked_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (ramp_is_running(&list->items[i].ramp))
            return true;
    }
    return false;
}

enum endpoint_source ramping_source(const struct tracked *tracked)
{
    return is_draining(tracked) ? ENDPOINT_SOURCE_DRAINING : tracked->source;
}

void ramping_note_state(struct tracked *tracked, uint64_t now_us)
{
    bool is_usable = endpoint_is_usable(tracked->endpoint);
    if (tracked->was_usable && !is_usable)
        tracked->unusable_since_us = now_us;
    tracked->was_usable = is_usable;
}
