/*
 * Is an endpoint usable: active probes, run by the health thread.
 *
 * The module owns one thread with a libev loop (TCP probes) and libcurl's multi interface (HTTP
 * and gRPC probes). A probe returns a result; the verdict (verdict.h: rise and fall) decides; the
 * observer hears of each change of a verdict, on the health thread. It knows neither pools nor
 * requests: a target is an address, a check and the caller's number.
 *
 * A probe that this machine could not make (no descriptor, port or memory left) says nothing of the
 * target: nothing is reported and the verdict stands.
 */
#ifndef QUOIT_HEALTH_HEALTH_H
#define QUOIT_HEALTH_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "conf/conf.h"

struct health;

/* What a probe found, for the observer and the log. */
struct health_report {
    bool up;              /* the verdict now */
    bool changed;         /* false: only the result of a probe, the verdict stands */
    bool is_first;        /* of its target: from now on the verdict is more than a guess */
    bool success;         /* of this probe */
    const char *detail;   /* "status 503", "connect refused", "timeout"; valid during the call */
    uint32_t duration_us; /* of this probe */
};

/* Runs on the health thread; must not block. cookie is health_add()'s. */
typedef void health_observer_fn(void *context, uint64_t cookie, const struct health_report *report);

/* Starts the thread. The observer is never called before this returns. Returns 0 or -errno. */
int health_start(health_observer_fn *observer, void *context, struct health **ret_health);

/*
 * Begins to probe address (at check->port if that is set) at once, then every check->interval_ms
 * with +-10 % jitter; when many targets are added together, the first probes are spread over 100 ms
 * (or the interval, if that is shorter). At most one probe of a target is under way. check is
 * copied; its type is not NONE. The verdict begins as check->initial and the first result is final
 * by itself (a new endpoint need not rise or fall several times). cookie names the target and must
 * be unique. Any thread; returns 0 or -ENOMEM.
 */
int health_add(struct health *health, uint64_t cookie, const struct conf_check *check,
               const struct sockaddr *address, socklen_t address_len);

/*
 * Ends the probes of cookie; an unknown one is ignored. Any thread. A report that is under way may
 * still arrive, none once the health thread has seen the removal.
 */
void health_remove(struct health *health, uint64_t cookie);

/* Ends all probes and joins the thread; no observer call after it returns. Accepts NULL. */
void health_stop(struct health *health);

#endif
