#include "balancer/http/grpc.h"

#include <assert.h>

#include "balancer/http/h1_chars.h"

const char *grpc_code_word(enum grpc_code code)
{
    static const char *const words[GRPC_CODE_COUNT] = {
#define X(name) [GRPC_##name] = #name,
        GRPC_CODES(X)
#undef X
    };
    assert(code < GRPC_CODE_COUNT);
    return words[code];
}

/* The field of this name from index `from` on, or NULL. */
static struct h1_field *find(const struct h1_lines *lines, const uint8_t *message, struct span name,
                             uint32_t from)
{
    for (uint32_t i = from; i < lines->n_fields; i++)
        if (lines->fields[i].name_n == name.n &&
            span_equal_nocase(h1_field_name(&lines->fields[i], message), name))
            return &lines->fields[i];
    return NULL;
}

bool grpc_is_call(const struct h1_request *request, const uint8_t *message)
{
    const struct span type = SPAN("application/grpc");
    if (request->method != H1_POST)
        return false;
    const struct h1_field *field = find(&request->lines, message, SPAN("content-type"), 0);
    if (field == NULL || field->value_n < type.n)
        return false;
    struct span value = h1_field_value(field, message);
    if (!span_equal_nocase((struct span){value.p, type.n}, type))
        return false;
    return value.n == type.n || value.p[type.n] == '+' || value.p[type.n] == ';';
}

/* ---- grpc-timeout: TimeoutValue TimeoutUnit ---- */

#define MAX_TIMEOUT_VALUE 99999999

/* Nanoseconds of a unit; 0: it is none. */
static uint64_t unit_ns(uint8_t unit)
{
    switch (unit) {
    case 'H':
        return UINT64_C(3600000000000);
    case 'M':
        return UINT64_C(60000000000);
    case 'S':
        return 1000000000;
    case 'm':
        return 1000000;
    case 'u':
        return 1000;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

/* A part of a microsecond is a whole one. */
static bool read_timeout(struct span value, uint64_t *ret_us)
{
    if (value.n < 2 || value.n > GRPC_TIMEOUT_BYTES)
        return false;
    uint64_t number = 0, ns = unit_ns(value.p[value.n - 1]);
    for (size_t i = 0; i + 1 < value.n; i++) {
        if (!h1_is_digit(value.p[i]))
            return false;
        number = number * 10 + (uint64_t)(value.p[i] - '0');
    }
    if (number == 0 || ns == 0)
        return false;
    *ret_us = ns >= 1000 ? number * (ns / 1000) : (number + 999) / 1000;
    return true;
}

struct h1_field *grpc_timeout_find(const struct h1_lines *lines, const uint8_t *message,
                                   uint64_t *ret_us)
{
    const struct span name = SPAN("grpc-timeout");
    struct h1_field *field = find(lines, message, name, 0);
    if (field == NULL)
        return NULL;
    uint32_t next = (uint32_t)(field - lines->fields) + 1;
    bool is_only = find(lines, message, name, next) == NULL;
    return is_only && read_timeout(h1_field_value(field, message), ret_us) ? field : NULL;
}

size_t grpc_timeout_write(uint64_t us, uint8_t text[GRPC_TIMEOUT_BYTES])
{
    static const struct {
        uint64_t us;
        uint8_t unit;
    } units[] = {{1, 'u'}, {1000, 'm'}, {1000000, 'S'}, {UINT64_C(3600000000), 'H'}};
    size_t i = 0, n = 0;
    while (us / units[i].us > MAX_TIMEOUT_VALUE && i + 1 < sizeof units / sizeof *units)
        i++;
    uint8_t digits[GRPC_TIMEOUT_BYTES - 1];
    uint64_t number = us / units[i].us;
    if (number > MAX_TIMEOUT_VALUE)
        number = MAX_TIMEOUT_VALUE;
    do {
        digits[n++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t k = 0; k < n; k++)
        text[k] = digits[n - 1 - k];
    text[n] = units[i].unit;
    return n + 1;
}

/* ---- grpc-status ---- */

static enum grpc_code read_code(struct span value)
{
    if (value.n == 0 || value.n > 2 || !h1_is_digit(value.p[0]) ||
        !h1_is_digit(value.p[value.n - 1]))
        return GRPC_UNKNOWN;
    unsigned code = value.p[0] - (unsigned)'0';
    if (value.n == 2)
        code = code * 10 + value.p[1] - '0';
    return code < GRPC_CODE_COUNT ? (enum grpc_code)code : GRPC_UNKNOWN;
}

bool grpc_code_find(const struct h1_lines *lines, const uint8_t *message, enum grpc_code *ret_code)
{
    const struct h1_field *last = NULL, *field;
    uint32_t from = 0;
    while ((field = find(lines, message, SPAN("grpc-status"), from)) != NULL) {
        last = field;
        from = (uint32_t)(field - lines->fields) + 1;
    }
    if (last != NULL)
        *ret_code = read_code(h1_field_value(last, message));
    return last != NULL;
}

enum grpc_code grpc_code_of_status(uint16_t status)
{
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

enum grpc_code grpc_code_of_reason(enum reason reason)
{
    switch (reason) {
    case REASON_TOTAL_TIMEOUT:
        return GRPC_DEADLINE_EXCEEDED;
    case REASON_BODY_TOO_LARGE:
    case REASON_HEAD_TOO_LARGE:
        return GRPC_RESOURCE_EXHAUSTED;
    case REASON_INTERNAL:
        return GRPC_INTERNAL;
    case REASON_DRAINED:
        return GRPC_UNAVAILABLE;
    default:
        /* What quoit has no status for are clients that left or were cut off. */
        return reason_status(reason) == 0 ? GRPC_CANCELLED
                                          : grpc_code_of_status(reason_status(reason));
    }
}
