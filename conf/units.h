/*
 * Numbers, sizes, durations and addresses as an operator writes them. Pure.
 *
 * All take the whole text or fail; the results are written only on success. Return 0 or -EINVAL.
 */
#ifndef QUOIT_CONF_UNITS_H
#define QUOIT_CONF_UNITS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Decimal digits, nothing else. */
int conf_parse_number(const char *text, uint64_t *ret_number);

/* Digits with at most one point between them: "2", "2.5". Not locale dependent. */
int conf_parse_decimal(const char *text, double *ret_number);

/* "512b", "64k", "1m", "1g" in powers of 1024; "0". */
int conf_parse_size(const char *text, uint64_t *ret_bytes);

/* "500ms", "2s", "1m", "1h"; "0". */
int conf_parse_duration(const char *text, uint64_t *ret_ms);

/* In the largest unit that divides it: "16k", "90s". */
void conf_print_size(uint64_t bytes, FILE *out);
void conf_print_duration(uint64_t ms, FILE *out);

#define CONF_MAX_HOST 253 /* RFC 1035 section 3.1, without the root's dot */

enum conf_host_type { CONF_HOST_ALL, CONF_HOST_NUMERIC, CONF_HOST_NAME };

struct conf_host_port {
    enum conf_host_type type;
    char host[CONF_MAX_HOST + 1]; /* numeric: in canonical form, no brackets; a name: lower case */
    uint16_t port;                /* 1 to 65535 */
};

/* "127.0.0.1:80", "[::1]:80", "name.example:80", ":80" (all addresses). */
int conf_parse_host_port(const char *text, struct conf_host_port *ret_address);

/* A host alone, in brackets if IPv6; writes as above, but for the port. */
int conf_parse_host(const char *text, size_t n, struct conf_host_port *ret_address);

#endif
