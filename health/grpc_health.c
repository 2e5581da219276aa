#include "health/grpc_health.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* A field's tag is its number, and in the lowest three bits how its value is written. */
enum wire_type { WIRE_VARINT, WIRE_64_BITS, WIRE_LENGTH, WIRE_32_BITS = 5 };

#define WIRE_TYPE_BITS 3
#define MAX_FIELD_NUMBER ((UINT64_C(1) << 29) - 1)
#define TAG_SERVICE ((1 << WIRE_TYPE_BITS) | WIRE_LENGTH)
#define STATUS_FIELD 1

size_t grpc_health_write(const char *service, uint8_t bytes[GRPC_HEALTH_REQUEST_BYTES])
{
    size_t service_n = service != NULL ? strlen(service) : 0;
    assert(service_n <= CONF_GRPC_SERVICE_MAX);
    uint8_t *at = bytes + GRPC_PREFIX_BYTES;
    if (service_n > 0) {
        *at++ = TAG_SERVICE;
        if (service_n > 0x7f)
            *at++ = (uint8_t)(service_n | 0x80);
        *at++ = (uint8_t)(service_n > 0x7f ? service_n >> 7 : service_n);
        for (size_t i = 0; i < service_n; i++)
            *at++ = (uint8_t)service[i];
    }
    size_t n = (size_t)(at - bytes) - GRPC_PREFIX_BYTES;
    const uint8_t prefix[GRPC_PREFIX_BYTES] = {0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n};
    memcpy(bytes, prefix, sizeof prefix);
    return GRPC_PREFIX_BYTES + n;
}

/* What is left of a message. */
struct reader {
    const uint8_t *p;
    size_t n;
};

static bool skip(struct reader *reader, uint64_t n)
{
    if (n > reader->n)
        return false;
    reader->p += n;
    reader->n -= n;
    return true;
}

/* Seven bits a byte, the lowest first; at most 64 bits. */
static bool read_varint(struct reader *reader, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && reader->n > 0; shift += 7) {
        uint8_t byte = *reader->p;
        (void)skip(reader, 1);
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool skip_value(struct reader *reader, unsigned type)
{
    uint64_t value;
    switch (type) {
    case WIRE_VARINT:
        return read_varint(reader, &value);
    case WIRE_64_BITS:
        return skip(reader, 8);
    case WIRE_LENGTH:
        return read_varint(reader, &value) && skip(reader, value);
    case WIRE_32_BITS:
        return skip(reader, 4);
    default:
        return false;
    }
}

/* Of a field that is there more than once the last value counts. */
static bool read_field(struct reader *reader, uint64_t *status)
{
    uint64_t tag;
    if (!read_varint(reader, &tag))
        return false;
    uint64_t number = tag >> WIRE_TYPE_BITS;
    unsigned type = tag & ((1 << WIRE_TYPE_BITS) - 1);
    if (number == 0 || number > MAX_FIELD_NUMBER)
        return false;
    if (number == STATUS_FIELD)
        return type == WIRE_VARINT && read_varint(reader, status);
    return skip_value(reader, type);
}

enum grpc_health grpc_health_read(const uint8_t *bytes, size_t n)
{
    if (n < GRPC_PREFIX_BYTES || bytes[0] != 0)
        return GRPC_HEALTH_MALFORMED;
    uint64_t announced =
        (uint64_t)bytes[1] << 24 | (uint64_t)bytes[2] << 16 | (uint64_t)bytes[3] << 8 | bytes[4];
    struct reader reader = {bytes + GRPC_PREFIX_BYTES, n - GRPC_PREFIX_BYTES};
    uint64_t status = GRPC_HEALTH_UNKNOWN;
    if (announced != reader.n)
        return GRPC_HEALTH_MALFORMED;
    while (reader.n > 0)
        if (!read_field(&reader, &status))
            return GRPC_HEALTH_MALFORMED;
    return status < GRPC_HEALTH_MALFORMED ? (enum grpc_health)status : GRPC_HEALTH_UNKNOWN;
}
