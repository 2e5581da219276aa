#include "conf/units.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* The largest last. */
static const struct unit size_units[] = {
    {"b", 1}, {"k", 1ULL << 10}, {"m", 1ULL << 20}, {"g", 1ULL << 30}, {NULL, 0}};
static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Leading digits; returns what stands behind them, NULL when there are none or too many. */
static const char *parse_digits(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *at = text;
    for (; is_digit(*at); at++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return NULL;
    }
    if (at == text)
        return NULL;
    *ret_number = number;
    return at;
}

int conf_parse_number(const char *text, uint64_t *ret_number)
{
    uint64_t number;
    const char *rest = parse_digits(text, &number);
    if (rest == NULL || *rest != '\0')
        return -EINVAL;
    *ret_number = number;
    return 0;
}

int conf_parse_decimal(const char *text, double *ret_number)
{
    size_t whole = strspn(text, "0123456789");
    size_t n = whole;
    if (text[n] == '.')
        n += 1 + strspn(text + n + 1, "0123456789");
    if (whole == 0 || n == whole + 1 || text[n] != '\0')
        return -EINVAL;
    *ret_number = strtod(text, NULL);
    return 0;
}

static int parse_with_unit(const char *text, const struct unit *units, uint64_t *ret_number)
{
    uint64_t number;
    const char *rest = parse_digits(text, &number);
    if (rest == NULL)
        return -EINVAL;
    if (number == 0 && *rest == '\0') {
        *ret_number = 0;
        return 0;
    }
    while (units->name != NULL && strcmp(units->name, rest) != 0)
        units++;
    if (units->name == NULL || __builtin_mul_overflow(number, units->factor, &number))
        return -EINVAL;
    *ret_number = number;
    return 0;
}

int conf_parse_size(const char *text, uint64_t *ret_bytes)
{
    return parse_with_unit(text, size_units, ret_bytes);
}

int conf_parse_duration(const char *text, uint64_t *ret_ms)
{
    return parse_with_unit(text, duration_units, ret_ms);
}

static void print_with_unit(uint64_t number, const struct unit *units, FILE *out)
{
    const struct unit *best = units;
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (number % unit->factor == 0)
            best = unit;
    }
    fprintf(out, "%llu%s", (unsigned long long)(number / best->factor),
            number == 0 ? "" : best->name);
}

void conf_print_size(uint64_t bytes, FILE *out)
{
    print_with_unit(bytes, size_units, out);
}

void conf_print_duration(uint64_t ms, FILE *out)
{
    print_with_unit(ms, duration_units, out);
}

/* Labels of letters, digits, - and _, joined by dots. The last one may not be all digits: such a
 * text is a mistyped IPv4 address. */
static bool is_host_name(const char *text, size_t n)
{
    size_t label = 0;
    bool digits_only = true;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '.') {
            if (label == 0 || text[i - 1] == '-')
                return false;
            label = 0;
            digits_only = true;
            continue;
        }
        bool is_plain = is_letter(text[i]) || is_digit(text[i]) || text[i] == '_';
        if (!is_plain && (text[i] != '-' || label == 0))
            return false;
        digits_only = digits_only && is_digit(text[i]);
        if (++label > 63)
            return false;
    }
    return label > 0 && text[n - 1] != '-' && !digits_only;
}

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text - 'A' + 'a');
    }
}

/* Rewrites a numeric address in its canonical form; false if it is none. */
static bool canonical(int family, const char *text, char host[CONF_MAX_HOST + 1])
{
    struct in6_addr address; /* room for either family */
    if (inet_pton(family, text, &address) != 1)
        return false;
    return inet_ntop(family, &address, host, CONF_MAX_HOST + 1) != NULL;
}

int conf_parse_host(const char *text, size_t n, struct conf_host_port *ret_address)
{
    char host[CONF_MAX_HOST + 1];
    if (n == 0 || n > CONF_MAX_HOST)
        return -EINVAL;
    memcpy(host, text, n);
    host[n] = '\0';
    enum conf_host_type type = CONF_HOST_NUMERIC;
    if (host[0] == '[') {
        if (host[n - 1] != ']')
            return -EINVAL;
        host[n - 1] = '\0';
        if (!canonical(AF_INET6, host + 1, ret_address->host))
            return -EINVAL;
    } else if (!canonical(AF_INET, host, ret_address->host)) {
        if (!is_host_name(text, n))
            return -EINVAL;
        lower(host);
        memcpy(ret_address->host, host, n + 1);
        type = CONF_HOST_NAME;
    }
    ret_address->type = type;
    return 0;
}

int conf_parse_host_port(const char *text, struct conf_host_port *ret_address)
{
    uint64_t port;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || conf_parse_number(colon + 1, &port) != 0 || port == 0 || port > UINT16_MAX)
        return -EINVAL;
    struct conf_host_port address = {.type = CONF_HOST_ALL, .port = (uint16_t)port};
    if (colon != text && conf_parse_host(text, (size_t)(colon - text), &address) != 0)
        return -EINVAL;
    *ret_address = address;
    return 0;
}
