/*
 * Rows recorded from the programs that rings are compatible with, and the fleets behind them.
 * Include after <cmocka.h>.
 */
#ifndef QUOIT_TESTS_COMPAT_SUPPORT_H
#define QUOIT_TESTS_COMPAT_SUPPORT_H

#include <inttypes.h>

#include "ring_support.h"

enum { COMPAT_COLUMNS = 12, COMPAT_LINE_BYTES = 4096 };

typedef void check_row_fn(void *context, char *const *columns, size_t n);

/* Columns beyond those of the line are empty. */
static inline size_t split_columns(char *line, char *columns[COMPAT_COLUMNS])
{
    size_t n = 0;
    size_t line_n = strcspn(line, "\n");
    line[line_n] = '\0';
    for (size_t i = 0; i < COMPAT_COLUMNS; i++)
        columns[i] = line + line_n;
    for (char *at = line; at != NULL && n < COMPAT_COLUMNS;) {
        columns[n++] = at;
        at = strchr(at, '\t');
        if (at != NULL)
            *at++ = '\0';
    }
    return n;
}

/* Checks every row behind the first, which names the columns; returns how many there were. */
static inline size_t check_rows(const char *name, check_row_fn *check, void *context)
{
    char path[256];
    char line[COMPAT_LINE_BYTES];
    char *columns[COMPAT_COLUMNS];
    snprintf(path, sizeof path, SOURCE_DIR "/tests/vectors/compat/%s", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    size_t n = 0;
    for (; fgets(line, sizeof line, file) != NULL; n++)
        check(context, columns, split_columns(line, columns));
    fclose(file);
    return n;
}

static inline uint64_t number_in(const char *column)
{
    char *end;
    uint64_t number = strtoull(column, &end, 10);
    assert_true(end != column && *end == '\0');
    return number;
}

/* The node called id, at the next position. */
static inline void fleet_add_id(struct fleet *fleet, const char *id, double weight)
{
    fleet_add(fleet, 0, weight);
    size_t i = fleet->n - 1;
    int len = snprintf(fleet->ids[i], FLEET_ID_BYTES, "%s", id);
    assert_true(len < FLEET_ID_BYTES);
    fleet->nodes[i].id_len = (size_t)len;
}

/* 127.0.0.1 at n ports from first_port on; weights NULL: all 1. */
static inline struct fleet *fleet_of_ports(unsigned first_port, size_t n, const double *weights)
{
    struct fleet *fleet = fleet_equal(0, 0);
    for (size_t i = 0; i < n; i++) {
        char id[FLEET_ID_BYTES];
        snprintf(id, sizeof id, "127.0.0.1:%zu", first_port + i);
        fleet_add_id(fleet, id, weights != NULL ? weights[i] : 1);
    }
    return fleet;
}

static const double weights5[] = {1, 2, 3, 5, 10};

/* A scenario of a file: its ring, made when its first row comes. */
struct scenario {
    const char *name;
    struct ring_options options;
    struct fleet *fleet;
    struct ring *ring;
    uint32_t down; /* a bit for each node that may not be used */
    size_t n_rows;
};

static inline void scenario_fini(struct scenario *scenario)
{
    ring_free(scenario->ring);
    free(scenario->fleet);
}

/* That the first usable candidate of a key is the node called expected, by walking and, while all
 * are usable, by picking. */
static inline void assert_owner(const struct scenario *scenario, const char *key, uint64_t hash,
                                const char *expected)
{
    struct ring_walk walk;
    uint32_t node;
    ring_walk_start(&walk, scenario->ring, hash);
    do {
        node = ring_walk_next(&walk);
    } while (node < 32 && (scenario->down >> node & 1) != 0);
    const char *owner = fleet_name(scenario->fleet, node);
    if (strcmp(owner, expected) != 0)
        fail_msg("%s, %s: %s, not %s", scenario->name, key, owner, expected);
    if (scenario->down == 0)
        assert_int_equal(ring_pick(scenario->ring, hash), node);
}

#endif
