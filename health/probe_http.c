/*
 * The HTTP probe: a target that answers with an expected status within the time is usable.
 *
 * Redirects are answers like others and are not followed. The body is read and thrown away, so that
 * the target's own log stays free of broken connections, as far as the bounds of all probes go; the
 * status alone decides, whatever becomes of the body.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "health/probe_curl.h"

static int set_fields(struct probe *probe)
{
    int error = probe_curl_add_field(probe, "Host", probe->check->host);
    if (error == 0 && !probe->check->is_http2)
        error = probe_curl_add_field(probe, "Connection", "close");
    if (error == 0)
        error = probe_curl_add_field(probe, "User-Agent", "quoit-health");
    return error;
}

/* Counts what failed: each setting may be out of memory. */
#define SET(option, value) n_failed += curl_easy_setopt(easy, (option), (value)) != CURLE_OK

static int set_request(struct probe *probe)
{
    CURL *easy = probe->transfer.easy;
    long version =
        probe->check->is_http2 ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_1_1;
    int n_failed = set_fields(probe) != 0;
    SET(CURLOPT_HTTPHEADER, probe->fields);
    SET(CURLOPT_REQUEST_TARGET, probe->check->path);
    SET(CURLOPT_NOBODY, strcmp(probe->check->method, "HEAD") == 0 ? 1L : 0L);
    SET(CURLOPT_HTTP_VERSION, version);
    return n_failed == 0 ? 0 : -ENOMEM;
}

#undef SET

static bool is_expected(const struct conf_check *check, long status)
{
    for (size_t i = 0; i < check->n_expect; i++)
        if (status >= check->expect[i].low && status <= check->expect[i].high)
            return true;
    return false;
}

static enum probe_outcome judge(const struct probe *probe, CURLcode result, char *detail,
                                size_t size)
{
    (void)result;
    snprintf(detail, size, "status %ld", probe->status);
    return is_expected(probe->check, probe->status) ? PROBE_SUCCESS : PROBE_FAILURE;
}

static int start(const struct probe_host *host, const struct probe_target *target,
                 probe_done_fn *done, void *context, struct probe **ret_probe)
{
    static const struct probe_curl_kind kind = {
        .size = sizeof(struct probe), .set_request = set_request, .judge = judge};
    return probe_curl_start(&kind, host, target, done, context, ret_probe);
}

const struct probe_ops probe_http = {.start = start, .stop = probe_curl_stop};
