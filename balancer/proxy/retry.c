#include "balancer/proxy/retry.h"

#include "balancer/proxy/worker.h"

static unsigned status_condition(const struct request *r)
{
    switch (r->response.status) {
    case 502:
        return CONF_RETRY_502;
    case 503:
        return CONF_RETRY_503;
    case 504:
        return CONF_RETRY_504;
    default:
        return 0;
    }
}

/* The conditions of which one must be asked for; 0: it is never tried again. */
static unsigned condition_of(const struct request *r, enum reason reason)
{
    switch (reason) {
    case REASON_CONNECT_REFUSED:
    case REASON_STREAM_REFUSED:
        return CONF_RETRY_REFUSED;
    case REASON_CONNECT_FAILED:
    case REASON_CONNECT_TIMEOUT:
    case REASON_HANDSHAKE_FAILED:
    case REASON_HTTP2_REFUSED:
    case REASON_CERTIFICATE_REFUSED:
        return CONF_RETRY_CONNECT;
    case REASON_UPSTREAM_CLOSED:
    case REASON_UPSTREAM_DOWN:
        return CONF_RETRY_RESET;
    case REASON_UPSTREAM_TIMEOUT:
    case REASON_TRY_TIMEOUT:
        return CONF_RETRY_TIMEOUT;
    case REASON_UPSTREAM_STATUS:
        return status_condition(r);
    default:
        return 0;
    }
}

/* Until it is connected nothing of a request has left. */
static bool has_left(const struct request *r, enum reason reason)
{
    return reason_retry(reason) != RETRY_ALWAYS && r->step != STEP_CONNECT;
}

bool retry_is_harmless(const struct request *r, enum reason reason)
{
    if (reason_retry(reason) == RETRY_NEVER || !r->replayable)
        return false;
    return !has_left(r, reason) || h1_method_is_idempotent(r->head.method) ||
           r->pool->retry.non_idempotent;
}

bool retry_is_wanted(const struct request *r, enum reason reason)
{
    return (condition_of(r, reason) & r->pool->retry.conditions) != 0;
}

static struct pool_local *local_of(const struct request *r)
{
    return &r->view->pool->locals[request_worker(r)->index];
}

/* As of about now: two workers may take the last place both. */
static bool has_place(const struct request *r)
{
    const struct conf_retry *conf = &r->pool->retry;
    const struct pool *pool = r->view->pool;
    uint32_t retrying = pool_retrying(pool);
    /* The attempt that has just ended is no longer among those in flight. */
    double in_flight = (double)pool_in_flight(pool) + (r->upstream == NULL ? 1 : 0);
    return retrying < conf->budget_min || retrying + 1 <= conf->budget * in_flight;
}

bool retry_take_place(struct request *r, enum reason reason)
{
    if (r->is_retrying || !has_left(r, reason) || reason == REASON_UPSTREAM_DOWN)
        return true;
    if (!has_place(r)) {
        counter_add(&local_of(r)->stats.retries_refused, 1);
        return false;
    }
    r->is_retrying = true;
    gauge_add(&local_of(r)->retrying, 1);
    return true;
}

void retry_give_back(struct request *r)
{
    if (r->is_retrying)
        gauge_add(&local_of(r)->retrying, -1);
    r->is_retrying = false;
}
