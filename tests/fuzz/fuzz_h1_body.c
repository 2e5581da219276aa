/*
 * Bodies and trailers: reading a stream whole, in pieces, and taking less than was offered must
 * give the same payload and the same end. The first byte chooses the kind of body, the second the
 * pieces, the third the payload bytes taken at a time.
 */
#include <stdint.h>
#include <stdlib.h>

#include "balancer/http/h1.h"
#include "tests/unit/h1_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {.head_bytes = 2048, .target_bytes = 512, .fields = 16};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void compare(struct body_feed feed, const struct body_result *whole)
{
    struct body_result result = feed_body(&feed);
    require(body_results_agree(whole, &result));
}

static void check_trailers(struct span section, size_t at)
{
    struct trailers_state whole;
    trailers_state_init(&whole, &limits);
    struct feed feed = {parse_trailers, section};
    enum h1_status status = feed_whole(&feed, &whole);
    require(trailers_agree(section, &limits, at % (section.n + 1), status, &whole.trailers));
    require(trailers_agree(section, &limits, 0, status, &whole.trailers));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct span stream = {data + 3, size - 3};
    struct h1_framing framing = {.body = H1_BODY_CHUNKED};
    if (data[0] >= 240) {
        framing.body = (enum h1_body_kind)(data[0] % 4);
        framing.content_length = data[0];
        framing.has_content_length = true;
    }
    size_t take = data[2] == 0 ? SIZE_MAX : data[2];
    struct body_result whole = feed_body(&(struct body_feed){framing, stream, 0, 0, SIZE_MAX});
    compare((struct body_feed){framing, stream, 0, 0, take}, &whole);
    compare((struct body_feed){framing, stream, 0, 1, SIZE_MAX}, &whole);
    compare((struct body_feed){framing, stream, 0, (size_t)data[1] + 1, take}, &whole);
    compare((struct body_feed){framing, stream, data[1], 0, take}, &whole);
    require(whole.read <= stream.n && whole.payload <= whole.read);
    if (whole.status == H1_TRAILERS)
        check_trailers((struct span){stream.p + whole.read, stream.n - whole.read}, data[1]);
    free(whole.copied);
    return 0;
}
