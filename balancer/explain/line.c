#include "balancer/explain/line.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "balancer/explain/bytes.h"

/* With these the longest line has about 1400 characters. */
#define KEY_BYTES 160
#define NAME_BYTES 72

struct line {
    char *text;
    size_t n;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line->text + line->n, EXPLAIN_LINE_SIZE - line->n, format, arguments);
    va_end(arguments);
    assert(n >= 0 && (size_t)n < EXPLAIN_LINE_SIZE - line->n);
    line->n += (size_t)n;
}

static void add_bytes(struct line *line, struct span bytes, size_t size)
{
    char text[KEY_BYTES];
    assert(size <= sizeof text);
    bytes_print(bytes, text, size);
    add(line, "%s", text);
}

static void add_key(struct line *line, const struct pick *pick, struct span key)
{
    if (!pick->has_key)
        return;
    add(line, "; key=\"");
    add_bytes(line, key, KEY_BYTES);
    add(line, "\"; hash=%016" PRIx64, pick->hash);
    if (pick->snapshot->ring == NULL)
        return;
    uint32_t n_slots;
    uint32_t slot = ring_slot(pick->snapshot->ring, pick->hash, &n_slots);
    if (slot != RING_NONE)
        add(line, "; slot=%" PRIu32 "/%" PRIu32, slot, n_slots);
}

static void add_candidate(struct line *line, const struct pick *pick,
                          const struct pick_candidate *candidate)
{
    const struct endpoint *endpoint = pick->snapshot->members[candidate->member].endpoint;
    add_bytes(line, span_of(endpoint->address), NAME_BYTES);
    add(line, " %s", pick_verdict_word(candidate->verdict));
    if (candidate->verdict == PICK_VERDICT_UNUSABLE)
        add(line, "(%s)", endpoint_state_word(endpoint));
    else if (candidate->verdict == PICK_VERDICT_OVER_BOUND)
        add(line, "(%" PRIu32 "/%.4g)", candidate->in_flight, candidate->limit);
}

static void add_candidates(struct line *line, const struct pick *pick)
{
    const struct pick_trace *trace = pick->trace;
    uint32_t n = trace->n < EXPLAIN_LINE_CANDIDATES ? trace->n : EXPLAIN_LINE_CANDIDATES;
    add(line, "; candidates=\"");
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            add(line, ", ");
        add_candidate(line, pick, &trace->candidates[i]);
    }
    if (n < trace->n)
        add(line, ", %" PRIu32 " more", trace->n - n);
    add(line, "\"");
}

size_t explain_line(const struct pick *pick, struct span key, const struct endpoint *choice,
                    const char *way, char ret_line[EXPLAIN_LINE_SIZE])
{
    struct line line = {.text = ret_line};
    add(&line, "pool=\"");
    add_bytes(&line, span_of(pick->snapshot->conf->name), NAME_BYTES);
    add(&line, "\"");
    add_key(&line, pick, key);
    add(&line, "; snapshot=%" PRIu64 "; way=%s; choice=", pick->snapshot->number,
        way != NULL ? way : pick_way_word(pick->trace->way));
    if (choice == NULL) {
        add(&line, "none");
    } else {
        add(&line, "\"");
        add_bytes(&line, span_of(choice->address), NAME_BYTES);
        add(&line, "\"");
    }
    if (pick->trace->n > 0)
        add_candidates(&line, pick);
    return line.n;
}
