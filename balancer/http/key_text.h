/*
 * Text of bounded length that two different keys never share because they were cut: what does not
 * fit is folded into a hash at the end of what does.
 *
 *     up to size bytes    the text itself
 *     more                its first size - 17 bytes, '~', and 16 hexadecimal digits: the 64-bit
 *                         FNV-1a hash of the rest
 */
#ifndef QUOIT_BALANCER_HTTP_KEY_TEXT_H
#define QUOIT_BALANCER_HTTP_KEY_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/http/span.h"

#define KEY_TEXT_MIN_BYTES 17

struct key_text {
    uint8_t *bytes;
    size_t n, size;
    bool is_folded;
    uint64_t rest; /* the hash of what did not fit; only if is_folded */
};

/* Begins an empty text in room, which stays the caller's; size is at least KEY_TEXT_MIN_BYTES. */
void key_text_begin(struct key_text *text, uint8_t *room, size_t size);

void key_text_add(struct key_text *text, struct span bytes);

/* The same with A to Z as a to z; other bytes stay what they are. */
void key_text_add_lower(struct key_text *text, struct span bytes);

/* The whole text, in room. Nothing may be added afterwards. */
struct span key_text_end(struct key_text *text);

#endif
