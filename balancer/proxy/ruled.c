#include "balancer/proxy/ruled.h"

#include "balancer/http/header_rules.h"
#include "balancer/proxy/head.h"

static struct header_rules request_rules(const struct request *r)
{
    return (struct header_rules){.listener = &r->client->listener->request_headers,
                                 .route = &r->route->request_headers};
}

static struct header_rules response_rules(const struct request *r)
{
    return (struct header_rules){.listener = &r->client->listener->response_headers,
                                 .route = r->route != NULL ? &r->route->response_headers : NULL};
}

static void add_pairs(struct head *head, const struct header_rules *rules)
{
    const struct conf_pair *pair;
    size_t at = 0;
    while ((pair = header_rules_next(rules, &at)) != NULL)
        head_add_field(head, span_of(pair->name), span_of(pair->value));
}

void ruled_mark_request(struct request *r)
{
    const struct header_rules rules = request_rules(r);
    header_rules_mark(&rules, &r->head.lines, r->message);
}

void ruled_mark_response(struct request *r, const uint8_t *message)
{
    const struct header_rules rules = response_rules(r);
    header_rules_mark(&rules, &r->response.lines, message);
}

bool ruled_drops_request(const struct request *r, struct span name)
{
    const struct header_rules rules = request_rules(r);
    return header_rules_drop(&rules, name);
}

bool ruled_drops_response(const struct request *r, struct span name)
{
    const struct header_rules rules = response_rules(r);
    return header_rules_drop(&rules, name);
}

void ruled_add_to_request(struct head *head, const struct request *r)
{
    const struct header_rules rules = request_rules(r);
    add_pairs(head, &rules);
}

void ruled_add_to_response(struct head *head, const struct request *r)
{
    const struct header_rules rules = response_rules(r);
    add_pairs(head, &rules);
}
