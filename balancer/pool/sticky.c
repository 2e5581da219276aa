#include "balancer/pool/sticky.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "balancer/pool/snapshot.h"

#define TAG_SIZE 8
#define SIGNATURE_SIZE 16
#define MAC_SIZE 32

static_assert((TAG_SIZE + SIGNATURE_SIZE) % 3 == 0, "base64 without padding");
static_assert((TAG_SIZE + SIGNATURE_SIZE) / 3 * 4 == STICKY_VALUE_LEN, "a value's length");

/* ---- values */

static bool feed(EVP_MAC_CTX *context, struct span bytes)
{
    return EVP_MAC_update(context, bytes.p, bytes.n) == 1;
}

/* HMAC-SHA256(secret, use 0 pool 0 subject). */
static bool compute(EVP_MAC_CTX *context, struct span secret, const struct span parts[3],
                    uint8_t ret_mac[MAC_SIZE])
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    const struct span zero = {(const uint8_t *)"", 1};
    size_t n = 0;
    return EVP_MAC_init(context, secret.p, secret.n, params) == 1 && feed(context, parts[0]) &&
           feed(context, zero) && feed(context, parts[1]) && feed(context, zero) &&
           feed(context, parts[2]) && EVP_MAC_final(context, ret_mac, &n, MAC_SIZE) == 1;
}

/* The tag and the signature over it. */
static bool sign(EVP_MAC_CTX *context, struct span secret, const char *pool, const char *id,
                 uint8_t ret_bytes[TAG_SIZE + SIGNATURE_SIZE])
{
    uint8_t mac[MAC_SIZE];
    const struct span endpoint[] = {SPAN("endpoint"), span_of(pool), span_of(id)};
    if (!compute(context, secret, endpoint, mac))
        return false;
    memcpy(ret_bytes, mac, TAG_SIZE);
    const struct span cookie[] = {SPAN("cookie"), span_of(pool), {ret_bytes, TAG_SIZE}};
    if (!compute(context, secret, cookie, mac))
        return false;
    memcpy(ret_bytes + TAG_SIZE, mac, SIGNATURE_SIZE);
    return true;
}

/* RFC 4648 section 5; three bytes at a time. */
static void encode(const uint8_t *bytes, char ret_value[STICKY_VALUE_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *to = ret_value;
    for (size_t i = 0; i < TAG_SIZE + SIGNATURE_SIZE; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *to++ = digits[bits >> shift & 63];
    }
    *to = '\0';
}

int sticky_value(struct span secret, const char *pool, const char *id,
                 char ret_value[STICKY_VALUE_SIZE])
{
    uint8_t bytes[TAG_SIZE + SIGNATURE_SIZE];
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    bool is_signed = context != NULL && sign(context, secret, pool, id, bytes);
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(hmac);
    if (!is_signed)
        return -EIO;
    encode(bytes, ret_value);
    return 0;
}

/* ---- the index */

struct sticky_entry {
    uint64_t begin; /* the first characters of the value, all of them of its tag */
    uint32_t member;
};

struct sticky_index {
    uint32_t n;
    struct sticky_entry entries[]; /* sorted by begin */
};

static uint64_t begin_of(const void *value)
{
    uint64_t begin;
    memcpy(&begin, value, sizeof begin);
    return begin;
}

static int compare_entries(const void *left, const void *right)
{
    const struct sticky_entry *a = left;
    const struct sticky_entry *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return (a->member > b->member) - (a->member < b->member);
}

int sticky_index_new(const struct member *members, uint32_t n, struct sticky_index **ret_index)
{
    struct sticky_index *index = calloc(1, sizeof *index + n * sizeof index->entries[0]);
    if (index == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        const char *value = members[i].endpoint->cookie;
        if (value[0] != '\0')
            index->entries[index->n++] =
                (struct sticky_entry){.begin = begin_of(value), .member = i};
    }
    qsort(index->entries, index->n, sizeof index->entries[0], compare_entries);
    *ret_index = index;
    return 0;
}

/* The first entry that does not come before begin; index->n if there is none. */
static uint32_t lower_bound(const struct sticky_index *index, uint64_t begin)
{
    uint32_t low = 0;
    uint32_t high = index->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->entries[middle].begin < begin)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct member *sticky_find(const struct snapshot *snapshot, struct span value)
{
    const struct sticky_index *index = snapshot->sticky;
    if (index == NULL || value.n != STICKY_VALUE_LEN)
        return NULL;
    uint64_t begin = begin_of(value.p);
    for (uint32_t i = lower_bound(index, begin); i < index->n && index->entries[i].begin == begin;
         i++) {
        const struct member *member = &snapshot->members[index->entries[i].member];
        if (CRYPTO_memcmp(member->endpoint->cookie, value.p, value.n) == 0)
            return member;
    }
    return NULL;
}
