#include "balancer/explain/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char digits[] = "0123456789abcdef";

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Writes one byte, in one character or four; returns how many. */
static size_t print_byte(uint8_t c, char to[4])
{
    if (is_plain(c)) {
        to[0] = (char)c;
        return 1;
    }
    to[0] = '\\';
    to[1] = 'x';
    to[2] = digits[c >> 4];
    to[3] = digits[c & 0xf];
    return 4;
}

size_t bytes_print(struct span bytes, char *to, size_t size)
{
    size_t n = 0, n_if_cut = 0; /* the latter: what stays when the dots are put behind it */
    for (size_t i = 0; i < bytes.n; i++) {
        char piece[4];
        size_t piece_n = print_byte(bytes.p[i], piece);
        if (n + piece_n > size - 1) {
            memcpy(to + n_if_cut, "...", 4);
            return n_if_cut + 3;
        }
        memcpy(to + n, piece, piece_n);
        n += piece_n;
        if (n + 3 <= size - 1)
            n_if_cut = n;
    }
    to[n] = '\0';
    return n;
}

static json_t *escaped(struct span bytes)
{
    size_t size = 4 * bytes.n + 4;
    char *text = malloc(size);
    if (text == NULL)
        return NULL;
    json_t *json = json_stringn(text, bytes_print(bytes, text, size));
    free(text);
    return json;
}

json_t *bytes_to_json(struct span bytes, bool *ret_is_exact)
{
    json_t *json = json_stringn((const char *)bytes.p, bytes.n); /* NULL: not UTF-8 */
    if (ret_is_exact != NULL)
        *ret_is_exact = json != NULL;
    return json != NULL ? json : escaped(bytes);
}

json_t *bytes_to_hex(struct span bytes)
{
    char *text = malloc(2 * bytes.n + 1);
    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < bytes.n; i++) {
        text[2 * i] = digits[bytes.p[i] >> 4];
        text[2 * i + 1] = digits[bytes.p[i] & 0xf];
    }
    json_t *json = json_stringn(text, 2 * bytes.n);
    free(text);
    return json;
}

json_t *hash_to_json(uint64_t hash)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    return json_string(text);
}
