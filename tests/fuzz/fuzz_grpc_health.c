/*
 * Any bytes as an answer of a health service. What must hold: nothing is read behind them; a
 * message that is well formed stays so with a status behind it, which then is the one that counts.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "health/grpc_health.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES 2048

/* Of the message, behind a prefix that fits, in memory of this very size for the sanitizer. */
static enum grpc_health read_message(const uint8_t *message, size_t n)
{
    uint8_t *bytes = malloc(GRPC_PREFIX_BYTES + n);
    assert(bytes != NULL);
    memcpy(bytes, (const uint8_t[]){0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n}, GRPC_PREFIX_BYTES);
    if (n > 0)
        memcpy(bytes + GRPC_PREFIX_BYTES, message, n);
    enum grpc_health health = grpc_health_read(bytes, GRPC_PREFIX_BYTES + n);
    free(bytes);
    return health;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t longer[MAX_BYTES + 2];
    if (size > MAX_BYTES)
        return 0;
    uint8_t *raw = malloc(size + (size == 0));
    assert(raw != NULL);
    memcpy(raw, data, size);
    assert(grpc_health_read(raw, size) <= GRPC_HEALTH_MALFORMED);
    free(raw);

    enum grpc_health health = read_message(data, size);
    memcpy(longer, data, size);
    memcpy(longer + size, "\x08\x01", 2);
    if (health != GRPC_HEALTH_MALFORMED)
        assert(read_message(longer, size + 2) == GRPC_HEALTH_SERVING);
    return 0;
}
