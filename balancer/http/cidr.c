#include "balancer/http/cidr.h"

#include <assert.h>

#include "balancer/http/h1_chars.h"

static void unmap(struct ip *ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (!ip->is_v6 || memcmp(ip->bytes, mapped, sizeof mapped) != 0)
        return;
    ip->is_v6 = false;
    memmove(ip->bytes, ip->bytes + sizeof mapped, 4);
    memset(ip->bytes + 4, 0, sizeof ip->bytes - 4);
}

bool ip_parse(struct span text, struct ip *ret_ip)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, '\0', text.n) != NULL)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    struct ip ip = {.is_v6 = memchr(copy, ':', text.n) != NULL};
    if (inet_pton(ip.is_v6 ? AF_INET6 : AF_INET, copy, ip.bytes) != 1)
        return false;
    unmap(&ip);
    *ret_ip = ip;
    return true;
}

/* "", or a colon and up to five digits. */
static bool is_port(struct span text)
{
    if (text.n == 0)
        return true;
    if (text.p[0] != ':' || text.n < 2 || text.n > 6)
        return false;
    for (size_t i = 1; i < text.n; i++)
        if (!h1_is_digit(text.p[i]))
            return false;
    return true;
}

static struct span from(struct span text, size_t at)
{
    return (struct span){text.p + at, text.n - at};
}

bool ip_parse_element(struct span text, struct ip *ret_ip)
{
    text = h1_trim(text);
    if (text.n == 0)
        return false;
    if (text.p[0] == '[') {
        const uint8_t *end = memchr(text.p, ']', text.n);
        if (end == NULL || !is_port(from(text, (size_t)(end - text.p) + 1)))
            return false;
        struct span inner = {text.p + 1, (size_t)(end - text.p) - 1};
        return memchr(inner.p, ':', inner.n) != NULL && ip_parse(inner, ret_ip);
    }
    const uint8_t *first = memchr(text.p, ':', text.n);
    if (first == NULL || memrchr(text.p, ':', text.n) != first)
        return ip_parse(text, ret_ip);
    size_t n = (size_t)(first - text.p);
    return is_port(from(text, n)) && ip_parse((struct span){text.p, n}, ret_ip);
}

struct ip ip_prefix(struct ip ip, uint8_t bits)
{
    size_t whole = bits / 8u, n = ip.is_v6 ? 16 : 4;
    if (whole >= n)
        return ip;
    ip.bytes[whole] &= (uint8_t) ~(0xffu >> bits % 8u);
    memset(ip.bytes + whole + 1, 0, n - whole - 1);
    return ip;
}

size_t ip_print(const struct ip *ip, char text[INET6_ADDRSTRLEN])
{
    const char *printed =
        inet_ntop(ip->is_v6 ? AF_INET6 : AF_INET, ip->bytes, text, INET6_ADDRSTRLEN);
    assert(printed != NULL); /* the room is that of the longest one */
    return strlen(text);
}

bool cidr_contains(const struct conf_cidr *cidr, const struct ip *ip)
{
    if (cidr->is_v6 != ip->is_v6)
        return false;
    struct ip prefix = ip_prefix(*ip, cidr->bits);
    return memcmp(prefix.bytes, cidr->address, ip->is_v6 ? 16 : 4) == 0;
}

bool cidr_list_contains(const struct conf_cidr *list, size_t n, const struct ip *ip)
{
    for (size_t i = 0; i < n; i++)
        if (cidr_contains(&list[i], ip))
            return true;
    return false;
}

static bool is_trusted(const struct conf_client *conf, const struct ip *ip)
{
    return cidr_list_contains(conf->trusted_proxies, conf->n_trusted_proxies, ip);
}

bool cidr_trusts(const struct conf_client *conf, struct span peer)
{
    struct ip ip;
    return conf->n_trusted_proxies > 0 && ip_parse(peer, &ip) && is_trusted(conf, &ip);
}

/* Takes the last element of a comma-separated list off its end. */
static struct span last_element(struct span *list)
{
    const uint8_t *comma = memrchr(list->p, ',', list->n);
    size_t at = comma != NULL ? (size_t)(comma - list->p) + 1 : 0;
    struct span element = from(*list, at);
    list->n = comma != NULL ? at - 1 : 0;
    return element;
}

/* Walks one field from its right; returns whether the search goes on to its left. */
static bool walk_field(const struct conf_client *conf, struct span list, struct ip *client)
{
    while (list.n > 0) {
        struct span element = h1_trim(last_element(&list));
        if (element.n == 0)
            continue; /* empty elements count for nothing (RFC 9110 section 5.6.1) */
        if (!ip_parse_element(element, client) || !is_trusted(conf, client))
            return false;
    }
    return true;
}

bool cidr_find_client(const struct conf_client *conf, const struct h1_lines *lines,
                      const uint8_t *message, struct span peer, struct ip *ret_client)
{
    struct ip client;
    if (!ip_parse(peer, &client))
        return false;
    bool goes_on = conf->n_trusted_proxies > 0 && is_trusted(conf, &client);
    for (uint32_t i = lines->n_fields; i-- > 0 && goes_on;)
        if (lines->fields[i].id == H1_X_FORWARDED_FOR)
            goes_on = walk_field(conf, h1_field_value(&lines->fields[i], message), &client);
    *ret_client = client;
    return true;
}
