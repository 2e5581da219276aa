#include "health/target.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* So many first probes begin at once in each window; the others are spread over one. */
enum { AT_ONCE = 16 };
static const double window_s = 0.1;

static uint64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* From 0 to 1. Splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators). */
static double random_fraction(struct target_host *host)
{
    uint64_t z = host->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (double)(z >> 11) / (double)(UINT64_C(1) << 53);
}

static void free_check(struct conf_check *check)
{
    free(check->path);
    free(check->host);
    free(check->method);
    free(check->grpc_service);
    free(check->expect);
}

/* A string that may be absent; false: memory is out. */
static bool copy_string(const char *from, char **ret_copy)
{
    *ret_copy = from == NULL ? NULL : strdup(from);
    return from == NULL || *ret_copy != NULL;
}

static bool copy_check(const struct conf_check *from, struct conf_check *ret_check)
{
    struct conf_check check = *from;
    bool copied = copy_string(from->path != NULL ? from->path : "/", &check.path);
    copied &= copy_string(from->host, &check.host);
    copied &= copy_string(from->grpc_service, &check.grpc_service);
    copied &= copy_string(from->method != NULL ? from->method : "GET", &check.method);
    check.expect = calloc(from->n_expect + 1, sizeof *check.expect);
    if (check.expect != NULL && from->n_expect > 0)
        memcpy(check.expect, from->expect, from->n_expect * sizeof *check.expect);
    if (copied && check.expect != NULL) {
        *ret_check = check;
        return true;
    }
    free_check(&check);
    return false;
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (port == 0)
        return;
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

int target_new(uint64_t cookie, const struct conf_check *check, const struct sockaddr *address,
               socklen_t address_len, struct target **ret_target)
{
    assert(check->type != CONF_CHECK_NONE && address_len <= sizeof(struct sockaddr_storage));
    struct target *target = calloc(1, sizeof *target);
    if (target == NULL)
        return -ENOMEM;
    if (!copy_check(check, &target->check)) {
        free(target);
        return -ENOMEM;
    }
    target->cookie = cookie;
    target->asked.check = &target->check;
    target->asked.address_len = address_len;
    memcpy(&target->asked.address, address, address_len);
    set_port(&target->asked.address, check->port);
    verdict_init(&target->verdict, check->initial == CONF_INITIAL_UP, check->rise, check->fall);
    *ret_target = target;
    return 0;
}

static void schedule(struct target *target, double delay_s)
{
    struct ev_loop *loop = target->host->probes.loop;
    ev_now_update(loop);
    ev_timer_set(&target->timer, delay_s, 0);
    ev_timer_start(loop, &target->timer);
}

/* The next probe begins an interval, give or take a tenth, after the last one began, and never
 * while that one is under way. */
static void schedule_next(struct target *target)
{
    double interval_s =
        target->check.interval_ms / 1e3 * (0.9 + 0.2 * random_fraction(target->host));
    double passed_s = (double)(monotonic_us() - target->started_us) / 1e6;
    schedule(target, interval_s > passed_s ? interval_s - passed_s : 0);
}

static void report(struct target *target, bool success, const char *detail)
{
    uint64_t duration_us = monotonic_us() - target->started_us;
    bool is_first = !target->verdict.decided;
    struct health_report report = {
        .is_first = is_first,
        .changed = verdict_take(&target->verdict, success),
        .success = success,
        .detail = detail,
        .duration_us = duration_us > UINT32_MAX ? UINT32_MAX : (uint32_t)duration_us,
    };
    report.up = target->verdict.up;
    target->host->observer(target->host->context, target->cookie, &report);
}

static void on_probe_done(void *context, enum probe_outcome outcome, const char *detail)
{
    struct target *target = context;
    target->probe = NULL;
    if (outcome != PROBE_UNKNOWN)
        report(target, outcome == PROBE_SUCCESS, detail);
    schedule_next(target);
}

static void on_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct target *target = timer->data;
    const struct probe_ops *ops = probe_for(target->check.type);
    (void)events;
    ev_now_update(loop); /* the probe's deadline counts from here */
    target->started_us = monotonic_us();
    if (ops->start(&target->host->probes, &target->asked, on_probe_done, target, &target->probe) !=
        0)
        schedule_next(target); /* nothing was learnt: the verdict stands */
}

static double first_delay_s(const struct target *target)
{
    struct target_host *host = target->host;
    ev_tstamp now = ev_now(host->probes.loop);
    if (now < host->window_at || now - host->window_at > window_s) {
        host->window_at = now;
        host->n_window = 0;
    }
    if (host->n_window++ < AT_ONCE)
        return 0;
    double interval_s = target->check.interval_ms / 1e3;
    return random_fraction(host) * (interval_s < window_s ? interval_s : window_s);
}

void target_start(struct target *target, struct target_host *host)
{
    target->host = host;
    ev_timer_init(&target->timer, on_timer, 0, 0);
    target->timer.data = target;
    schedule(target, first_delay_s(target));
}

void target_stop(struct target *target)
{
    if (target->host == NULL)
        return;
    ev_timer_stop(target->host->probes.loop, &target->timer);
    if (target->probe != NULL)
        probe_for(target->check.type)->stop(target->probe);
    target->probe = NULL;
    target->host = NULL;
}

void target_free(struct target *target)
{
    if (target == NULL)
        return;
    assert(target->host == NULL);
    free_check(&target->check);
    free(target);
}
