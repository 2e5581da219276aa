/*
 * Responses: whole, in two pieces and byte by byte must agree. The first byte chooses the request's
 * method, the next two the place of the split.
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

static void check_done(const struct h1_response *response, enum h1_method method,
                       struct span message)
{
    const struct h1_framing *framing = &response->framing;
    require(response->head_n <= message.n && response->head_n <= limits.head_bytes);
    require(memcmp(message.p + response->head_n - 4, "\r\n\r\n", 4) == 0);
    require(response->status >= 100 && response->status <= 999);
    require(response->phrase.at + response->phrase.n <= response->head_n);
    if (method == H1_HEAD || response->status < 200)
        require(framing->body == H1_BODY_NONE);
    if (framing->body == H1_BODY_UNTIL_CLOSE)
        require(!framing->keep_alive && !framing->has_content_length);
    for (uint32_t i = 0; i < response->lines.n_fields; i++) {
        struct span value = h1_field_value(&response->lines.fields[i], message.p);
        require(memchr(value.p, '\n', value.n) == NULL && memchr(value.p, '\0', value.n) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct span message = {data + 3, size - 3};
    enum h1_method method = (enum h1_method)(data[0] % (H1_PATCH + 1));
    size_t at = message.n > 0 ? (size_t)(data[1] << 8 | data[2]) % (message.n + 1) : 0;

    struct response_state whole;
    response_state_init(&whole, &limits, method);
    struct feed feed = {parse_response, message};
    enum h1_status status = feed_whole(&feed, &whole);
    require(response_agrees(message, &limits, method, at, status, &whole.response));
    require(response_agrees(message, &limits, method, 0, status, &whole.response));
    require((status == H1_ERROR) == (whole.response.reason != REASON_OK));
    if (status == H1_DONE)
        check_done(&whole.response, method, message);
    return 0;
}
