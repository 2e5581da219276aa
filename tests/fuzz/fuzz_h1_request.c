/*
 * Requests: whatever the bytes, feeding them whole, in two pieces and one by one must give the same
 * result, and what is taken for good must keep the parser's promises. The first two bytes choose
 * the place of the split.
 */
#include <stdint.h>
#include <stdlib.h>

#include "balancer/http/h1.h"
#include "tests/unit/h1_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {.head_bytes = 4096, .target_bytes = 512, .fields = 32};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_range(struct h1_range range, const struct h1_request *request)
{
    require(range.at <= request->head_n && range.n <= request->head_n - range.at);
}

/* The promises that keep a request from being read in two ways. */
static void check_done(const struct h1_request *request, struct span message)
{
    const struct h1_framing *framing = &request->framing;
    uint32_t hosts = 0, lengths = 0, codings = 0;
    require(request->head_n <= message.n && request->head_n <= limits.head_bytes);
    require(memcmp(message.p + request->head_n - 4, "\r\n\r\n", 4) == 0);
    for (uint32_t i = 0; i < request->lines.n_fields; i++) {
        const struct h1_field *field = &request->lines.fields[i];
        struct span value = h1_field_value(field, message.p);
        require(field->name_n > 0 && field->value_at + field->value_n <= request->head_n - 4);
        require(memchr(value.p, '\n', value.n) == NULL && memchr(value.p, '\0', value.n) == NULL);
        hosts += field->id == H1_HOST;
        lengths += field->id == H1_CONTENT_LENGTH;
        codings += field->id == H1_TRANSFER_ENCODING;
    }
    require(hosts <= 1 && (hosts == 1 || request->minor == 0));
    require(lengths <= 1 && (lengths == 0 || codings == 0));
    require((lengths == 1) == (framing->body == H1_BODY_LENGTH));
    require((codings > 0) == (framing->body == H1_BODY_CHUNKED));
    check_range(request->target, request);
    check_range(request->path, request);
    check_range(request->query, request);
    check_range(request->authority, request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct span message = {data + 2, size - 2};
    size_t at = message.n > 0 ? (size_t)(data[0] << 8 | data[1]) % (message.n + 1) : 0;

    struct request_state whole;
    request_state_init(&whole, &limits);
    struct feed feed = {parse_request, message};
    enum h1_status status = feed_whole(&feed, &whole);
    require(request_agrees(message, &limits, at, status, &whole.request));
    require(request_agrees(message, &limits, 0, status, &whole.request));
    require((status == H1_ERROR) == (whole.request.reason != REASON_OK));
    if (status == H1_DONE)
        check_done(&whole.request, message);
    return 0;
}
