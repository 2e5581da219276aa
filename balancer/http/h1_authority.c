#include "balancer/http/h1_authority.h"

#include <arpa/inet.h>

#include "balancer/http/h1_chars.h"

/* Bytes of "[address]" at the start, or 0. */
static size_t bracketed_length(struct span text)
{
    const uint8_t *close = memchr(text.p, ']', text.n);
    char address[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    if (close == NULL)
        return 0;
    size_t n = (size_t)(close - text.p) - 1;
    if (n >= sizeof(address))
        return 0;
    memcpy(address, text.p + 1, n);
    address[n] = '\0';
    return inet_pton(AF_INET6, address, &ignored) == 1 ? n + 2 : 0;
}

/* Bytes of the registered name at the start; stops at a malformed escape. */
static size_t name_length(struct span text)
{
    size_t n = 0;
    while (true) {
        n += h1_chars_run((struct span){text.p + n, text.n - n}, H1_CHAR_HOST);
        if (text.n - n < 3 || text.p[n] != '%')
            return n;
        if (h1_hex_value(text.p[n + 1]) < 0 || h1_hex_value(text.p[n + 2]) < 0)
            return n;
        n += 3;
    }
}

static bool is_port(struct span digits)
{
    uint32_t port = 0;
    for (size_t i = 0; i < digits.n; i++) {
        if (!h1_is_digit(digits.p[i]))
            return false;
        port = port * 10 + digits.p[i] - '0';
        if (port > UINT16_MAX)
            return false;
    }
    return true;
}

bool h1_authority_is_valid(struct span authority)
{
    if (authority.n == 0)
        return false;
    size_t n = authority.p[0] == '[' ? bracketed_length(authority) : name_length(authority);
    if (n == 0)
        return false;
    if (n == authority.n)
        return true;
    return authority.p[n] == ':' &&
           is_port((struct span){authority.p + n + 1, authority.n - n - 1});
}
