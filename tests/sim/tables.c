#include "tables.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double fixed_rates[] = {5000, 40000, 100000};

enum { N_FIXED_RATES = sizeof fixed_rates / sizeof fixed_rates[0] };

static void add(struct outcome *sum, const struct outcome *outcome)
{
    sum->hit_rate += outcome->hit_rate;
    sum->max_to_average += outcome->max_to_average;
    sum->mean_ms += outcome->mean_ms;
    sum->p99_ms += outcome->p99_ms;
    sum->p999_ms += outcome->p999_ms;
    sum->overflowed += outcome->overflowed;
    sum->hot += outcome->hot;
    sum->is_sustained = sum->is_sustained && outcome->is_sustained;
    sum->n_windows = outcome->n_windows < sum->n_windows ? outcome->n_windows : sum->n_windows;
    for (uint32_t i = 0; i < RUN_MAX_WINDOWS; i++) {
        sum->windows[i].requests += outcome->windows[i].requests;
        sum->windows[i].misses += outcome->windows[i].misses;
    }
}

/* The mean over the seeds; windows are sums. */
static void run_seeds(const struct plan *plan, uint32_t seeds, struct outcome *ret_mean)
{
    struct outcome sum = {.is_sustained = true, .n_windows = RUN_MAX_WINDOWS};
    for (uint32_t i = 0; i < seeds; i++) {
        struct plan seeded = *plan;
        struct outcome outcome;
        seeded.seed = plan->seed + i;
        run(&seeded, &outcome);
        add(&sum, &outcome);
    }
    sum.hit_rate /= seeds;
    sum.max_to_average /= seeds;
    sum.mean_ms /= seeds;
    sum.p99_ms /= seeds;
    sum.p999_ms /= seeds;
    sum.overflowed /= seeds;
    sum.hot /= seeds;
    *ret_mean = sum;
}

static struct plan plan_for(const struct question *question, const struct scheme *scheme,
                            double rate)
{
    struct plan plan = question->plan;
    plan.scheme = scheme;
    plan.rate = rate;
    return plan;
}

/* --- fixed rates --------------------------------------------------------------------------- */

static void print_fixed(const struct plan *plan, uint32_t seeds)
{
    struct outcome mean;
    run_seeds(plan, seeds, &mean);
    printf("| %s | %.0f | ", plan->scheme->name, plan->rate);
    if (mean.is_sustained)
        printf("%.1f | %.2f | %.2f | %.1f | %.2f | %.1f | %.1f |\n", 100 * mean.hit_rate,
               mean.max_to_average, 100 * mean.overflowed, 100 * mean.hot, mean.mean_ms,
               mean.p99_ms, mean.p999_ms);
    else
        printf("overloaded | | | | | | |\n");
    (void)fflush(stdout);
}

void table_fixed(const struct question *question)
{
    double one = question->plan.rate;
    const double *rates = one > 0 ? &one : fixed_rates;
    size_t n_rates = one > 0 ? 1 : N_FIXED_RATES;
    printf(
        "| scheme | requests/s | hit %% | max/average | overflowed %% | hot %% | mean ms | p99 ms "
        "| p99.9 ms |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < question->n_schemes; i++) {
        for (size_t r = 0; r < n_rates; r++) {
            struct plan plan = plan_for(question, question->schemes[i], rates[r]);
            print_fixed(&plan, question->seeds);
        }
    }
}

/* --- greatest rates ------------------------------------------------------------------------ */

#define RATE_PRECISION 1.003

/* By bisection; *ret_outcome is the one at that rate. */
static double greatest_rate(const struct plan *plan, struct outcome *ret_outcome)
{
    double low = 0, high = 400000, rate = plan->rate;
    memset(ret_outcome, 0, sizeof *ret_outcome);
    while (low == 0 ? rate > 1000 : high / low > RATE_PRECISION) {
        struct plan trial = *plan;
        struct outcome outcome;
        trial.rate = rate;
        run(&trial, &outcome);
        if (outcome.is_sustained) {
            low = rate;
            *ret_outcome = outcome;
        } else {
            high = rate;
        }
        /* Until it is between two: steps of 8 %. */
        if (low == 0)
            rate = high / 1.08;
        else if (high / low > 1.1)
            rate = low * 1.08;
        else
            rate = sqrt(low * high);
    }
    return low;
}

void table_rates(const struct question *question)
{
    printf("| scheme | requests/s | lowest | hit %% | max/average | overflowed %% | hot %% "
           "|\n|---|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < question->n_schemes; i++) {
        struct outcome sum = {.n_windows = 0};
        double rates = 0, lowest = INFINITY;
        struct plan plan = plan_for(question, question->schemes[i], 100000);
        for (uint32_t seed = 0; seed < question->seeds; seed++) {
            struct outcome outcome;
            plan.seed = question->plan.seed + seed;
            plan.rate = greatest_rate(&plan, &outcome);
            rates += plan.rate;
            lowest = fmin(lowest, plan.rate);
            add(&sum, &outcome);
        }
        double n = question->seeds;
        printf("| %s | %.0f | %.0f | %.1f | %.2f | %.2f | %.1f |\n", plan.scheme->name, rates / n,
               lowest, 100 * sum.hit_rate / n, sum.max_to_average / n, 100 * sum.overflowed / n,
               100 * sum.hot / n);
        (void)fflush(stdout);
    }
}

/* --- events -------------------------------------------------------------------------------- */

#define EVENT_AT_S 10.0
#define EVENT_RUN_S 40.0
#define EVENT_RATE 40000.0
#define FLASH_RATE 60000.0
#define BACK_WITHIN 0.005 /* of the hit rate that it comes to in the end */

static const struct {
    const char *name;
    double rate;
    struct event event;
} events[] = {
    {"20 to 25, at once", EVENT_RATE, {.join = 5, .ramp_s = 0}},
    {"20 to 25, ramp 5 s", EVENT_RATE, {.join = 5, .ramp_s = 5}},
    {"20 to 25, ramp 15 s", EVENT_RATE, {.join = 5, .ramp_s = 15}},
    {"20 to 21, at once", EVENT_RATE, {.join = 1, .ramp_s = 0}},
    {"20 to 21, ramp 15 s", EVENT_RATE, {.join = 1, .ramp_s = 15}},
    {"one of 20 goes down", EVENT_RATE, {.crash = true}},
    {"one object has 30 %", FLASH_RATE, {.hot_part = 0.3}},
};

enum { N_EVENTS = sizeof events / sizeof events[0], EVENT_RAMP_15 = 2 };

struct aftermath {
    double before, lowest, after; /* hit rates; after: of the last quarter */
    double origin_peak;           /* misses of a window over the average before */
    double back_s;                /* the last window that is not near `after` ends so late */
};

static double hit_rate_of(const struct outcome *outcome, uint32_t from, uint32_t to)
{
    double requests = 0, misses = 0;
    for (uint32_t i = from; i < to; i++) {
        requests += outcome->windows[i].requests;
        misses += outcome->windows[i].misses;
    }
    return 1 - misses / requests;
}

static struct aftermath aftermath_of(const struct outcome *outcome)
{
    uint32_t at = (uint32_t)(EVENT_AT_S / RUN_WINDOW_S), n = outcome->n_windows;
    struct aftermath result = {
        .before = hit_rate_of(outcome, 0, at),
        .lowest = 1,
        .after = hit_rate_of(outcome, n - n / 4, n),
    };
    double misses_before = 0;
    for (uint32_t i = 0; i < at; i++)
        misses_before += outcome->windows[i].misses / at;
    for (uint32_t i = at; i < n; i++) {
        double hit_rate = hit_rate_of(outcome, i, i + 1);
        result.lowest = fmin(result.lowest, hit_rate);
        result.origin_peak = fmax(result.origin_peak, outcome->windows[i].misses / misses_before);
        if (hit_rate < result.after - BACK_WITHIN)
            result.back_s = (i + 1) * RUN_WINDOW_S - EVENT_AT_S;
    }
    return result;
}

static struct outcome run_event(const struct question *question, const struct scheme *scheme,
                                size_t event)
{
    struct plan plan = plan_for(question, scheme, events[event].rate);
    plan.event = events[event].event;
    plan.event.at_s = EVENT_AT_S;
    plan.measured = (uint64_t)(plan.rate * EVENT_RUN_S);
    struct outcome sum;
    run_seeds(&plan, question->seeds, &sum);
    return sum;
}

void table_events(const struct question *question)
{
    printf("| scheme | event | hit %% before | lowest | after | dip, points | origin peak | back "
           "after "
           "s | p99 ms |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < question->n_schemes; i++) {
        for (size_t e = 0; e < N_EVENTS; e++) {
            struct outcome outcome = run_event(question, question->schemes[i], e);
            struct aftermath result = aftermath_of(&outcome);
            printf("| %s | %s | %.1f | %.1f | %.1f | %.1f | %.2f | %.1f | %.1f |\n",
                   question->schemes[i]->name, events[e].name, 100 * result.before,
                   100 * result.lowest, 100 * result.after, 100 * (result.before - result.lowest),
                   result.origin_peak, result.back_s, outcome.p99_ms);
            (void)fflush(stdout);
        }
    }
}

/* --- goals --------------------------------------------------------------------------------- */

#define GOAL_RATE 119000.0
#define GOAL_HIT_RATE 0.843

static bool judge(bool is_met, const char *what, double found, const char *sign, double wanted)
{
    printf("%-6s %-58s %10.3f  (%s %g)\n", is_met ? "met" : "MISSED", what, found, sign, wanted);
    (void)fflush(stdout);
    return is_met;
}

static bool at_least(const char *what, double found, double wanted)
{
    return judge(found >= wanted, what, found, "at least", wanted);
}

static bool at_most(const char *what, double found, double wanted)
{
    return judge(found <= wanted, what, found, "at most", wanted);
}

static bool check_full_load(const struct question *question, const struct scheme *scheme)
{
    struct plan plan = plan_for(question, scheme, GOAL_RATE);
    plan.cold_start = true;
    struct outcome mean;
    run_seeds(&plan, question->seeds, &mean);
    bool ok = at_most("119 000 requests/s: p99, ms", mean.p99_ms, RUN_LIMIT_MS);
    ok &= judge(mean.is_sustained, "119 000 requests/s: so with every seed", mean.is_sustained,
                "at least", 1);
    ok &= at_least("119 000 requests/s: hit rate", mean.hit_rate, GOAL_HIT_RATE);
    ok &= at_most("119 000 requests/s: requests max/average", mean.max_to_average, 1.15);
    return ok;
}

static bool check_light_load(const struct question *question, const struct scheme *scheme)
{
    struct plan plan = plan_for(question, scheme, 5000);
    struct outcome mean;
    run_seeds(&plan, question->seeds, &mean);
    return at_least("5000 requests/s (0.6 in flight an endpoint): hit rate", mean.hit_rate,
                    GOAL_HIT_RATE);
}

static bool check_growth(const struct question *question, const struct scheme *scheme)
{
    struct outcome outcome = run_event(question, scheme, EVENT_RAMP_15);
    struct aftermath result = aftermath_of(&outcome);
    bool ok = at_most("20 to 25 endpoints in 15 s: hit rate's dip, points",
                      100 * (result.before - result.lowest), 1.0);
    ok &= at_most("20 to 25 endpoints in 15 s: origin peak", result.origin_peak, 1.08);
    return ok;
}

bool check_goals(const struct question *question)
{
    const struct scheme *scheme = scheme_find("quoit");
    bool ok = check_light_load(question, scheme);
    ok &= check_full_load(question, scheme);
    ok &= check_growth(question, scheme);
    return ok;
}
