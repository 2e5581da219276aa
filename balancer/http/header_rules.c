#include "balancer/http/header_rules.h"

static const struct conf_header_rules no_rules;

static bool has_pair(const struct conf_pair *pairs, size_t n, struct span name)
{
    for (size_t i = 0; i < n; i++)
        if (span_equal_as_names(span_of(pairs[i].name), name))
            return true;
    return false;
}

/* rules may be NULL. */
static bool drops(const struct conf_header_rules *rules, struct span name)
{
    if (rules == NULL)
        return false;
    for (size_t i = 0; i < rules->n_remove; i++)
        if (span_equal_as_names(span_of(rules->remove[i]), name))
            return true;
    return has_pair(rules->set, rules->n_set, name);
}

bool header_rules_drop(const struct header_rules *rules, struct span name)
{
    return drops(rules->listener, name) || drops(rules->route, name);
}

void header_rules_mark(const struct header_rules *rules, struct h1_lines *lines,
                       const uint8_t *message)
{
    for (uint32_t i = 0; i < lines->n_fields; i++)
        if (header_rules_drop(rules, h1_field_name(&lines->fields[i], message)))
            lines->fields[i].is_hop = true;
}

/* Pair number i of what is set and then added; NULL: there are not so many. */
static const struct conf_pair *pair_at(const struct conf_header_rules *rules, size_t i)
{
    if (i < rules->n_set)
        return &rules->set[i];
    return i - rules->n_set < rules->n_add ? &rules->add[i - rules->n_set] : NULL;
}

const struct conf_pair *header_rules_next(const struct header_rules *rules, size_t *at)
{
    const struct conf_header_rules *listener =
        rules->listener != NULL ? rules->listener : &no_rules;
    const struct conf_header_rules *route = rules->route != NULL ? rules->route : &no_rules;
    const struct conf_pair *pair;
    while ((pair = pair_at(listener, *at)) != NULL) {
        ++*at;
        if (!drops(route, span_of(pair->name)))
            return pair;
    }
    pair = pair_at(route, *at - listener->n_set - listener->n_add);
    *at += pair != NULL;
    return pair;
}
