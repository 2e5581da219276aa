/*
 * Request ids and traceparent values. What must hold: nothing is read behind the value; what is
 * valid consists of harmless characters alone, so that it can stand in a field and in a log.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/http/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_harmless(struct span value)
{
    for (size_t i = 0; i < value.n; i++)
        assert(value.p[i] > ' ' && value.p[i] < 0x7f &&
               strchr("\"\\,;<>(){}[]", value.p[i]) == NULL);
}

static bool is_zero(const uint8_t *digits, size_t n)
{
    static const char zeros[] = "00000000000000000000000000000000";
    return memcmp(digits, zeros, n) == 0;
}

static void check_traceparent(struct span value)
{
    assert(value.n == TRACEPARENT_BYTES || (value.n > TRACEPARENT_BYTES && value.p[55] == '-'));
    assert_harmless((struct span){value.p, TRACEPARENT_BYTES});
    assert(!is_zero(value.p + TRACE_ID_AT, TRACE_ID_BYTES) && !is_zero(value.p + 36, 16));
    assert(memcmp(value.p, "ff", 2) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0)); /* of this size, for the sanitizer */
    assert(copy != NULL);
    memcpy(copy, data, size);
    struct span value = {copy, size};
    if (request_id_is_valid(value)) {
        assert(size > 0 && size <= REQUEST_ID_MAX_BYTES);
        assert_harmless(value);
    }
    if (traceparent_is_valid(value))
        check_traceparent(value);
    free(copy);
    return 0;
}
