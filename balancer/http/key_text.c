#include "balancer/http/key_text.h"

#include <assert.h>

#define FOLD_BYTES KEY_TEXT_MIN_BYTES

void key_text_begin(struct key_text *text, uint8_t *room, size_t size)
{
    assert(size >= KEY_TEXT_MIN_BYTES);
    text->bytes = room;
    text->n = 0;
    text->size = size;
    text->is_folded = false;
}

/* A hash that takes a byte at a time: how the text was cut into pieces must not matter. */
static void fold(struct key_text *text, struct span bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        text->rest = (text->rest ^ bytes.p[i]) * UINT64_C(0x100000001b3);
}

/* Makes room for the fold; returns what of bytes is not in front of it. */
static struct span begin_fold(struct key_text *text, struct span bytes)
{
    size_t kept = text->size - FOLD_BYTES;
    text->is_folded = true;
    text->rest = UINT64_C(0xcbf29ce484222325);
    if (text->n > kept) {
        fold(text, (struct span){text->bytes + kept, text->n - kept});
        text->n = kept;
        return bytes;
    }
    size_t fits = kept - text->n;
    if (fits > 0)
        memcpy(text->bytes + text->n, bytes.p, fits);
    text->n = kept;
    return (struct span){bytes.p + fits, bytes.n - fits};
}

void key_text_add(struct key_text *text, struct span bytes)
{
    if (bytes.n == 0)
        return;
    if (!text->is_folded && bytes.n <= text->size - text->n) {
        memcpy(text->bytes + text->n, bytes.p, bytes.n);
        text->n += bytes.n;
        return;
    }
    fold(text, text->is_folded ? bytes : begin_fold(text, bytes));
}

void key_text_add_lower(struct key_text *text, struct span bytes)
{
    uint8_t some[64];
    while (bytes.n > 0) {
        size_t n = bytes.n < sizeof some ? bytes.n : sizeof some;
        for (size_t i = 0; i < n; i++) {
            uint8_t c = bytes.p[i];
            some[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
        }
        key_text_add(text, (struct span){some, n});
        bytes = (struct span){bytes.p + n, bytes.n - n};
    }
}

struct span key_text_end(struct key_text *text)
{
    if (text->is_folded) {
        text->bytes[text->n++] = '~';
        for (int shift = 60; shift >= 0; shift -= 4)
            text->bytes[text->n++] = (uint8_t) "0123456789abcdef"[text->rest >> shift & 15];
    }
    return (struct span){text->bytes, text->n};
}
