/*
 * nginx: `hash KEY consistent` of ngx_http_upstream_hash_module.
 *
 * A node's id is what stands behind `server` in the upstream block: "10.0.0.1:80", "[::1]:80",
 * "backend.example.com", "unix:/run/x.sock". It falls into HOST and PORT; 160 points per unit of
 * weight are a chain, each the CRC-32 of HOST, a zero byte, PORT and the point before it. A key
 * belongs to the first point at or after its CRC-32. A server that is not to be had passes it to
 * the next point, 20 times at most; then nginx turns to round robin, and our walk ends.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "hashring/circle.h"

enum { POINTS_PER_WEIGHT = 160, MAX_STEPS = 21 };

static uint64_t nginx_key_hash(const struct ring_options *options, const void *key, size_t n)
{
    (void)options;
    return crc32_z(0, key, n);
}

struct part {
    const char *p;
    size_t n;
};

static bool are_digits(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
    }
    return n > 0;
}

static void split_id(const struct ring_entry *entry, struct part *ret_host, struct part *ret_port)
{
    static const char unix_prefix[] = "unix:";
    size_t prefix_n = sizeof unix_prefix - 1;
    struct part host = {entry->id, entry->id_len};
    struct part port = {"", 0};
    if (host.n >= prefix_n && strncasecmp(host.p, unix_prefix, prefix_n) == 0) {
        host = (struct part){host.p + prefix_n, host.n - prefix_n};
    } else if (host.n > 0) {
        const char *colon = memrchr(host.p, ':', host.n);
        size_t port_n = colon != NULL ? host.n - (size_t)(colon - host.p) - 1 : 0;
        if (colon != NULL && are_digits(colon + 1, port_n)) {
            port = (struct part){colon + 1, port_n};
            host.n -= port_n + 1;
        }
    }
    *ret_host = host;
    *ret_port = port;
}

static struct point *list_points(const struct ring_entry *entry, struct point *at)
{
    struct part host;
    struct part port;
    split_id(entry, &host, &port);
    uLong base = crc32_z(0, (const Bytef *)host.p, host.n);
    base = crc32_z(base, (const Bytef *)"", 1);
    base = crc32_z(base, (const Bytef *)port.p, port.n);
    uint32_t previous = 0;
    for (uint64_t n = points_for(entry, POINTS_PER_WEIGHT); n > 0; n--) {
        const Bytef bytes[] = {(Bytef)previous, (Bytef)(previous >> 8), (Bytef)(previous >> 16),
                               (Bytef)(previous >> 24)};
        previous = (uint32_t)crc32_z(base, bytes, sizeof bytes);
        *at++ = (struct point){circle_hash_32(previous), (uint16_t)entry->index};
    }
    return at;
}

/* Of points with the same hash the first one stays. */
static void drop_twins(struct points *points)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < points->n; i++) {
        if (kept == 0 || points->items[kept - 1].hash != points->items[i].hash)
            points->items[kept++] = points->items[i];
    }
    points->n = kept;
}

static int make_points(const struct ring *ring, struct points *ret_points)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < ring->n; i++)
        n += points_for(&ring->entries[i], POINTS_PER_WEIGHT);
    const struct ring_entry **entries = ring_by_position(ring);
    if (entries == NULL)
        return -ENOMEM;
    struct points points;
    int r = points_init(&points, n);
    if (r == 0) {
        struct point *at = points.items;
        for (uint32_t i = 0; i < ring->n; i++)
            at = list_points(entries[i], at);
        *ret_points = points;
    }
    free(entries);
    return r;
}

static int nginx_build(struct ring *ring)
{
    struct points points;
    int r = make_points(ring, &points);
    if (r < 0)
        return r;
    r = points_sort(&points);
    if (r == 0) {
        drop_twins(&points);
        r = circle_from_sorted(ring, &points);
    }
    free(points.items);
    if (r == 0)
        circle_fill_shares(ring);
    return r;
}

static uint32_t nginx_walk_next(const struct ring_table *table, struct ring_walk *walk)
{
    if (walk->step == MAX_STEPS)
        return RING_NONE;
    uint32_t step = walk->step;
    uint32_t node = circle_walk_next_32(table, walk);
    walk->step = step + 1;
    return node;
}

const struct ring_ops nginx_ops = {
    .uses_position = true,
    .check = ring_check_nothing,
    .key_hash = nginx_key_hash,
    .build = nginx_build,
    .pick = circle_pick_32,
    .walk_next = nginx_walk_next,
    .slot = circle_slot_32,
    .option = ring_option_none,
};
