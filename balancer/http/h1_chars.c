#include "balancer/http/h1_chars.h"

/*
 * One byte's classes; a row is sixteen bytes. Tokens are RFC 9110 section 5.6.2, host characters
 * RFC 3986's unreserved and sub-delims. Targets are wider than RFC 3986 because clients send
 * quotes, braces, bars and raw UTF-8; '#', '<' and '>' never, and a backslash only in a query,
 * since some origins read it as a slash in a path.
 */
/* clang-format off */
const uint8_t h1_chars[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 00 */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 10 */
     0, 15,  6,  1, 15,  7, 15, 15, 14, 14, 15, 15, 14, 15, 15,  6, /* 20 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6, 14,  0, 14,  0,  4, /* 30 */
     6, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 40 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  4,  6,  7, 15, /* 50 */
     7, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, /* 60 */
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  7,  6, 15,  0, /* 70 */
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, /* 80 */
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, /* 90 */
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, /* a0 */
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, /* b0 */
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, /* c0 */
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, /* d0 */
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, /* e0 */
     6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6, /* f0 */
};
/* clang-format on */

size_t h1_chars_run_scalar(struct span text, uint8_t class)
{
    size_t n = 0;
    while (n < text.n && (h1_chars[text.p[n]] & class) != 0)
        n++;
    return n;
}

#ifdef __x86_64__

#include <tmmintrin.h>

/*
 * Sixteen bytes at once (after Mula and Lemire's classification by nibbles): a byte below 0x80
 * belongs to a class if, in the class's row of its lower nibble, the bit of its upper nibble is
 * set. Those from 0x80 on all belong, or none does.
 */
enum { N_CLASSES = 4 };

static uint8_t rows[N_CLASSES][16];
static size_t (*run)(struct span text, uint8_t class) = h1_chars_run_scalar;

__attribute__((target("ssse3"))) static unsigned int outside(const uint8_t *p, uint8_t class)
{
    const __m128i bits = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m128i nibble = _mm_set1_epi8(0x0f);
    const uint8_t *row = rows[__builtin_ctz(class)];
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i lower = _mm_and_si128(bytes, nibble);
    __m128i upper = _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble);
    __m128i uppers = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)row), lower);
    __m128i both = _mm_and_si128(uppers, _mm_shuffle_epi8(bits, upper));
    unsigned int none = (unsigned int)_mm_movemask_epi8(_mm_cmpeq_epi8(both, _mm_setzero_si128()));
    unsigned int high = (unsigned int)_mm_movemask_epi8(bytes);
    return (h1_chars[0x80] & class) != 0 ? none & ~high : none;
}

__attribute__((target("ssse3"))) static size_t run_ssse3(struct span text, uint8_t class)
{
    size_t n = 0;
    for (; text.n - n >= 16; n += 16) {
        unsigned int mask = outside(text.p + n, class);
        if (mask != 0)
            return n + (size_t)__builtin_ctz(mask);
    }
    return n + h1_chars_run_scalar((struct span){text.p + n, text.n - n}, class);
}

__attribute__((constructor)) static void choose_run(void)
{
    for (unsigned int c = 0; c < 0x80; c++) {
        for (int i = 0; i < N_CLASSES; i++)
            if ((h1_chars[c] >> i & 1) != 0)
                rows[i][c & 0x0f] |= (uint8_t)(1u << (c >> 4));
    }
    __builtin_cpu_init();
    if (__builtin_cpu_supports("ssse3"))
        run = run_ssse3;
}

size_t h1_chars_run(struct span text, uint8_t class)
{
    return run(text, class);
}

#else

size_t h1_chars_run(struct span text, uint8_t class)
{
    return h1_chars_run_scalar(text, class);
}

#endif
