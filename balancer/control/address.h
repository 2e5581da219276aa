/*
 * Host and port to a socket address, and its text.
 */
#ifndef QUOIT_BALANCER_CONTROL_ADDRESS_H
#define QUOIT_BALANCER_CONTROL_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* "255.255.255.255:65535", "[v6]:65535", "name:65535" with a name of at most 253 bytes. */
#define ADDRESS_TEXT_SIZE 264

/*
 * A numeric host is converted; a name is looked up, which may block for seconds. The first address
 * counts. Returns 0 or -EINVAL (not found, not valid).
 */
int address_resolve(const char *host, uint16_t port, struct sockaddr_storage *ret_address,
                    socklen_t *ret_len);

/* "host:port", with brackets around a host that holds a colon. */
void address_text(const char *host, uint16_t port, char ret_text[ADDRESS_TEXT_SIZE]);

void address_set_port(struct sockaddr_storage *address, uint16_t port);

#endif
