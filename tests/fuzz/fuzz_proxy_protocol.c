/*
 * PROXY protocol headers. What must hold: a header that is whole keeps its meaning whatever
 * follows it, is not whole before its last byte, and says the same when it is written anew.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/http/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_same_end(const struct proxy_end *a, const struct proxy_end *b)
{
    assert(a->port == b->port && a->ip.is_v6 == b->ip.is_v6);
    assert(memcmp(a->ip.bytes, b->ip.bytes, sizeof a->ip.bytes) == 0);
}

static void assert_same(const struct proxy_header *a, const struct proxy_header *b)
{
    assert(a->has_ends == b->has_ends);
    if (!a->has_ends)
        return;
    assert_same_end(&a->source, &b->source);
    assert_same_end(&a->destination, &b->destination);
}

static void check_written(const struct proxy_header *header)
{
    struct proxy_header again, expected = *header;
    uint8_t v1[PROXY_V1_MAX_BYTES], v2[PROXY_V2_WRITTEN_BYTES];
    /* A mapped IPv4 address beside a real IPv6 one has no family. */
    if (header->source.ip.is_v6 != header->destination.ip.is_v6)
        expected.has_ends = false;
    expected.n = proxy_header_write_v1(header, v1);
    assert(proxy_header_parse(v1, expected.n, &again) == PROXY_DONE && again.n == expected.n);
    assert_same(&again, &expected);
    expected.n = proxy_header_write_v2(header, v2);
    assert(proxy_header_parse(v2, expected.n, &again) == PROXY_DONE && again.n == expected.n);
    assert_same(&again, &expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header header, again;
    enum proxy_status status = proxy_header_parse(data, size, &header);
    if (status != PROXY_DONE) {
        assert(status == PROXY_BAD || size < PROXY_V2_MAX_BYTES);
        return 0;
    }
    assert(header.n > 0 && header.n <= size);
    uint8_t *copy = malloc(header.n);
    assert(copy != NULL);
    memcpy(copy, data, header.n);
    assert(proxy_header_parse(copy, header.n, &again) == PROXY_DONE && again.n == header.n);
    assert_same(&again, &header);
    for (size_t n = 0; n < header.n; n++)
        assert(proxy_header_parse(copy, n, &again) == PROXY_MORE);
    free(copy);
    check_written(&header);
    return 0;
}
