#include "balancer/control/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

int address_resolve(const char *host, uint16_t port, struct sockaddr_storage *ret_address,
                    socklen_t *ret_len)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -EINVAL;
    memset(ret_address, 0, sizeof *ret_address);
    memcpy(ret_address, found->ai_addr, found->ai_addrlen);
    *ret_len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

void address_text(const char *host, uint16_t port, char ret_text[ADDRESS_TEXT_SIZE])
{
    const char *form = strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u";
    (void)snprintf(ret_text, ADDRESS_TEXT_SIZE, form, host, port);
}

void address_set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}
