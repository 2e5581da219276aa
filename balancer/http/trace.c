#include "balancer/http/trace.h"

#include <errno.h>
#include <sys/random.h>

#include "balancer/http/h1_chars.h"

/* Where the parts of a traceparent begin: version-traceid-parentid-flags. */
#define PARENT_ID_AT 36
#define PARENT_ID_BYTES 16
#define FLAGS_AT 53

int id_source_seed(struct id_source *source)
{
    struct id_source fresh;
    ssize_t n;
    do
        n = getrandom(&fresh, sizeof fresh, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof fresh)
        return n < 0 ? -errno : -EIO;
    *source = fresh;
    return 0;
}

/* splitmix64 (Steele, Lea and Flood, OOPSLA 2014). The two streams differ by their seeds. */
static uint64_t next_word(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Sixteen digits, all at once: four bits go to each byte of two words, then become letters. */
static void put_hex(uint64_t word, uint8_t *digits)
{
    for (int half = 0; half < 2; half++, word <<= 32, digits += 8) {
        uint64_t x = word >> 32;
        x = (x << 16 | x) & 0x0000ffff0000ffffu;
        x = (x << 8 | x) & 0x00ff00ff00ff00ffu;
        x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0fu;
        uint64_t is_letter = (x + 0x0606060606060606u) >> 4 & 0x0101010101010101u;
        x += 0x3030303030303030u + is_letter * ('a' - '9' - 1);
        x = __builtin_bswap64(x); /* the first digit is the most significant */
        memcpy(digits, &x, sizeof x);
    }
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "put_hex() stores words byte by byte");

void id_source_next(struct id_source *source, uint8_t ret_id[REQUEST_ID_BYTES])
{
    put_hex(next_word(&source->state[0]), ret_id);
    put_hex(next_word(&source->state[1]), ret_id + 16);
}

static bool is_id_char(uint8_t c)
{
    return (h1_chars[c] & H1_CHAR_TOKEN) != 0 || c == '/' || c == ':' || c == '=' || c == '@';
}

bool request_id_is_valid(struct span id)
{
    if (id.n == 0 || id.n > REQUEST_ID_MAX_BYTES)
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (!is_id_char(id.p[i]))
            return false;
    return true;
}

static bool is_hex(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!h1_is_digit(text.p[i]) && !(text.p[i] >= 'a' && text.p[i] <= 'f'))
            return false;
    return true;
}

/* An id of which not all digits are zero. */
static bool is_id(struct span text)
{
    if (!is_hex(text))
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != '0')
            return true;
    return false;
}

static bool ends_as_its_version_may(struct span value)
{
    if (value.n == TRACEPARENT_BYTES)
        return true;
    bool is_first_version = value.p[0] == '0' && value.p[1] == '0';
    return !is_first_version && value.p[TRACEPARENT_BYTES] == '-';
}

bool traceparent_is_valid(struct span value)
{
    const uint8_t *p = value.p;
    if (value.n < TRACEPARENT_BYTES || p[2] != '-' || p[PARENT_ID_AT - 1] != '-' ||
        p[FLAGS_AT - 1] != '-')
        return false;
    bool has_version = is_hex((struct span){p, 2}) && !(p[0] == 'f' && p[1] == 'f');
    return has_version && is_id((struct span){p + TRACE_ID_AT, TRACE_ID_BYTES}) &&
           is_id((struct span){p + PARENT_ID_AT, PARENT_ID_BYTES}) &&
           is_hex((struct span){p + FLAGS_AT, 2}) && ends_as_its_version_may(value);
}

void traceparent_make(struct id_source *source, uint8_t ret_value[TRACEPARENT_BYTES])
{
    static const uint8_t version[TRACE_ID_AT] = {'0', '0', '-'};
    static const uint8_t flags[TRACEPARENT_BYTES - FLAGS_AT + 1] = {'-', '0', '1'};
    uint8_t parent[REQUEST_ID_BYTES];
    memcpy(ret_value, version, sizeof version);
    do
        id_source_next(source, ret_value + TRACE_ID_AT);
    while (!is_id((struct span){ret_value + TRACE_ID_AT, TRACE_ID_BYTES}));
    do
        id_source_next(source, parent);
    while (!is_id((struct span){parent, PARENT_ID_BYTES}));
    ret_value[PARENT_ID_AT - 1] = '-';
    memcpy(ret_value + PARENT_ID_AT, parent, PARENT_ID_BYTES);
    memcpy(ret_value + FLAGS_AT - 1, flags, sizeof flags);
}
