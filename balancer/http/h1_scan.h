/*
 * The inner loop of the HTTP/1 parser: where does a line's text end? Private to the parser.
 */
#ifndef QUOIT_BALANCER_HTTP_H1_SCAN_H
#define QUOIT_BALANCER_HTTP_H1_SCAN_H

#include <stdint.h>

/*
 * The first byte of [p, end) that may not stand in a line's text, or end: control characters other
 * than tab, and DEL. So one pass finds the line's end (the CR) and everything forbidden in field
 * values (RFC 9110 section 5.5). Reads no byte outside [p, end).
 */
const uint8_t *h1_scan_text(const uint8_t *p, const uint8_t *end);

/* The same, a byte at a time: for other processors, and for tests to compare with. */
const uint8_t *h1_scan_text_scalar(const uint8_t *p, const uint8_t *end);

#endif
