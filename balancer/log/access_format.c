#include "balancer/log/access_format.h"

#include "balancer/log/line.h"

static void add_span(struct line *line, const char *key, struct span value)
{
    if (value.n > 0)
        line_str(line, key, value);
}

static void add_text(struct line *line, const char *key, const char *value)
{
    if (value != NULL)
        line_str(line, key, span_of(value));
}

/* Both formats end in these. */
static void add_course(struct line *line, const struct access_entry *entry)
{
    line_str(line, "reason", span_of(reason_word(entry->reason)));
    if (entry->is_grpc)
        line_u64(line, "grpc_status", entry->grpc_code);
    add_text(line, "pool", entry->pool);
    add_text(line, "endpoint", entry->endpoint);
    add_span(line, "key", entry->key);
    add_span(line, "request_id", entry->request_id);
    add_span(line, "trace_id", entry->trace_id);
    add_text(line, "tls", entry->tls);
    add_text(line, "cipher", entry->cipher);
    add_text(line, "sni", entry->sni);
    add_span(line, "alpn", entry->alpn);
    line_u64(line, "attempts", entry->attempts);
    line_u64(line, "bytes_in", entry->bytes_in);
    line_u64(line, "bytes_out", entry->bytes_out);
    line_u64(line, "total_us", entry->total_us);
    line_u64(line, "connect_us", entry->connect_us);
    line_u64(line, "response_us", entry->response_us);
}

static struct span version_text(const struct access_entry *entry)
{
    static const char texts[][4] = {
        [ACCESS_HTTP_1_0] = "1.0", [ACCESS_HTTP_1_1] = "1.1", [ACCESS_HTTP_2_0] = "2.0"};
    return (struct span){(const uint8_t *)texts[entry->version], 3};
}

static void format_json(struct line *line, const struct access_entry *entry)
{
    line_time(line, "time", entry->time_us, 6);
    add_text(line, "client", entry->client);
    line_u64(line, "client_port", entry->client_port);
    add_span(line, "method", entry->method);
    add_span(line, "target", entry->target);
    line_str(line, "version", version_text(entry));
    add_span(line, "host", entry->host);
    line_u64(line, "status", entry->status);
    add_course(line, entry);
    add_span(line, "referer", entry->referer);
    add_span(line, "user_agent", entry->user_agent);
}

/* A quoted field of the combined format; "-" when it is absent. */
static void put_quoted(struct line *line, struct span value)
{
    line_put(line, SPAN(" \""));
    if (value.n > LINE_VALUE_MAX) {
        line_put_escaped(line, (struct span){value.p, LINE_VALUE_MAX});
        line_put(line, SPAN("..."));
    } else {
        line_put_escaped(line, value.n > 0 ? value : SPAN("-"));
    }
    line_put(line, SPAN("\""));
}

/* "GET /a HTTP/1.1", or "-" when no request line could be read. */
static void put_request_line(struct line *line, const struct access_entry *entry)
{
    if (entry->method.n == 0) {
        put_quoted(line, SPAN("-"));
        return;
    }
    line_put(line, SPAN(" \""));
    line_put_escaped(line, entry->method);
    line_put(line, SPAN(" "));
    line_put_escaped(line, entry->target.n <= LINE_VALUE_MAX
                               ? entry->target
                               : (struct span){entry->target.p, LINE_VALUE_MAX});
    line_put(line, entry->target.n <= LINE_VALUE_MAX ? SPAN(" HTTP/") : SPAN("... HTTP/"));
    line_put(line, version_text(entry));
    line_put(line, SPAN("\""));
}

static void format_combined(struct line *line, const struct access_entry *entry)
{
    line_put(line, entry->client != NULL ? span_of(entry->client) : SPAN("-"));
    line_put(line, SPAN(" - - ["));
    line_put_combined_time(line, entry->time_us);
    line_put(line, SPAN("]"));
    put_request_line(line, entry);
    line_put(line, entry->status < 100 ? SPAN(" 00") : SPAN(" "));
    line_put_u64(line, entry->status);
    line_put(line, SPAN(" "));
    line_put_u64(line, entry->bytes_out);
    put_quoted(line, entry->referer);
    put_quoted(line, entry->user_agent);
    add_span(line, "host", entry->host);
    add_course(line, entry);
}

size_t access_format(enum conf_access_format format, const struct access_entry *entry, char *p)
{
    struct line line;
    line_init(&line, format == CONF_ACCESS_JSON ? LINE_JSON : LINE_TEXT, p, ACCESS_LINE_MAX);
    if (format == CONF_ACCESS_JSON)
        format_json(&line, entry);
    else
        format_combined(&line, entry);
    return line_end(&line);
}
