#include "balancer/http/h1_scan.h"

#include <stdbool.h>

static inline bool is_text(uint8_t c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

const uint8_t *h1_scan_text_scalar(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_text(*p))
        p++;
    return p;
}

#ifdef __SSE2__

#include <emmintrin.h>

/* A bit for each of the 16 bytes from p that is no text. */
static inline unsigned int not_text(const uint8_t *p)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i last_control = _mm_set1_epi8(0x1f);
    __m128i is_control = _mm_cmpeq_epi8(_mm_max_epu8(bytes, last_control), last_control);
    __m128i is_tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    __m128i is_del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    __m128i bad = _mm_or_si128(_mm_andnot_si128(is_tab, is_control), is_del);
    return (unsigned int)_mm_movemask_epi8(bad);
}

const uint8_t *h1_scan_text(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 16; p += 16) {
        unsigned int bad = not_text(p);
        if (bad != 0)
            return p + __builtin_ctz(bad);
    }
    return h1_scan_text_scalar(p, end);
}

#else

const uint8_t *h1_scan_text(const uint8_t *p, const uint8_t *end)
{
    return h1_scan_text_scalar(p, end);
}

#endif
