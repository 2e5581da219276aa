/*
 * The gRPC probe: a target whose health service says SERVING within the time is usable
 * (grpc.health.v1, see grpc_health.h).
 *
 * A call is a POST over HTTP/2: with TLS as the handshake agrees on, else with prior knowledge. It
 * has succeeded when the trailers say grpc-status 0; an answer without a message has it in its
 * head.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "health/grpc_health.h"
#include "health/probe_curl.h"

/* What the protocol has takes seven bytes; the rest is for what it may get. */
enum { MAX_ANSWER_BYTES = 1024 };

/* grpc-status that say more here than their number (grpc/doc/statuscodes.md). */
enum { GRPC_OK = 0, GRPC_NOT_FOUND = 5, GRPC_UNIMPLEMENTED = 12, GRPC_NO_STATUS = -1 };

struct grpc_probe {
    struct probe probe;
    uint8_t request[GRPC_HEALTH_REQUEST_BYTES];
    uint8_t answer[MAX_ANSWER_BYTES];
    long grpc_status; /* GRPC_NO_STATUS: none has come */
};

static int set_fields(struct probe *probe)
{
    char timeout[16]; /* at most eight digits: an hour is the longest */
    snprintf(timeout, sizeof timeout, "%um", (unsigned)probe->check->timeout_ms);
    const char *const fields[][2] = {
        {"Host", probe->check->host}, {"Content-Type", "application/grpc"},
        {"TE", "trailers"},           {"User-Agent", "quoit-health"},
        {"grpc-timeout", timeout},
    };
    int error = 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields && error == 0; i++)
        error = probe_curl_add_field(probe, fields[i][0], fields[i][1]);
    return error;
}

/* Counts what failed: each setting may be out of memory. */
#define SET(option, value) n_failed += curl_easy_setopt(easy, (option), (value)) != CURLE_OK

static int set_request(struct probe *probe)
{
    struct grpc_probe *own = (struct grpc_probe *)probe;
    CURL *easy = probe->transfer.easy;
    size_t n = grpc_health_write(probe->check->grpc_service, own->request);
    int n_failed = set_fields(probe) != 0;
    own->grpc_status = GRPC_NO_STATUS;
    SET(CURLOPT_HTTPHEADER, probe->fields);
    SET(CURLOPT_REQUEST_TARGET, GRPC_HEALTH_PATH);
    SET(CURLOPT_POSTFIELDSIZE, (long)n);
    SET(CURLOPT_POSTFIELDS, own->request);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
    return n_failed == 0 ? 0 : -ENOMEM;
}

#undef SET

static void on_line(struct probe *probe, const char *line, size_t n)
{
    struct grpc_probe *own = (struct grpc_probe *)probe;
    static const char name[] = "grpc-status:";
    size_t at = sizeof name - 1;
    if (n <= at || strncasecmp(line, name, at) != 0)
        return;
    while (at < n && line[at] == ' ')
        at++;
    long status = 0;
    size_t first = at;
    for (; at < n && at - first < 4 && line[at] >= '0' && line[at] <= '9'; at++)
        status = status * 10 + (line[at] - '0');
    bool is_number = at > first && (at == n || line[at] == '\r');
    own->grpc_status = is_number ? status : GRPC_NO_STATUS;
}

/* What does not fit is not kept; body_n says that it came. */
static void on_body(struct probe *probe, const char *bytes, size_t n)
{
    struct grpc_probe *own = (struct grpc_probe *)probe;
    if (probe->body_n <= sizeof own->answer)
        memcpy(own->answer + probe->body_n - n, bytes, n);
}

static const char *status_word(const struct grpc_probe *own)
{
    static const char *const words[] = {
        [GRPC_HEALTH_UNKNOWN] = "UNKNOWN",
        [GRPC_HEALTH_SERVING] = "SERVING",
        [GRPC_HEALTH_NOT_SERVING] = "NOT_SERVING",
        [GRPC_HEALTH_SERVICE_UNKNOWN] = "SERVICE_UNKNOWN",
        [GRPC_HEALTH_MALFORMED] = "malformed answer",
    };
    size_t n = own->probe.body_n;
    if (n > sizeof own->answer)
        return "answer too long";
    return words[grpc_health_read(own->answer, n)];
}

static void describe_grpc_status(long status, char *detail, size_t size)
{
    const char *why = "";
    if (status == GRPC_UNIMPLEMENTED)
        why = ", the server has no health service";
    else if (status == GRPC_NOT_FOUND)
        why = ", the server does not know the service";
    snprintf(detail, size, "grpc-status %ld%s", status, why);
}

static bool speaks_http2(const struct probe *probe)
{
    long version = 0;
    curl_easy_getinfo(probe->transfer.easy, CURLINFO_HTTP_VERSION, &version);
    return version == CURL_HTTP_VERSION_2_0;
}

static enum probe_outcome judge(const struct probe *probe, CURLcode result, char *detail,
                                size_t size)
{
    const struct grpc_probe *own = (const struct grpc_probe *)probe;
    if (!speaks_http2(probe)) {
        snprintf(detail, size, "no HTTP/2");
    } else if (probe->status != 200) {
        snprintf(detail, size, "status %ld", probe->status);
    } else if (own->grpc_status > GRPC_OK) {
        describe_grpc_status(own->grpc_status, detail, size);
    } else if (result != CURLE_OK) {
        return probe_curl_judge_error(probe, result, detail, size);
    } else if (own->grpc_status == GRPC_NO_STATUS) {
        snprintf(detail, size, "no grpc-status");
    } else {
        snprintf(detail, size, "%s", status_word(own));
        return strcmp(detail, "SERVING") == 0 ? PROBE_SUCCESS : PROBE_FAILURE;
    }
    return PROBE_FAILURE;
}

static int start(const struct probe_host *host, const struct probe_target *target,
                 probe_done_fn *done, void *context, struct probe **ret_probe)
{
    static const struct probe_curl_kind kind = {.size = sizeof(struct grpc_probe),
                                                .set_request = set_request,
                                                .on_line = on_line,
                                                .on_body = on_body,
                                                .judge = judge};
    return probe_curl_start(&kind, host, target, done, context, ret_probe);
}

const struct probe_ops probe_grpc = {.start = start, .stop = probe_curl_stop};
