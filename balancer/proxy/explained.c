#include "balancer/proxy/explained.h"

#include <stdlib.h>

#include "balancer/explain/line.h"
#include "balancer/proxy/worker.h"

/* More than the line names, so that it can say how many more there were. */
#define CANDIDATES 64

/* What must stay free in a head for the fields behind. */
#define SPARE_BYTES 512

struct explained {
    struct pick_candidate candidates[CANDIDATES];
    size_t n; /* of line; 0: nothing was picked yet */
    char line[EXPLAIN_LINE_SIZE];
};

static const struct conf_client *conf_of(const struct request *r)
{
    return &request_worker(r)->proxy->conf->client;
}

/* In a time that tells nothing of where they differ. */
static bool is_token(struct span value, const char *token)
{
    size_t n = strlen(token);
    unsigned difference = value.n != n;
    for (size_t i = 0; i < n; i++)
        difference |= (unsigned)(uint8_t)token[i] ^ (i < value.n ? value.p[i] : 0u);
    return difference == 0;
}

static bool asks(const struct conf_client *conf, struct span value)
{
    return conf->explain_token == NULL || is_token(value, conf->explain_token);
}

/* The requests that come here are few: their memory is malloc's. Without it nothing is explained.
 */
static void begin(struct request *r)
{
    if (r->explained == NULL)
        r->explained = calloc(1, sizeof *r->explained);
}

void explained_prepare(struct request *r)
{
    const struct conf_client *conf = conf_of(r);
    if (conf->explain_header == NULL)
        return;
    struct span name = span_of(conf->explain_header);
    for (uint32_t i = 0; i < r->head.lines.n_fields; i++) {
        struct h1_field *field = &r->head.lines.fields[i];
        if (!span_equal_nocase(h1_field_name(field, r->message), name) ||
            !asks(conf, h1_field_value(field, r->message)))
            continue;
        field->is_hop = true;
        begin(r);
    }
}

struct pick_trace explained_trace(const struct request *r)
{
    if (r->explained == NULL)
        return (struct pick_trace){.max = 0};
    return (struct pick_trace){.max = CANDIDATES, .candidates = r->explained->candidates};
}

void explained_note(struct request *r, const struct pick *pick, const struct endpoint *choice,
                    const char *way)
{
    if (r->explained != NULL)
        r->explained->n = explain_line(pick, r->key, choice, way, r->explained->line);
}

void explained_mark_response(const struct request *r, struct h1_lines *lines,
                             const uint8_t *message)
{
    if (r->explained == NULL)
        return;
    struct span name = span_of(conf_of(r)->explain_header);
    for (uint32_t i = 0; i < lines->n_fields; i++) {
        if (span_equal_nocase(h1_field_name(&lines->fields[i], message), name))
            lines->fields[i].is_hop = true;
    }
}

void explained_add(struct head *head, const struct request *r)
{
    if (r->explained == NULL || r->explained->n == 0)
        return;
    struct span name = span_of(conf_of(r)->explain_header);
    struct span line = {(const uint8_t *)r->explained->line, r->explained->n};
    if ((size_t)(head->end - head->at) >= name.n + line.n + SPARE_BYTES)
        head_add_field(head, name, line);
}

void explained_end(struct request *r)
{
    free(r->explained);
    r->explained = NULL;
}
