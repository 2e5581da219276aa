/*
 * libmemcached's four layouts called ketama (1.1.4).
 *
 * A node's id is HOST:PORT; its points come from the text "HOST:PORT-i", in which a port of 11211
 * is left out and an IPv6 address has no brackets.
 *
 * - default:  100 points a server, whatever its weight; points and keys by one_at_a_time.
 * - md5:      the same with the first word of MD5 for both.
 * - weighted: as many texts as the weight's share says, of four points each, the words of their
 *             MD5. Keys by the first word. About 160 points for a server of average weight.
 * - spy:      weighted, with the text "/HOST:PORT-i" in which every port stands, as of
 *             spymemcached.
 *
 * A key belongs to the first point at or after its hash; points of equal hash stand in the order of
 * the servers. When a server is not to be had the key goes to the next points.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hashring/circle.h"
#include "hashring/md5.h"

enum { POINTS_UNWEIGHTED = 100, POINTS_WEIGHTED = 160, POINTS_PER_TEXT = 4, INDEX_BYTES = 16 };

/* The text that points are hashed from: its fixed part, and room for the number behind. */
struct text {
    char *bytes;
    size_t n;
};

typedef size_t spell_fn(const struct ring_entry *entry, char *to);
typedef uint32_t count_fn(const struct ring *ring, const struct ring_entry *entry);
typedef struct point *point_fn(const struct text *text, uint16_t node, struct point *at);

/* One of the layouts: how a server is spelled, how many texts it has, which points a text has. */
struct layout {
    spell_fn *spell;
    count_fn *count_texts;
    uint32_t points_per_text;
    point_fn *add_points;
};

/* Jenkins's, over signed characters, which shows in bytes from 0x80 on. */
static uint32_t one_at_a_time(const void *bytes, size_t n)
{
    const signed char *p = bytes;
    uint32_t hash = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t byte = (uint32_t)p[i];
        hash += byte;
        hash += hash << 10;
        hash ^= hash >> 6;
    }
    hash += hash << 3;
    hash ^= hash >> 11;
    return hash + (hash << 15);
}

static uint32_t md5_word(const void *bytes, size_t n)
{
    uint32_t words[4];
    md5(bytes, n, words);
    return words[0];
}

static uint64_t default_key_hash(const struct ring_options *options, const void *key, size_t n)
{
    (void)options;
    return one_at_a_time(key, n);
}

static uint64_t md5_key_hash(const struct ring_options *options, const void *key, size_t n)
{
    (void)options;
    return md5_word(key, n);
}

/* ---- the texts */

/* Copies the id without the brackets of an IPv6 address. */
static size_t spell_plain(const struct ring_entry *entry, char *to)
{
    const char *close =
        entry->id_len > 0 && entry->id[0] == '[' ? memchr(entry->id, ']', entry->id_len) : NULL;
    if (close == NULL) {
        if (entry->id_len > 0)
            memcpy(to, entry->id, entry->id_len);
        return entry->id_len;
    }
    size_t host_n = (size_t)(close - entry->id) - 1;
    size_t rest_n = entry->id_len - host_n - 2;
    memcpy(to, entry->id + 1, host_n);
    memcpy(to + host_n, close + 1, rest_n);
    return host_n + rest_n;
}

static size_t spell_without_usual_port(const struct ring_entry *entry, char *to)
{
    static const char usual[] = ":11211";
    size_t usual_n = sizeof usual - 1;
    size_t n = spell_plain(entry, to);
    return n >= usual_n && memcmp(to + n - usual_n, usual, usual_n) == 0 ? n - usual_n : n;
}

static size_t spell_with_slash(const struct ring_entry *entry, char *to)
{
    to[0] = '/';
    return 1 + spell_plain(entry, to + 1);
}

static uint32_t count_equal(const struct ring *ring, const struct ring_entry *entry)
{
    (void)ring;
    return entry->weight > 0 ? POINTS_UNWEIGHTED : 0;
}

static uint32_t servers_with_weight(const struct ring *ring)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ring->n; i++)
        n += ring->entries[i].weight > 0;
    return n;
}

/* In single precision step by step, as there: 50 equal servers get 39 texts, not 40. */
static uint32_t count_weighted(const struct ring *ring, const struct ring_entry *entry)
{
    if (entry->weight == 0)
        return 0;
    float share = (float)entry->weight / (float)ring->total_weight;
    float points = share * POINTS_WEIGHTED;
    float texts = points / POINTS_PER_TEXT;
    float all = texts * (float)servers_with_weight(ring);
    float rounded = all + 0.0000000001F;
    return (uint32_t)rounded;
}

/* ---- the points */

static struct point *add_default(const struct text *text, uint16_t node, struct point *at)
{
    *at = (struct point){circle_hash_32(one_at_a_time(text->bytes, text->n)), node};
    return at + 1;
}

static struct point *add_md5(const struct text *text, uint16_t node, struct point *at)
{
    *at = (struct point){circle_hash_32(md5_word(text->bytes, text->n)), node};
    return at + 1;
}

static struct point *add_weighted(const struct text *text, uint16_t node, struct point *at)
{
    uint32_t words[POINTS_PER_TEXT];
    md5(text->bytes, text->n, words);
    for (uint32_t i = 0; i < POINTS_PER_TEXT; i++)
        *at++ = (struct point){circle_hash_32(words[i]), node};
    return at;
}

static const struct layout layout_default = {spell_without_usual_port, count_equal, 1, add_default};
static const struct layout layout_md5 = {spell_without_usual_port, count_equal, 1, add_md5};
static const struct layout layout_weighted = {spell_without_usual_port, count_weighted,
                                              POINTS_PER_TEXT, add_weighted};
static const struct layout layout_spy = {spell_with_slash, count_weighted, POINTS_PER_TEXT,
                                         add_weighted};

/* bytes: room for a slash, the longest id and a number. */
static struct point *list_points(const struct layout *layout, const struct ring *ring,
                                 const struct ring_entry *entry, char *bytes, struct point *at)
{
    size_t n = layout->spell(entry, bytes);
    uint32_t n_texts = layout->count_texts(ring, entry);
    for (uint32_t i = 0; i < n_texts; i++) {
        int digits = snprintf(bytes + n, INDEX_BYTES, "-%u", i);
        struct text text = {bytes, n + (size_t)digits};
        at = layout->add_points(&text, (uint16_t)entry->index, at);
    }
    return at;
}

static int fill_points(const struct layout *layout, const struct ring *ring, struct points *points)
{
    size_t longest = 0;
    for (uint32_t i = 0; i < ring->n; i++) {
        if (ring->entries[i].id_len > longest)
            longest = ring->entries[i].id_len;
    }
    char *bytes = malloc(1 + longest + INDEX_BYTES);
    const struct ring_entry **entries = ring_by_position(ring);
    int r = bytes != NULL && entries != NULL ? 0 : -ENOMEM;
    struct point *at = points->items;
    for (uint32_t i = 0; r == 0 && i < ring->n; i++)
        at = list_points(layout, ring, entries[i], bytes, at);
    free(bytes);
    free(entries);
    return r;
}

static int build_layout(const struct layout *layout, struct ring *ring)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < ring->n; i++)
        n += (uint64_t)layout->count_texts(ring, &ring->entries[i]) * layout->points_per_text;
    struct points points;
    int r = points_init(&points, n);
    if (r < 0)
        return r;
    r = fill_points(layout, ring, &points);
    if (r == 0)
        r = points_sort(&points);
    if (r == 0)
        r = circle_from_sorted(ring, &points);
    free(points.items);
    if (r == 0)
        circle_fill_shares(ring);
    return r;
}

static int default_build(struct ring *ring)
{
    return build_layout(&layout_default, ring);
}

static int md5_build(struct ring *ring)
{
    return build_layout(&layout_md5, ring);
}

static int weighted_build(struct ring *ring)
{
    return build_layout(&layout_weighted, ring);
}

static int spy_build(struct ring *ring)
{
    return build_layout(&layout_spy, ring);
}

const struct ring_ops libmemcached_ops = {
    .uses_position = true,
    .check = ring_check_nothing,
    .key_hash = default_key_hash,
    .build = default_build,
    .pick = circle_pick_32,
    .walk_next = circle_walk_next_32,
    .slot = circle_slot_32,
    .option = ring_option_none,
};

const struct ring_ops libmemcached_md5_ops = {
    .uses_position = true,
    .check = ring_check_nothing,
    .key_hash = md5_key_hash,
    .build = md5_build,
    .pick = circle_pick_32,
    .walk_next = circle_walk_next_32,
    .slot = circle_slot_32,
    .option = ring_option_none,
};

const struct ring_ops libmemcached_weighted_ops = {
    .uses_position = true,
    .check = ring_check_nothing,
    .key_hash = md5_key_hash,
    .build = weighted_build,
    .pick = circle_pick_32,
    .walk_next = circle_walk_next_32,
    .slot = circle_slot_32,
    .option = ring_option_none,
};

const struct ring_ops libmemcached_spy_ops = {
    .uses_position = true,
    .check = ring_check_nothing,
    .key_hash = md5_key_hash,
    .build = spy_build,
    .pick = circle_pick_32,
    .walk_next = circle_walk_next_32,
    .slot = circle_slot_32,
    .option = ring_option_none,
};
