#include "balancer/proxy/trail.h"

#include "balancer/http/h1_chars.h"
#include "balancer/proxy/client.h"
#include "balancer/proxy/head.h"
#include "balancer/proxy/request.h"
#include "balancer/proxy/worker.h"

#define BIT(id) (1u << (id))

/* Fields that say who the client is. */
#define X_IDS                                                                                      \
    (BIT(H1_X_FORWARDED_FOR) | BIT(H1_X_FORWARDED_PROTO) | BIT(H1_X_FORWARDED_HOST) |              \
     BIT(H1_X_FORWARDED_PORT))
#define SHORTEST_X (sizeof("x-forwarded-for") - 1)
#define LONGEST_X (sizeof("x-forwarded-proto") - 1)

static const struct conf *conf_of(const struct request *r)
{
    return request_worker(r)->proxy->conf;
}

bool trail_has(const struct request *r, enum h1_field_id id)
{
    return (r->trail.field_ids & BIT(id)) != 0;
}

/* ---- which fields do not go on ---- */

/* The ids of the fields that are dropped, or written anew with what they said. */
static uint32_t replaced_ids(const struct request *r)
{
    const struct conf_forwarded *conf = &conf_of(r)->forwarded;
    uint32_t ids = BIT(H1_HTTP2_SETTINGS) | (r->head.is_absolute_form ? BIT(H1_HOST) : 0);
    if (r->trail.mode == CONF_FORWARDED_PASS)
        return ids;
    if (r->trail.mode == CONF_FORWARDED_REPLACE)
        return ids | X_IDS | BIT(H1_FORWARDED);
    if ((conf->family & CONF_FORWARDED_X) != 0)
        ids |= BIT(H1_X_FORWARDED_FOR);
    if ((conf->family & CONF_FORWARDED_RFC7239) != 0)
        ids |= BIT(H1_FORWARDED);
    return ids;
}

/* Programs that read fields from environment variables (RFC 3875 section 4.1.18) take
 * X_Forwarded_For for X-Forwarded-For: no honest proxy spells it so. */
static bool is_disguised(struct span name)
{
    uint8_t plain[LONGEST_X];
    if (memchr(name.p, '_', name.n) == NULL)
        return false;
    for (size_t i = 0; i < name.n; i++)
        plain[i] = name.p[i] == '_' ? '-' : name.p[i];
    return (BIT(h1_field_lookup((struct span){plain, name.n})) & X_IDS) != 0;
}

/* Whether name is that of a field that only we may set, in whatever spelling. */
static bool is_our_own(struct span name, const char *field)
{
    return field != NULL && span_equal_as_names(name, span_of(field));
}

static bool is_certificate_field(const struct request *r, struct span name)
{
    const struct conf_client *conf = &conf_of(r)->client;
    return is_our_own(name, conf->subject_header) || is_our_own(name, conf->fingerprint_header);
}

/* A field that the parser does not know: one that carries a request id is taken out for now. */
static inline void mark_other(struct request *r, uint32_t i, struct span id_name)
{
    struct h1_field *field = &r->head.lines.fields[i];
    struct span name = h1_field_name(field, r->message);
    if (name.n == id_name.n && !field->is_hop && span_equal_nocase(name, id_name)) {
        field->is_hop = true;
        r->trail.n_request_ids++;
        r->trail.request_id_field = i;
    } else if (name.n >= SHORTEST_X && name.n <= LONGEST_X && (name.p[0] | 0x20) == 'x') {
        field->is_hop |= is_disguised(name);
    }
    field->is_hop |= is_certificate_field(r, name);
}

static void mark_fields(struct request *r)
{
    const struct h1_lines *lines = &r->head.lines;
    const struct conf_request_id *conf = &conf_of(r)->request_id;
    struct span id_name = {(const uint8_t *)conf->header,
                           conf->mode != CONF_REQUEST_ID_OFF ? conf->header_n : 0};
    uint32_t replaced = replaced_ids(r), ids = 0;
    for (uint32_t i = 0; i < lines->n_fields; i++) {
        struct h1_field *field = &r->head.lines.fields[i];
        ids |= BIT(field->id);
        field->is_hop |= (replaced >> field->id & 1) != 0;
        if (field->id == H1_OTHER)
            mark_other(r, i, id_name);
    }
    r->trail.field_ids = ids;
}

static void drop_fields(struct request *r, uint32_t ids)
{
    for (uint32_t i = 0; i < r->head.lines.n_fields; i++)
        r->head.lines.fields[i].is_hop |= (ids >> r->head.lines.fields[i].id & 1) != 0;
}

/* ---- Max-Forwards (RFC 9110 section 7.6.2) ---- */

/* The only field of this id; NULL if there are several. The head has one at least. */
static const struct h1_field *only_field(const struct request *r, enum h1_field_id id)
{
    const struct h1_field *found = NULL;
    for (uint32_t i = 0; i < r->head.lines.n_fields; i++) {
        const struct h1_field *field = &r->head.lines.fields[i];
        if (field->id == id && found != NULL)
            return NULL;
        if (field->id == id)
            found = field;
    }
    return found;
}

/* A decimal number; what is larger than we can count becomes what we can. */
static bool parse_hops(struct span text, uint32_t *ret_hops)
{
    uint64_t hops = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (!h1_is_digit(text.p[i]))
            return false;
        hops = hops * 10 + (uint64_t)(text.p[i] - '0');
        hops = hops < UINT32_MAX ? hops : UINT32_MAX;
    }
    *ret_hops = (uint32_t)hops;
    return text.n > 0;
}

static enum reason take_hop(struct request *r)
{
    bool is_traced = r->head.method == H1_OPTIONS || r->head.method == H1_TRACE;
    if (!trail_has(r, H1_MAX_FORWARDS) || !is_traced)
        return REASON_OK;
    const struct h1_field *field = only_field(r, H1_MAX_FORWARDS);
    uint32_t hops;
    if (field == NULL || !parse_hops(h1_field_value(field, r->message), &hops))
        return REASON_BAD_REQUEST;
    if (hops == 0)
        return r->head.method == H1_OPTIONS ? REASON_LAST_HOP : REASON_METHOD_REFUSED;
    drop_fields(r, BIT(H1_MAX_FORWARDS));
    r->trail.has_max_forwards = true;
    r->trail.max_forwards = hops - 1;
    return REASON_OK;
}

/* ---- names: the request's and its trace's ---- */

/* A name that comes several times is none: which one others would read is unknown. */
static void name_request(struct request *r)
{
    const struct conf_request_id *conf = &conf_of(r)->request_id;
    struct trail *trail = &r->trail;
    if (conf->mode == CONF_REQUEST_ID_OFF)
        return;
    struct h1_field *field = &r->head.lines.fields[trail->request_id_field];
    if (trail->n_request_ids == 1 && conf->mode == CONF_REQUEST_ID_PASS &&
        request_id_is_valid(h1_field_value(field, r->message))) {
        field->is_hop = false;
        trail->request_id = TRAIL_NAME_PASSED;
        trail->passed_request_id = (struct h1_range){field->value_at, field->value_n};
    } else {
        trail->request_id = TRAIL_NAME_MADE;
        id_source_next(&request_worker(r)->ids, trail->made_request_id);
    }
}

/* A tracestate means nothing without a traceparent that can be read (section 3.3 of Trace
 * Context). */
static void name_trace(struct request *r)
{
    enum conf_traceparent mode = conf_of(r)->traceparent;
    struct trail *trail = &r->trail;
    if (mode == CONF_TRACEPARENT_OFF)
        return;
    if (trail_has(r, H1_TRACEPARENT)) {
        const struct h1_field *field = only_field(r, H1_TRACEPARENT);
        if (field != NULL && traceparent_is_valid(h1_field_value(field, r->message))) {
            trail->trace = TRAIL_NAME_PASSED;
            trail->passed_trace = (struct h1_range){field->value_at + TRACE_ID_AT, TRACE_ID_BYTES};
            return;
        }
    }
    if (trail_has(r, H1_TRACEPARENT) || trail_has(r, H1_TRACESTATE))
        drop_fields(r, BIT(H1_TRACEPARENT) | BIT(H1_TRACESTATE));
    if (mode == CONF_TRACEPARENT_START) {
        trail->trace = TRAIL_NAME_MADE;
        traceparent_make(&request_worker(r)->ids, trail->made_traceparent);
    }
}

enum reason trail_prepare(struct request *r)
{
    if (r->client->is_trusted)
        r->trail.mode = conf_of(r)->forwarded.mode;
    mark_fields(r);
    name_request(r);
    name_trace(r);
    return take_hop(r);
}

static struct span in_head(const struct request *r, struct h1_range range)
{
    return (struct span){r->message + range.at, range.n};
}

struct span trail_request_id(const struct request *r)
{
    switch (r->trail.request_id) {
    case TRAIL_NAME_PASSED:
        return in_head(r, r->trail.passed_request_id);
    case TRAIL_NAME_MADE:
        return (struct span){r->trail.made_request_id, REQUEST_ID_BYTES};
    default:
        return (struct span){NULL, 0};
    }
}

struct span trail_trace_id(const struct request *r)
{
    switch (r->trail.trace) {
    case TRAIL_NAME_PASSED:
        return in_head(r, r->trail.passed_trace);
    case TRAIL_NAME_MADE:
        return (struct span){r->trail.made_traceparent + TRACE_ID_AT, TRACE_ID_BYTES};
    default:
        return (struct span){NULL, 0};
    }
}

/* ---- what is added for the endpoint ---- */

/* The values of the fields of this id, each with a comma behind it: the beginning of our own. */
static void add_values(struct head *head, const struct request *r, enum h1_field_id id)
{
    if (!trail_has(r, id))
        return;
    for (uint32_t i = 0; i < r->head.lines.n_fields; i++) {
        const struct h1_field *field = &r->head.lines.fields[i];
        if (field->id != id || field->value_n == 0)
            continue;
        head_add(head, h1_field_value(field, r->message));
        head_add(head, SPAN(", "));
    }
}

static void add_x_forwarded(struct head *head, const struct request *r, struct span host)
{
    bool continues = r->trail.mode == CONF_FORWARDED_APPEND;
    head_add(head, SPAN("X-Forwarded-For: "));
    if (continues)
        add_values(head, r, H1_X_FORWARDED_FOR);
    head_add(head, client_address(r->client));
    head_add(head, SPAN("\r\n"));
    if (!continues || !trail_has(r, H1_X_FORWARDED_PROTO))
        head_add_field(head, SPAN("X-Forwarded-Proto"),
                       r->client->is_secure ? SPAN("https") : SPAN("http"));
    if (host.n > 0 && (!continues || !trail_has(r, H1_X_FORWARDED_HOST)))
        head_add_field(head, SPAN("X-Forwarded-Host"), host);
    if (!continues || !trail_has(r, H1_X_FORWARDED_PORT))
        head_add_field(head, SPAN("X-Forwarded-Port"), client_local_port(r->client));
}

/* An element's value: in quotes where it is no token (RFC 7239 section 4). A host that the parser
 * has let through has no character that would have to be escaped there. */
static void add_quoted(struct head *head, struct span value)
{
    bool is_bare = h1_is_token(value);
    head_add(head, is_bare ? SPAN("") : SPAN("\""));
    head_add(head, value);
    head_add(head, is_bare ? SPAN("") : SPAN("\""));
}

static void add_forwarded(struct head *head, const struct request *r, struct span host)
{
    struct span client = client_address(r->client);
    bool is_v6 = memchr(client.p, ':', client.n) != NULL;
    head_add(head, SPAN("Forwarded: "));
    if (r->trail.mode == CONF_FORWARDED_APPEND)
        add_values(head, r, H1_FORWARDED);
    head_add(head, is_v6 ? SPAN("for=\"[") : SPAN("for="));
    head_add(head, client);
    head_add(head, is_v6 ? SPAN("]\"") : SPAN(""));
    if (host.n > 0) {
        head_add(head, SPAN(";host="));
        add_quoted(head, host);
    }
    head_add(head, r->client->is_secure ? SPAN(";proto=https\r\n") : SPAN(";proto=http\r\n"));
}

/* Who the client has proved to be. */
static void add_certificate(struct head *head, const struct request *r)
{
    const struct conf_client *conf = &conf_of(r)->client;
    struct tls_facts facts;
    if (!r->client->is_secure || r->client->listener->tls.client_auth == CONF_CLIENT_AUTH_NONE)
        return;
    tls_facts(client_wire(r->client), &facts);
    if (facts.subject != NULL && conf->subject_header != NULL)
        head_add_field(head, span_of(conf->subject_header), span_of(facts.subject));
    if (facts.fingerprint != NULL && conf->fingerprint_header != NULL)
        head_add_field(head, span_of(conf->fingerprint_header), span_of(facts.fingerprint));
}

static struct span id_field_name(const struct request *r)
{
    const struct conf_request_id *conf = &conf_of(r)->request_id;
    return (struct span){(const uint8_t *)conf->header, conf->header_n};
}

static void add_names(struct head *head, const struct request *r)
{
    const struct trail *trail = &r->trail;
    if (trail->request_id == TRAIL_NAME_MADE)
        head_add_field(head, id_field_name(r), trail_request_id(r));
    if (trail->trace == TRAIL_NAME_MADE)
        head_add_field(head, SPAN("traceparent"),
                       (struct span){trail->made_traceparent, TRACEPARENT_BYTES});
}

void trail_add_via(struct head *head, bool is_h2, uint8_t minor)
{
    if (is_h2)
        head_add(head, SPAN("Via: 2.0 quoit\r\n"));
    else if (minor == 1)
        head_add(head, SPAN("Via: 1.1 quoit\r\n"));
    else
        head_add(head, SPAN("Via: 1.0 quoit\r\n"));
}

void trail_add(struct head *head, const struct request *r)
{
    enum conf_forwarded_family family =
        r->trail.mode == CONF_FORWARDED_PASS ? CONF_FORWARDED_NONE : conf_of(r)->forwarded.family;
    struct span host = in_head(r, r->head.authority);
    if ((family & CONF_FORWARDED_X) != 0)
        add_x_forwarded(head, r, host);
    if ((family & CONF_FORWARDED_RFC7239) != 0)
        add_forwarded(head, r, host);
    add_names(head, r);
    add_certificate(head, r);
    if (r->trail.has_max_forwards) {
        head_add(head, SPAN("Max-Forwards: "));
        head_add_u64(head, r->trail.max_forwards);
        head_add(head, SPAN("\r\n"));
    }
    trail_add_via(head, r->client->carrier != NULL, r->head.minor);
}

/* ---- and for the client ---- */

static bool tells_client(const struct request *r)
{
    return r->trail.request_id != TRAIL_NAME_NONE && conf_of(r)->request_id.to_client;
}

void trail_mark_response(const struct request *r, struct h1_lines *lines, const uint8_t *message)
{
    if (!tells_client(r))
        return;
    for (uint32_t i = 0; i < lines->n_fields; i++)
        if (span_equal_nocase(h1_field_name(&lines->fields[i], message), id_field_name(r)))
            lines->fields[i].is_hop = true;
}

void trail_add_to_response(struct head *head, const struct request *r)
{
    if (tells_client(r))
        head_add_field(head, id_field_name(r), trail_request_id(r));
}
