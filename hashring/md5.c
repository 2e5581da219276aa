#include "hashring/md5.h"

#include <string.h>

enum { BLOCK_BYTES = 64, LENGTH_BYTES = 8 };

/* The integer part of 2^32 times |sin(i + 1)|. */
static const uint32_t sines[64] = {
    0xd76aa478u, 0xe8c7b756u, 0x242070dbu, 0xc1bdceeeu, 0xf57c0fafu, 0x4787c62au, 0xa8304613u,
    0xfd469501u, 0x698098d8u, 0x8b44f7afu, 0xffff5bb1u, 0x895cd7beu, 0x6b901122u, 0xfd987193u,
    0xa679438eu, 0x49b40821u, 0xf61e2562u, 0xc040b340u, 0x265e5a51u, 0xe9b6c7aau, 0xd62f105du,
    0x02441453u, 0xd8a1e681u, 0xe7d3fbc8u, 0x21e1cde6u, 0xc33707d6u, 0xf4d50d87u, 0x455a14edu,
    0xa9e3e905u, 0xfcefa3f8u, 0x676f02d9u, 0x8d2a4c8au, 0xfffa3942u, 0x8771f681u, 0x6d9d6122u,
    0xfde5380cu, 0xa4beea44u, 0x4bdecfa9u, 0xf6bb4b60u, 0xbebfbc70u, 0x289b7ec6u, 0xeaa127fau,
    0xd4ef3085u, 0x04881d05u, 0xd9d4d039u, 0xe6db99e5u, 0x1fa27cf8u, 0xc4ac5665u, 0xf4292244u,
    0x432aff97u, 0xab9423a7u, 0xfc93a039u, 0x655b59c3u, 0x8f0ccc92u, 0xffeff47du, 0x85845dd1u,
    0x6fa87e4fu, 0xfe2ce6e0u, 0xa3014314u, 0x4e0811a1u, 0xf7537e82u, 0xbd3af235u, 0x2ad7d2bbu,
    0xeb86d391u,
};

struct state {
    uint32_t a, b, c, d;
};

static inline uint32_t rotate(uint32_t x, uint32_t by)
{
    return x << by | x >> (32 - by);
}

static uint32_t load_word(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* One of the 64 steps: f is the round's function of b, c and d. */
static inline void take_step(struct state *s, uint32_t f, uint32_t word, uint32_t i, uint32_t turn)
{
    uint32_t sum = s->a + f + word + sines[i];
    s->a = s->d;
    s->d = s->c;
    s->c = s->b;
    s->b += rotate(sum, turn);
}

static void take_block(struct state *state, const uint8_t *block)
{
    static const uint8_t turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t words[16];
    struct state s = *state;
    for (size_t i = 0; i < 16; i++)
        words[i] = load_word(block + 4 * i);
    for (uint32_t i = 0; i < 16; i++)
        take_step(&s, (s.b & s.c) | (~s.b & s.d), words[i], i, turns[0][i % 4]);
    for (uint32_t i = 16; i < 32; i++)
        take_step(&s, (s.d & s.b) | (~s.d & s.c), words[(5 * i + 1) % 16], i, turns[1][i % 4]);
    for (uint32_t i = 32; i < 48; i++)
        take_step(&s, s.b ^ s.c ^ s.d, words[(3 * i + 5) % 16], i, turns[2][i % 4]);
    for (uint32_t i = 48; i < 64; i++)
        take_step(&s, s.c ^ (s.b | ~s.d), words[7 * i % 16], i, turns[3][i % 4]);
    state->a += s.a;
    state->b += s.b;
    state->c += s.c;
    state->d += s.d;
}

/* The last bytes, a one bit, zeroes and the length in bits: one block or two. */
static void take_rest(struct state *state, const uint8_t *rest, size_t n, uint64_t total)
{
    uint8_t blocks[2 * BLOCK_BYTES] = {0};
    size_t size = n + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    if (n > 0)
        memcpy(blocks, rest, n);
    blocks[n] = 0x80;
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        blocks[size - LENGTH_BYTES + i] = (uint8_t)(total * 8 >> 8 * i);
    for (size_t at = 0; at < size; at += BLOCK_BYTES)
        take_block(state, blocks + at);
}

void md5(const void *bytes, size_t n, uint32_t ret_words[4])
{
    struct state state = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u};
    const uint8_t *p = bytes;
    size_t left = n;
    for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, p += BLOCK_BYTES)
        take_block(&state, p);
    take_rest(&state, p, left, n);
    ret_words[0] = state.a;
    ret_words[1] = state.b;
    ret_words[2] = state.c;
    ret_words[3] = state.d;
}
