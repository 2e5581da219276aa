/*
 * The PROXY protocol, versions 1 and 2: a header at the start of a connection in which a proxy says
 * who the client is (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt).
 *
 * Pure: bytes in, addresses out, and the other way round. Whether the sender may be believed is
 * the caller's to know.
 */
#ifndef QUOIT_BALANCER_HTTP_PROXY_PROTOCOL_H
#define QUOIT_BALANCER_HTTP_PROXY_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/http/cidr.h"

#define PROXY_V1_MAX_BYTES 107  /* with CRLF (section 2.1) */
#define PROXY_V2_MAX_BYTES 4096 /* of ours: addresses and a few TLVs; longer ones are refused */

/* One end of a connection. */
struct proxy_end {
    struct ip ip;
    uint16_t port;
};

struct proxy_header {
    size_t n;      /* bytes that it takes */
    bool has_ends; /* else the connection's own ends count: LOCAL, UNKNOWN, UNSPEC, and
                      families without an IP address and TCP port */
    struct proxy_end source, destination;
};

enum proxy_status {
    PROXY_MORE, /* the bytes so far are fine; more are needed */
    PROXY_DONE,
    PROXY_BAD, /* no such header, or a wrong one */
};

/*
 * Takes the n bytes of the connection that are there so far. As strict as the text: version 1 with
 * single spaces, plain decimal ports without leading zeros and both addresses of the family that it
 * names; version 2 with a known command, a known family, a length that holds its addresses, TLVs
 * that fill the rest exactly, and a right CRC32c where there is one. What follows LOCAL or UNSPEC
 * is skipped unread, as section 2.2 asks. PROXY_BAD comes as early as the bytes show it.
 */
enum proxy_status proxy_header_parse(const uint8_t *bytes, size_t n,
                                     struct proxy_header *ret_header);

/*
 * Writes a header of version 1 or 2; returns its length. Ends of different families, and !has_ends,
 * become UNKNOWN or UNSPEC. header->n is not looked at.
 */
size_t proxy_header_write_v1(const struct proxy_header *header, uint8_t out[PROXY_V1_MAX_BYTES]);
#define PROXY_V2_WRITTEN_BYTES 52
size_t proxy_header_write_v2(const struct proxy_header *header,
                             uint8_t out[PROXY_V2_WRITTEN_BYTES]);

#endif
