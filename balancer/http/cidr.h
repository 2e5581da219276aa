/*
 * Addresses and ranges of them, and who a request is from when it came by way of proxies. Pure.
 */
#ifndef QUOIT_BALANCER_HTTP_CIDR_H
#define QUOIT_BALANCER_HTTP_CIDR_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/h1.h"
#include "balancer/http/span.h"
#include "conf/conf.h"

/* An address; IPv4 mapped into IPv6 is IPv4. */
struct ip {
    bool is_v6;
    uint8_t bytes[16]; /* network order; IPv4 in the first four, zero behind them */
};

/* Reads a numeric address: the whole text, nothing around it. */
bool ip_parse(struct span text, struct ip *ret_ip);

/* The same for an element of X-Forwarded-For: white space around it, brackets around IPv6 and a
 * port behind the address are dropped. */
bool ip_parse_element(struct span text, struct ip *ret_ip);

/* Its first bits; the others become zero. More bits than it has leave it as it is. */
struct ip ip_prefix(struct ip ip, uint8_t bits);

/* Writes it in its canonical form (RFC 5952); returns the length. */
size_t ip_print(const struct ip *ip, char text[INET6_ADDRSTRLEN]);

bool cidr_contains(const struct conf_cidr *cidr, const struct ip *ip);

/* Whether one of the n ranges contains it. */
bool cidr_list_contains(const struct conf_cidr *list, size_t n, const struct ip *ip);

/* Whether the operator trusts what this peer says about its clients. False at once if nobody is
 * trusted. peer is an address as ip_parse() takes it. */
bool cidr_trusts(const struct conf_client *conf, struct span peer);

/*
 * Who the request is from. That is the peer, unless it is a trusted proxy: then it is the
 * right-most address in X-Forwarded-For (all fields of that name are one list, RFC 9110 section
 * 5.3) that is not a trusted proxy's, or the left-most if all are. An element that is no address
 * ends the search: who said it is as far as we know.
 *
 * False if peer is no address. Looks at no field unless the peer is trusted.
 */
bool cidr_find_client(const struct conf_client *conf, const struct h1_lines *lines,
                      const uint8_t *message, struct span peer, struct ip *ret_client);

#endif
