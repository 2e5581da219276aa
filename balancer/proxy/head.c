#include "balancer/proxy/head.h"

#include "balancer/proxy/conn.h"
#include "balancer/proxy/worker.h"

void head_begin(struct head *head, struct conn *conn)
{
    (void)buffer_reserve(&conn->out, &conn->worker->buffers);
    uint8_t *at = conn->out.data + conn->out.end;
    *head =
        (struct head){.conn = conn, .begin = at, .at = at, .end = conn->out.data + conn->out.size};
}

void head_add_u64(struct head *head, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    head_add(head, (struct span){digits + at, sizeof digits - at});
}

void head_add_field(struct head *head, struct span name, struct span value)
{
    head_add(head, name);
    head_add(head, SPAN(": "));
    head_add(head, value);
    head_add(head, SPAN("\r\n"));
}

/* The line's end when it is spelled exactly as we would spell it, else 0. */
static uint32_t canonical_end(const struct h1_field *field, const uint8_t *message)
{
    uint32_t colon = field->name_at + field->name_n, end = field->value_at + field->value_n;
    bool is_canonical = field->value_at == colon + 2 && message[colon + 1] == ' ' &&
                        message[end] == '\r' && message[end + 1] == '\n';
    return is_canonical ? end + 2 : 0;
}

void head_add_some(struct head *head, const struct h1_lines *lines, const uint8_t *message,
                   uint32_t from, uint32_t to)
{
    /* Neighbouring lines in our own spelling go in one copy: [run, run_end) of the message. */
    uint32_t run = 0, run_end = 0;
    for (uint32_t i = from; i < to; i++) {
        const struct h1_field *field = &lines->fields[i];
        if (field->is_hop)
            continue;
        uint32_t end = canonical_end(field, message);
        if (end != 0 && field->name_at == run_end) {
            run_end = end;
            continue;
        }
        head_add(head, (struct span){message + run, run_end - run});
        run = field->name_at;
        run_end = end;
        if (end == 0) {
            head_add_field(head, h1_field_name(field, message), h1_field_value(field, message));
            run = run_end = 0;
        }
    }
    head_add(head, (struct span){message + run, run_end - run});
}

void head_add_fields(struct head *head, const struct h1_lines *lines, const uint8_t *message)
{
    head_add_some(head, lines, message, 0, lines->n_fields);
}

bool head_end(struct head *head)
{
    struct conn *conn = head->conn;
    if (!head->overflowed) {
        buffer_added(&conn->out, (uint32_t)(head->at - head->begin));
        return true;
    }
    buffer_consume(&conn->out, &conn->worker->buffers, 0);
    return false;
}
