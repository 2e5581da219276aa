#include "balancer/http/h2_answer.h"

#include "balancer/http/h1_chars.h"
#include "balancer/http/status.h"

#define STATUS_BYTES 3

uint16_t h2_answer_status(const struct h2_head *head)
{
    const uint8_t *digits = head->room + head->status.at;
    if (head->verdict != H2_FINE || head->status.n != STATUS_BYTES)
        return 0;
    for (size_t i = 0; i < STATUS_BYTES; i++)
        if (!h1_is_digit(digits[i]))
            return 0;
    uint16_t status = (uint16_t)h2_number_read((struct span){digits, STATUS_BYTES});
    return status >= 100 && status != 101 ? status : 0;
}

enum h2_answer_body h2_answer_body(const struct h2_head *head, enum h2_asked asked,
                                   enum h2_body body)
{
    uint16_t status = h2_answer_status(head);
    if (asked == H2_ASKED_HEAD || status < 200 || status == 204 || status == 304)
        return H2_ANSWER_NONE;
    return head->has_content_length || body == H2_BODY_NONE ? H2_ANSWER_LENGTH : H2_ANSWER_CHUNKED;
}

size_t h2_answer_spans(const struct h2_head *head, enum h2_answer_body body,
                       struct span ret_spans[H2_ANSWER_SPANS])
{
    size_t n = 0;
    ret_spans[n++] = SPAN("HTTP/1.1 ");
    ret_spans[n++] = (struct span){head->room + head->status.at, head->status.n};
    ret_spans[n++] = SPAN(" ");
    ret_spans[n++] = span_of(status_phrase(h2_answer_status(head)));
    ret_spans[n++] = SPAN("\r\n");
    ret_spans[n++] = h2_head_fields(head);
    if (body == H2_ANSWER_CHUNKED)
        ret_spans[n++] = SPAN("Transfer-Encoding: chunked\r\n\r\n");
    else if (body == H2_ANSWER_LENGTH && !head->has_content_length)
        ret_spans[n++] = SPAN("Content-Length: 0\r\n\r\n");
    else
        ret_spans[n++] = SPAN("\r\n");
    return n;
}
